'use strict';

/** Those who use the package, with care or without, each call of theirs being followed to its end. */

const { makeClient } = require('./clients');
const { makeFace } = require('./faces');
const { listen } = require('./listeners');
const { NAMES, TTLS, OPTIONS, LOCKS, SIGNALS, SECONDS, shifty, once, getter } = require('./oddities');

/** Until when they begin something, in ms. */
const BUSY = 1_500;

/** Of a lock's extensions: how many were asked for, and how many have settled. */
const COUNTS = { extensions: 0, settled: 0 };

/** What a caller's function says of the wait between two attempts, which is not always of use. */
function delayOf(chance) {
  return () => {
    if (chance.is(0.03)) throw new Error('no delay');
    return chance.weigh([
      [30, 0],
      [30, 20],
      [5, 300],
      [1, Number.NaN],
      [1, '20'],
    ]);
  };
}

class Callers {
  #world;
  #load;
  #time;
  #chance;
  /** @type {import('./faces').Face[]} */
  #faces = [];
  #clients = [];
  #lastName = 0;
  /** Locks that somebody has now. @type {{face: import('./faces').Face, lock: any, names: string[], value: string, ttl: number}[]} */
  #held = [];
  /** @type {() => void} */
  #stopListening = () => {};

  /**
   * @param {import('./world').World} world
   * @param {(name: string) => any} load
   */
  constructor(world, load) {
    this.#world = world;
    this.#load = load;
    this.#time = world.time;
    this.#chance = world.chance;
  }

  begin() {
    const chance = this.#chance;
    const world = this.#world;
    world.pollutesWakes = chance.is(0.12);
    this.#stopListening = listen(world, (share, ttl) => this.#maybeBlock(share, ttl));
    for (let left = chance.between(1, 3); left > 0; left--) this.#open();
    for (let left = chance.between(8, 30); left > 0; left--) {
      this.#at(chance.next() * BUSY, () => this.#act());
    }
    if (world.seed % 8 === 3) this.#at(chance.next() * BUSY, () => this.#burst());
    for (let left = chance.between(0, 3); left > 0; left--) {
      this.#at(chance.next() * BUSY, () => {
        this.#jump(chance.pick([-3_600_000, -500, 500, 3_600_000]));
      });
    }
    if (chance.is(0.04)) {
      const start = chance.next() * BUSY;
      this.#at(start, () => {
        world.isEnding = true;
      });
      this.#at(start + 50, () => {
        world.isEnding = false;
      });
    }
    this.#at(BUSY + chance.next() * 500, () => this.#quitAll());
  }

  #jump(ms) {
    this.#world.count('jumps of the wall clock');
    if (!this.#world.isWallStill) this.#time.wall += ms;
  }

  #at(ms, run) {
    this.#time.later(ms, run);
  }

  #open() {
    const world = this.#world;
    const chance = this.#chance;
    const members = [];
    for (let left = chance.pick([1, 1, 2, 3, 3, 5]); left > 0; left--) members.push(this.#member());
    if (chance.is(0.1)) members.push(members[0]);
    world.refusesConfigs = chance.is(0.02);
    try {
      const face = makeFace(world, this.#load, members);
      this.#faces.push(face);
      world.keepAlive(face.redlock);
      if (face.kind !== 'v0') this.#listen(face);
    } catch (error) {
      world.demand(world.refusesConfigs, `a face can not be made: ${error.stack}`);
      world.checkError(error, 'an error of the constructor');
    }
    world.refusesConfigs = false;
  }

  #member() {
    const world = this.#world;
    const chance = this.#chance;
    if (this.#clients.length > 0 && chance.is(0.1)) return chance.pick(this.#clients).client;
    if (chance.is(0.65)) {
      const made = makeClient(world, `client-${this.#clients.length}`);
      this.#clients.push(made);
      return chance.is(0.1) ? { client: made.client, connections: 'bridge' } : made.client;
    }
    const secret = world.makeSecret();
    const host = `server-${chance.between(0, 99)}.example`;
    return chance.is(0.5)
      ? `redis://:${encodeURIComponent(secret)}@${host}:6379`
      : { host, port: 6379, password: secret };
  }

  #listen({ redlock, kind }) {
    const world = this.#world;
    const chance = this.#chance;
    const events = kind === 'v5' ? ['error'] : ['clientError', 'connection', 'lost', 'unlockError'];
    for (const event of events) {
      if (chance.is(0.3)) continue;
      redlock.on(event, (...args) => {
        world.trace(`event ${event}`);
        for (const what of args) world.checkError(what, `the event ${event}`);
        this.#maybeBlock(0.05, 100);
        if (chance.is(event === 'lost' ? 0.3 : 0.1)) world.thrower()();
      });
    }
  }

  #maybeBlock(share, ttl) {
    if (!this.#chance.is(share)) return;
    const ms = this.#chance.pick([3, 40, ttl / 2, ttl, ttl * 2]);
    this.#world.count('times that callers kept the thread busy');
    this.#world.trace(`blocked for ${ms}`);
    this.#time.block(ms);
    // A machine that was busy or asleep may set its clock then.
    if (this.#chance.is(0.3)) this.#jump(-3_600_000);
  }

  // ---- what they do

  #act() {
    const chance = this.#chance;
    const world = this.#world;
    if (this.#faces.length === 0) return;
    // Several in one tick are neighbours.
    for (let left = chance.pick([1, 1, 2, 4]); left > 0; left--) {
      const face = chance.pick(this.#faces);
      const act = chance.weigh([
        [10, () => this.#lock(face)],
        [6, () => this.#oddLock(face)],
        [4, () => this.#oddHold(face)],
        [3, () => this.#inspect(face)],
        [3, () => this.#using(face)],
        [2, () => this.#change()],
        [2, () => this.#adjust(face)],
        [1, () => world.isOwnLocksOnly || this.#restore(face)],
        [1, () => this.#look(face)],
      ]);
      if (chance.is(0.03)) world.polluted(act);
      else act();
    }
    if (chance.is(0.1)) process.nextTick(() => this.#maybeBlock(0.5, 60));
  }

  #nameFor() {
    this.#lastName += 1;
    return `name-${this.#lastName}`;
  }

  #namesFor(face) {
    const several = face.kind === 'v0' || face.kind === 'async' ? 1 : this.#chance.pick([1, 1, 1, 2, 3]);
    return Array.from({ length: several }, () => this.#nameFor());
  }

  #ttl() {
    return this.#chance.pick([5, 20, 60, 200, 200, 1_000, 1_000, 5_000]);
  }

  #lock(face) {
    const chance = this.#chance;
    const names = this.#namesFor(face);
    const ttl = this.#ttl();
    const { options, isOdd } = this.#options(face, ttl);
    const given =
      face.kind === 'v5' || names.length > 1 || (face.kind !== 'v0' && chance.is(0.2))
        ? [...names]
        : names[0];
    this.#ask(face, names, ttl, given, ttl, options, isOdd);
  }

  /** A call of `lock` whose names are, as they are read first, `names`. */
  #ask(face, names, wanted, resource, ttl, options, isOdd) {
    const world = this.#world;
    world.allow('lock', names);
    const call = { what: `${face.kind} lock ${names}`, operation: 'lock', names, isOdd, face };
    this.#follow(call, (callback) => face.lock(resource, ttl, options, callback), {
      resolved: (lock) => {
        if (lock === null && options?.tryLock) return;
        world.demand(typeof lock === 'object' && lock !== null, `${call.what} gave ${String(lock)}`);
        world.keepAlive(lock);
        const value = lock.value;
        world.handedOver(call.what, value, names);
        const shown = face.kind === 'v5' ? lock.resources : [lock.resource].flat();
        world.demand(shown.join() === names.join(), `${call.what} gave a lock on ${shown}`);
        this.#hold(face, lock, names, value, wanted, options);
      },
    });
  }

  #options(face, ttl) {
    const chance = this.#chance;
    if (face.kind === 'v0' || face.kind === 'async' || chance.is(0.5))
      return { options: undefined, isOdd: false };
    if (face.kind !== 'main') return { options: { retryCount: chance.pick([0, 1, 3]) }, isOdd: false };
    const options = { retryCount: chance.pick([0, 2, -1]) };
    let isOdd = false;
    if (chance.is(0.2)) options.maxWait = chance.pick([0, 30, 400]);
    if (chance.is(0.1)) options.tryLock = true;
    if (chance.is(0.2)) {
      // It is refused where there are several names, scripts or values of the caller's.
      isOdd = true;
      options.fair = chance.pick([true, true, false]);
    }
    if (chance.is(0.2)) {
      isOdd = true;
      options.retryDelay = delayOf(chance);
    }
    if (chance.is(0.2))
      options.autoExtend = chance.pick([true, { maxHold: ttl * 3 }, { threshold: ttl / 4 + 1 }]);
    if (chance.is(0.25)) {
      isOdd = true;
      if (chance.is(0.5)) {
        this.#world.count('hostile objects');
        options.signal = chance.pick(SIGNALS)();
      } else {
        const controller = new AbortController();
        options.signal = controller.signal;
        this.#at(chance.pick([0, 1, 5, 40, 200]), () => {
          this.#world.count('aborted waits');
          controller.abort();
        });
      }
    }
    return { options, isOdd };
  }

  /** What is asked for can't be had, or is not what it was a moment ago. */
  #oddLock(face) {
    const chance = this.#chance;
    this.#world.count('hostile objects');
    const names = this.#namesFor(face);
    const ttl = this.#ttl();
    const way = chance.pick(['names', 'ttl', 'options', 'shifty', 'shifty']);
    switch (way) {
      case 'names':
        this.#refused(face, (callback) => face.lock(chance.pick(NAMES)(), ttl, undefined, callback));
        break;
      case 'ttl':
        this.#ask(face, names, 1_000, [...names], chance.pick(TTLS)(), undefined, true);
        break;
      case 'options':
        if (face.kind === 'v0' || face.kind === 'async') return;
        this.#ask(face, names, ttl, [...names], ttl, chance.pick(OPTIONS)(), true);
        break;
      default:
        this.#ask(face, names, ttl, shifty(chance, names), ttl, undefined, true);
    }
  }

  /** With a lock that is none. */
  #oddHold(face) {
    const chance = this.#chance;
    this.#world.count('hostile objects');
    const what = chance.pick(LOCKS)();
    if (chance.is(0.5)) this.#refused(face, (callback) => face.unlock(what, callback));
    else this.#refused(face, (callback) => face.extend(what, 500, undefined, callback));
  }

  /** Whatever comes of it, it settles, and nothing is asked for that nobody has. */
  #refused(face, run) {
    if (face.isQuit && !face.hasPromises) return;
    // Some classes take a number for a name, and locks that say less.
    this.#world.allow('lock', ['5']);
    for (const operation of ['extend', 'unlock']) this.#world.allow(operation, ['name'], 'value');
    const call = { what: `${face.kind} with nonsense`, isOdd: true, face };
    this.#follow(call, run, {
      resolved: (lock) => {
        if (this.#world.isHeldBy(lock?.value, ['5'])) this.#world.handedOver(call.what, lock.value, ['5']);
      },
    });
  }

  #inspect(face) {
    if (face.kind !== 'main') return;
    const world = this.#world;
    const names = [this.#nameFor()];
    world.allow('inspect', names);
    const isOdd = this.#chance.is(0.2);
    const given = isOdd ? shifty(this.#chance, names) : names[0];
    const call = { what: `inspect ${names}`, operation: 'inspect', names, isOdd, face };
    this.#follow(call, () => face.redlock.inspect(given), {
      resolved: (inspection) => {
        for (const { error } of inspection.instances) world.checkError(error, 'an inspection');
        world.checkText(String(inspection.value), 'an inspection');
        this.#checkSight(inspection, names[0], face);
        this.#maybeBlock(0.1, 100);
      },
      hasNoCallback: true,
    });
  }

  /** What is said to be held, a majority has for longer than now. */
  #checkSight({ held, value, remaining }, name, face) {
    if (held !== true) return;
    const world = this.#world;
    world.count('inspections that show a holder');
    const { now } = this.#time;
    const alive = world.sightsOf(name).filter((one) => one.value === value && one.until > now);
    world.demand(remaining > 0, `an inspection shows a lock that is over: ${remaining} ms`);
    const isSeen = alive.length > 0;
    world.demand(isSeen, `an inspection of ${face.kind} shows what is over: ${value}`);
  }

  #using(face) {
    if (face.kind !== 'main' && face.kind !== 'v5') return;
    const world = this.#world;
    const chance = this.#chance;
    const names = this.#namesFor(face);
    const ttl = chance.pick([300, 1_000]);
    world.allow('lock', names);
    const call = { what: `${face.kind} using ${names}`, isOdd: true, face };
    const outcome = chance.pick(['value', 'throws', 'odd', 'waits']);
    const routine = (signal) => {
      const granted = world.grantsOn(names).find(({ value }) => world.engine.endOf(value) > this.#time.now);
      world.demand(granted !== undefined, `${call.what} runs without a lock`);
      for (const { value } of world.grantsOn(names))
        if (value === granted.value) world.handedOver(call.what, value, names);
      if (chance.is(0.3)) signal.addEventListener('abort', chance.is(0.3) ? world.thrower() : () => {});
      this.#maybeBlock(0.1, ttl);
      if (outcome === 'throws') throw new Error('the routine failed');
      if (outcome === 'odd') return chance.pick(SECONDS.slice(0, -1))();
      if (outcome === 'waits') return new Promise((resolve) => this.#at(chance.next() * 2 * ttl, resolve));
      return 'done';
    };
    this.#follow(call, () => face.redlock.using([...names], ttl, routine), { hasNoCallback: true });
  }

  /** A client leads elsewhere from now on. */
  #change() {
    if (this.#clients.length === 0) return;
    this.#chance.pick(this.#clients).change(this.#chance);
  }

  /** Properties that are read at each call. */
  #adjust(face) {
    const chance = this.#chance;
    const { redlock, kind } = face;
    if (kind === 'v5') {
      redlock.settings.retryCount = chance.pick([0, 2]);
      return;
    }
    switch (chance.pick(['settings', 'scripts', 'values'])) {
      case 'settings':
        redlock.retryCount = chance.pick([0, 1, 2, 'odd', Number.NaN]);
        redlock.retryJitter = chance.pick([0, 3, undefined]);
        if (kind !== 'main') return;
        redlock.retryDelay = chance.pick([0, 20, delayOf(chance)]);
        face.isPaced = true;
        break;
      case 'scripts':
        if (kind !== 'main' && kind !== 'v4') return;
        redlock.scripts.lockScript = chance.is(0.5)
          ? { value: `-- a caller's own, ${chance.between(0, 150)}`, hash: '' }
          : { value: '-- the acquire script', hash: '' };
        break;
      default: {
        const world = this.#world;
        face.hasValues = true;
        redlock._random = () => {
          if (chance.is(0.03)) return chance.pick([5, '', undefined]);
          return world.makeValue();
        };
      }
    }
  }

  #look({ redlock }) {
    for (const connection of redlock.connections ?? []) this.#world.checkError(connection, 'connections');
  }

  /** A lock of another process's. */
  #restore(face) {
    const names = this.#namesFor(face);
    const value = `stored-${this.#chance.hex(8)}`;
    const expiration = Date.now() + this.#chance.pick([-5, 100, 2_000]);
    const shown = face.kind === 'v0' || face.kind === 'async' ? names[0] : [...names];
    const lock = { resource: shown, resources: [...names], value, expiration };
    for (const operation of ['extend', 'unlock']) this.#world.allow(operation, names, value);
    const isOurs = face.kind === 'main' && this.#chance.is(0.5);
    const held = isOurs ? face.redlock.restore(JSON.stringify(lock)) : lock;
    this.#world.keepAlive(held);
    const entry = { face, lock: held, names, value, ttl: 1_000, ...COUNTS, isOthers: true };
    this.#use(entry);
    this.#at(this.#chance.next() * 300, () => this.#use(entry));
  }

  // ---- locks that are held

  #hold(face, lock, names, value, ttl, options) {
    const chance = this.#chance;
    const world = this.#world;
    const entry = { face, lock, names, value, ttl, ...COUNTS, isExtended: Boolean(options?.autoExtend) };
    for (const operation of ['extend', 'unlock']) world.allow(operation, names, value);
    this.#held.push(entry);
    this.#maybeBlock(0.12, ttl);
    for (let left = chance.pick([0, 1, 2, 3]); left > 0; left--) {
      this.#at(chance.next() * ttl * 1.2, () => this.#use(entry));
    }
    if (chance.is(0.75)) this.#at(chance.next() * ttl, () => this.#unlock(entry));
  }

  #use(entry) {
    const { face, lock } = entry;
    const world = this.#world;
    const chance = this.#chance;
    const use = chance.weigh([
      [5, () => this.#extend(entry, lock)],
      [3, () => this.#extend(entry, world.isOwnLocksOnly ? lock : this.#disguised(entry))],
      [2, () => this.#unlock(entry)],
      [3, () => face.kind === 'main' && this.#watch(entry)],
      [1, () => Object.freeze(lock)],
      [1, () => JSON.stringify(lock)],
    ]);
    if (face.isQuit) return;
    if (chance.is(0.05)) world.polluted(use);
    else use();
  }

  #watch({ lock, value, isOthers }) {
    const world = this.#world;
    const chance = this.#chance;
    if (typeof lock.remaining !== 'function') return;
    const isHeld = lock.held;
    const isValid = world.engine.endOf(value) > this.#time.now;
    world.demand(!isHeld || isValid || isOthers, `${value} is shown as held`);
    world.demand(!isHeld || lock.remaining() > 0, `${value} is held for no time`);
    const { signal } = lock;
    if (chance.is(0.5)) signal.addEventListener('abort', chance.is(0.2) ? world.thrower() : () => {});
    if (chance.is(0.1)) lock.stopExtending();
    if (chance.is(0.3)) {
      try {
        lock.autoExtend({ ttl: 300 });
      } catch (error) {
        world.checkError(error, 'autoExtend');
        if (world.isPurpose(error)) world.violate('autoExtend throws what a listener threw');
      }
    }
  }

  /** The lock as others hand it on. */
  #disguised(entry) {
    const { lock, names, value, face } = entry;
    const chance = this.#chance;
    // What sets its expiration through a Proxy says so by the wall clock.
    entry.isOthers = true;
    this.#world.count('hostile objects');
    const key = face.kind === 'v5' ? 'resources' : 'resource';
    const { expiration } = lock;
    const plain = () => ({
      value,
      expiration,
      [key]: face.kind === 'v0' || face.kind === 'async' ? names[0] : [...names],
    });
    const seconds = () => chance.pick(SECONDS);
    return chance.pick([
      () => Object.create(lock),
      () => ({ ...lock, value, expiration, [key]: [...names] }),
      () => new Proxy(lock, {}),
      () => Object.freeze(plain()),
      () => getter(plain(), 'value', once(value, seconds())),
      () => getter(plain(), 'expiration', once(expiration, seconds())),
      () => getter(plain(), key, once(shifty(chance, names), seconds())),
      () =>
        Object.assign(
          plain(),
          names.length > 1 || face.kind === 'main' ? { [key]: shifty(chance, names) } : {},
        ),
    ])();
  }

  #extend(entry, given) {
    const { face, names, value } = entry;
    const world = this.#world;
    const ttl = this.#ttl();
    const isOdd = given !== entry.lock || Object.isFrozen(given) || entry.isExtended;
    entry.extensions += 1;
    const mine = entry.extensions;
    const isAlone = entry.settled === mine - 1;
    const call = { what: `${face.kind} extend ${value}`, operation: 'extend', names, isOdd: true, face };
    this.#follow(call, (callback) => face.extend(given, ttl, undefined, callback), {
      rejected: () => {
        entry.settled += 1;
      },
      resolved: (extended) => {
        entry.settled += 1;
        world.keepAlive(extended);
        world.demand(
          world.engine.endOf(value) > this.#time.now,
          `${call.what}: it was over when it was handed over`,
        );
        // Of two at once, one that is refused may end what the other has just extended.
        if (!isOdd && isAlone && mine === entry.extensions) {
          const { expiration } = extended;
          world.demand(expiration > 0, `${call.what}: it ended in ${expiration}`);
        }
        world.count('extensions handed over');
        if (face.kind === 'v5' || face.kind === 'v0') entry.lock = extended;
        this.#maybeBlock(0.1, ttl);
      },
    });
  }

  #unlock(entry) {
    const { face, lock, value } = entry;
    if (face.isQuit) return;
    this.#held = this.#held.filter((one) => one !== entry);
    const call = {
      what: `${face.kind} unlock ${value}`,
      operation: 'unlock',
      names: entry.names,
      isOdd: true,
      face,
    };
    this.#follow(call, (callback) => face.unlock(lock, callback), {});
  }

  /** More than one drain has room for. */
  #burst() {
    const chance = this.#chance;
    // Rather one whose promises tell late: what comes after has the more to wait for.
    const face = this.#faces.find(({ kind }) => kind === 'v4') ?? this.#faces[0];
    if (face === undefined || face.kind === 'v0' || face.hasValues) return;
    this.#world.engine.weather.wake = 50;
    for (let left = chance.pick([50, 100, 150, 200, 200, 1_030]); left > 0; left--) {
      const names = [this.#nameFor()];
      this.#ask(face, names, 400, [...names], 400, undefined, false);
    }
    this.#world.engine.chatter(chance.pick([1_023, 1_024, 2_050]));
  }

  // ---- the end

  #quitAll() {
    for (const face of this.#faces) {
      const { redlock } = face;
      if (typeof redlock.quit !== 'function' || this.#chance.is(0.15)) continue;
      const quit = () => {
        if (face.isQuit) return;
        for (const entry of this.#held.filter((one) => one.face === face).slice(0, 3)) {
          if (face.kind === 'main' && this.#chance.is(0.5)) this.#watch(entry);
          else if (this.#chance.is(0.5)) this.#unlock(entry);
        }
        face.isQuit = true;
        const call = { what: `${face.kind} quit`, isOdd: true, face };
        const isParting = face.kind === 'main' && this.#chance.is(0.4);
        const run = () => (isParting ? redlock.quit({ unlock: true }) : redlock.quit());
        this.#follow(call, run, { hasNoCallback: true });
        if (!isParting) return;
        for (const { lock, isOthers } of this.#held.filter((one) => one.face === face)) {
          this.#world.demand(isOthers || !lock.held, `${call.what} leaves ${lock.value} held`);
        }
      };
      this.#at(this.#chance.next() * 1_000, quit);
    }
  }

  /** Nobody uses anything any more. */
  stopListening() {
    this.#stopListening();
  }

  dropAll() {
    for (const face of this.#faces) {
      if (face.isQuit) continue;
      this.#world.count('faces that were dropped');
      this.#world.collect(face.redlock);
    }
  }

  // ---- calls

  /**
   * Makes a call and sees it settle: its promise once, its callback once.
   *
   * @param {{what: string, operation?: string, names?: string[], isOdd: boolean, face: import('./faces').Face}} call
   * @param {(callback?: Function) => any} run
   * @param {{resolved?: (value: any) => void, rejected?: () => void, hasNoCallback?: boolean}} how
   */
  #follow(call, run, { resolved = () => {}, rejected = () => {}, hasNoCallback = false }) {
    const world = this.#world;
    const chance = this.#chance;
    const { face } = call;
    const takesCallback = face.hasCallbacks && !hasNoCallback;
    const usesCallback = takesCallback && (!face.hasPromises || chance.is(0.3));
    // The first one told is told of what must be valid.
    let isTold = false;
    const tell = (error, value) => {
      if (isTold) return;
      isTold = true;
      world.trace(`${call.what}: ${error ? `rejected ${codeOf(error)}` : 'resolved'}`);
      if (error) {
        rejected();
        this.#rejected(call, error);
      } else resolved(value);
    };
    const guarded = (run) => {
      try {
        run();
      } catch (error) {
        // What is wrong is known by now.
        world.violation ??= error;
      }
    };
    let callback;
    if (usesCallback) {
      const part = { what: `${call.what} (its callback)` };
      let times = 0;
      world.begin(part);
      callback = (error, value) => {
        times += 1;
        guarded(() => {
          world.demand(times === 1, `${part.what} is called ${times} times`);
          world.settled(part);
          tell(error, value);
        });
        if (chance.is(0.05)) world.thrower()();
      };
    }
    let promise;
    try {
      promise = run(callback);
    } catch (error) {
      world.violate(`${call.what} throws instead of rejecting: ${error?.stack}`);
    }
    if (!face.hasPromises) return;
    world.demand(typeof promise?.then === 'function', `${call.what} gives no promise`);
    const part = { what: call.what };
    world.begin(part);
    promise.then(
      (value) =>
        guarded(() => {
          world.settled(part);
          tell(undefined, value);
        }),
      (error) =>
        guarded(() => {
          world.settled(part);
          tell(error ?? 'nothing', undefined);
        }),
    );
  }

  #rejected(call, error) {
    const world = this.#world;
    world.count('calls that were rejected');
    world.checkError(error, call.what);
    const { isOdd, operation, names, face } = call;
    if (operation === undefined) return;
    const granted = world.answersTo(operation, names).at(-1)?.kind;
    if (granted === 1 && codeOf(error) === 'ERR_REDLOCK_TOO_SLOW')
      world.count('locks that are over at their turn');
    if (granted === 2 && codeOf(error) === 'ERR_REDLOCK_EXPIRED') {
      world.count('extensions that are over at their turn');
    }
    if (isOdd) return;
    // Where JavaScript has a say between two attempts, it may be that which ends the call.
    const hasSay = face.hasValues === true || face.isPaced === true;
    // Nothing was wrong with it: it fails as the engine says.
    const answers = world.answersTo(operation, names);
    const last = answers.at(-1);
    const code = codeOf(error);
    if (last === undefined) {
      const isExpected = code === 'ERR_REDLOCK_CLOSED' || code === 'ERR_REDLOCK_INTERNAL' || hasSay;
      world.demand(isExpected, `${call.what} was not asked for, and fails with ${code}`);
      return;
    }
    const said = last.kind === 3 ? last.detail.code : 'ERR_REDLOCK_TOO_SLOW';
    const isOwnWait = hasSay || code === 'ERR_REDLOCK_CLOSED' || code === 'ERR_REDLOCK_TIMEOUT';
    world.demand(code === said || isOwnWait, `${call.what} fails with ${code}, and the engine said ${said}`);
    if (code === said && last.kind === 3 && Array.isArray(error.votes))
      this.#compareVotes(call, error, last.detail);
  }

  #compareVotes(call, error, { votes }) {
    const shown = error.votes.map(({ vote }) => vote).join();
    const given = votes.map(({ vote }) => vote).join();
    this.#world.demand(shown === given, `${call.what} shows the votes ${shown}, which were ${given}`);
    error.votes.forEach((vote, place) => {
      const hasError = Object.hasOwn(vote, 'error') && vote.error !== undefined;
      const isFailed = votes[place].code !== undefined && Object.hasOwn(votes[place], 'code');
      this.#world.demand(hasError === isFailed, `${call.what} shows an error that is none`);
    });
  }
}

function codeOf(error) {
  try {
    const code = error?.code ?? error?.cause?.code;
    return typeof code === 'string' ? code : String(error?.name);
  } catch {
    // A client's own.
    return 'something that can not be read';
  }
}

module.exports = { Callers };
