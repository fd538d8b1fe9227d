'use strict';

/**
 * A model of the engine behind the hand-over: it grants, refuses, fails, extends and inspects by chance, asks callers'
 * clients through errands, and tells what happens, on virtual time. It knows until when each lock is valid, which is
 * what callers are held to.
 *
 * Everything it hands over says all that it has to say in properties of its own, as JSON from native does.
 */

const { reasons } = require('../../binding.js').constants();

/** A lock that ends so near to its cap was held for as long as that allows, in ms. */
const CAP_TOLERANCE = 5;

const UNLOCKED = 0;
const LOCKED = 1;
const EXTENDED = 2;
const FAILED = 3;
const EVENT = 4;
const ERRAND = 5;
const INSPECTED = 6;
const TIME = 7;

const OPERATIONS = ['lock', 'extend', 'unlock', 'inspect', 'wait', 'unlock all'];

/** After its end, for how long an engine goes on asking its clients to release what was granted late, in ms. */
const CLEAN_UP = 1_000;

/** Beyond so many attempts of a request without end nothing new is to be seen. */
const MOST_ATTEMPTS = 12;

class FakeEngine {
  #world;
  #time;
  #chance;
  #wake;
  #isWaking = false;
  /** Whether the process is kept alive for what is no request. */
  isAwake = false;
  /** How many calls are still to come of those that JavaScript has asked for. */
  callsLeft = 0;
  #outbox = [];
  #quorums = [];
  /** Those in flight, by slot. @type {Map<number, Request>} */
  #requests = new Map();
  /** Sets of scripts, by number. @type {Map<number, (string | undefined)[]>} */
  #scripts = new Map();
  #lastScripts = 0;
  /** @type {Map<number, Errand>} */
  #errands = new Map();
  #lastTicket = 0;
  /** Locks that are kept, by number. */
  #keeps = new Map();
  /** Until when each value is valid. @type {Map<string, number>} */
  #ends = new Map();

  /** @param {import('./world').World} world */
  constructor(world) {
    this.#world = world;
    this.#time = world.time;
    this.#chance = world.chance;
    const { chance } = world;
    /** How things go in this world. */
    this.weather = {
      grants: chance.pick([0.5, 0.7, 0.9, 1]),
      failures: chance.pick([0, 0.05, 0.2]),
      slowness: chance.pick([1, 5, 40]),
      /** How long native's call to JavaScript takes. */
      wake: chance.pick([0, 0, 1, 20]),
      lateness: chance.pick([0, 0.05, 0.3]),
    };
  }

  // ---- what the mailbox passes on

  attach(wake) {
    this.#world.demand(this.#wake === undefined, 'a second Mailbox was made');
    this.#wake = wake;
  }

  /** Nobody hears of anything any more, until another Mailbox is made. */
  detach() {
    this.#world.demand(this.openHandles.length === 0, 'the Mailbox rests while somebody needs it');
    this.#world.demand(!this.isAwake, 'the Mailbox rests while somebody waits');
    this.#world.count('Mailboxes that rest');
    this.#wake = undefined;
    this.#outbox = [];
  }

  /** One after the other, each once all is done that the one before has set off; nothing else comes between them. */
  wakeAgain(times) {
    const wake = this.#wake;
    this.callsLeft += times;
    const call = (left) => {
      this.callsLeft -= 1;
      this.#world.duringWake(wake);
      // Ticks come when no microtask is left.
      if (left > 1) queueMicrotask(() => process.nextTick(call, left - 1));
    };
    setImmediate(call, times);
  }

  wait(number, ms) {
    this.#after(ms, () => this.#push({ ...NOTHING, slot: number, kind: TIME }));
  }

  hasClients(handle) {
    return this.#quorums[handle].members.some(({ isClient }) => isClient);
  }

  open({ instances }) {
    const world = this.#world;
    const handle = this.#quorums.length;
    if (world.refusesConfigs) {
      throw Object.assign(new Error('instances[0].tls.ca has no certificate'), { code: 'InvalidArg' });
    }
    const members = instances.map((config, place) => ({
      place,
      config,
      isClient: config.kind === 'client',
      leader: config.same ?? place,
      isNative: config.native === true,
      server: undefined,
    }));
    const addresses = instances.map((config, place) => config.address ?? `redis://member-${place}:6379`);
    const ends = { isClosed: false, isClosing: false, isParted: false, handedOver: new Map() };
    const quorum = { handle, members, addresses, rounds: 0, ...ends };
    this.#quorums.push(quorum);
    world.trace(`open ${handle}: ${addresses.join(' ')}`);
    for (const { place, isClient } of members) {
      if (!isClient || this.#chance.is(0.2)) this.#connect(quorum, place, 'connecting', 0);
    }
    if (members.length > 1 && this.#chance.is(0.1)) {
      const event = { event: 'lookAlikes', handle, instance: 0, other: 1, sole: this.#chance.is(0.5) };
      this.#after(5, () => this.#tell(event));
    }
    return { handle, addresses: [...addresses] };
  }

  isOpen(handle) {
    const quorum = this.#quorums[handle];
    return quorum !== undefined && !quorum.isClosed;
  }

  close(handle) {
    const quorum = this.#quorums[handle];
    this.#world.demand(quorum && !quorum.isClosed, `handle ${handle} is closed twice`);
    this.#world.trace(`close ${handle}`);
    quorum.isClosed = true;
    for (const kept of this.#keeps.values()) if (kept.handle === handle) kept.isOrphaned = true;
    if (!quorum.members.some(({ isClient }) => isClient)) return;
    this.#after(this.#chance.between(0, CLEAN_UP), () => {
      quorum.isOver = true;
      this.#tell({ event: 'closed', handle });
    });
  }

  learn(texts) {
    this.#lastScripts += 1;
    this.#scripts.set(this.#lastScripts, texts);
    return this.#lastScripts;
  }

  forget(number) {
    this.#world.demand(this.#scripts.delete(number), `scripts ${number} are forgotten twice`);
  }

  knowsScripts(number) {
    return number === 0 || this.#scripts.has(number);
  }

  updateClient(handle, place, server, keep) {
    const member = this.#quorums[handle]?.members[place];
    this.#world.demand(member?.isClient, `updateClient() of ${handle}.${place}, which is no client`);
    if (server !== undefined && this.#chance.is(0.03)) {
      this.#world.count('servers that can not be used');
      throw Object.assign(new Error('tls.ca has no certificate'), { code: 'InvalidArg' });
    }
    member.server = server;
    this.#world.trace(
      `updateClient ${handle}.${place} ${server === undefined ? 'nothing' : 'a server'} ${keep}`,
    );
    this.#world.clientUpdated(this.#quorums[handle], place);
    if (!keep || server === undefined) this.#reroute(handle, place, 'the client leads elsewhere', false);
    else if (this.#chance.is(0.3)) this.#after(20, () => this.#reroute(handle, place, null, false));
  }

  #reroute(handle, place, why, failed) {
    const member = this.#quorums[handle].members[place];
    const isNative = why === null;
    if (member.isNative === isNative && !failed) return;
    member.isNative = isNative;
    this.#world.count('changes of the route');
    this.#tell({ event: 'route', handle, instance: place, why, failed });
  }

  isInFlight(slot) {
    return this.#requests.has(slot);
  }

  /** Why these rows can't be handed over, if that is so. What they release then stays until its ttl. */
  refusal(rows) {
    if (!this.#world.isEnding) return undefined;
    this.#world.count('batches that native refuses');
    for (const { operation, value } of rows) if (operation === 2) this.#world.heldNoMore(value);
    return new Error('the environment is ending');
  }

  accept(row) {
    const quorum = this.#quorums[row.handle];
    const request = new Request(row, quorum, this.#time.now);
    this.#requests.set(row.slot, request);
    this.#world.count('requests');
    this.#world.trace(`${OPERATIONS[row.operation]} ${row.slot} ${row.names} ${row.value}`);
    this.#world.submitted(row, quorum);
    const start = [this.#lock, this.#extend, this.#unlock, this.#inspect, this.#wait, this.#unlockAll][
      row.operation
    ];
    start.call(this, request, this.#time.now);
  }

  cancel(slot) {
    const request = this.#requests.get(slot);
    this.#world.trace(`cancel ${slot}`);
    this.#world.count('cancellations');
    if (request === undefined) return;
    request.isCancelled = true;
    if (this.#chance.is(0.2)) return;
    this.#after(this.#chance.between(0, 5), () => {
      if (!request.isAnswered && this.#requests.get(slot) === request) this.#fail(request, 'CANCELLED', []);
    });
  }

  /** @param {number} room for how many there is room */
  take(room) {
    const taken = this.#outbox.splice(0, room);
    if (this.#outbox.length > 0) this.#world.count('drains without room for all');
    return taken.map((answer) => this.#handOver(answer));
  }

  /** Rule 3: native looks at a lock's validity once more. */
  #handOver(answer) {
    const { slot, kind } = answer;
    if (kind === TIME) return answer;
    if (slot >= 0) {
      this.#world.demand(this.#requests.delete(slot), `slot ${slot} is answered twice`);
    }
    if (kind === LOCKED && answer.until <= this.#time.now) {
      this.#world.count('locks that are over at the drain');
      this.#release(answer.request, answer.token, this.#time.now);
      this.#world.heldNoMore(answer.token);
      const detail = { code: 'ERR_REDLOCK_TOO_SLOW', reason: 'it was over when it arrived', votes: [] };
      const failure = { ...answer, kind: FAILED, until: 0, detail };
      this.#world.answered(answer.request, failure);
      return failure;
    }
    if (slot >= 0) this.#world.answered(answer.request, answer);
    return answer;
  }

  // ---- requests

  #lock(request, now) {
    request.attempts += 1;
    const value = request.value || this.#chance.hex(32);
    const drift = Math.round(request.drift * request.ttl) + 2;
    this.#round(request, value, now, (verdict, at) => {
      const until = now + request.ttl - drift;
      if (verdict.isGranted && until > at) {
        this.#grant(request, value, now, until, at);
        return;
      }
      this.#release(request, value, at);
      if (request.isAnswered) return;
      const code = verdict.isGranted ? 'TOO_SLOW' : verdict.isHeld ? 'HELD' : 'UNAVAILABLE';
      const limit = request.retries < 0 ? MOST_ATTEMPTS : Math.min(request.retries, MOST_ATTEMPTS);
      const pause = Math.max(0, request.delay);
      const end = request.maxWait < 0 ? Infinity : request.start + request.maxWait;
      if (code !== 'TOO_SLOW' && at + pause >= end) {
        this.#behind(Math.max(at, end), () => this.#fail(request, 'TIMEOUT', verdict.votes));
      } else if (code === 'TOO_SLOW' || request.attempts > limit) this.#fail(request, code, verdict.votes);
      else this.#behind(at + pause, (then) => !request.isAnswered && this.#lock(request, then));
    });
  }

  #grant(request, value, since, until, at) {
    // Whoever has given it up may get it all the same; else it is taken back.
    if (request.isAnswered) {
      this.#release(request, value, at);
      return;
    }
    this.#world.count('grants');
    const { handedOver, isParted } = request.quorum;
    this.#world.demand(!isParted, `${request.names} is granted after everything was unlocked`);
    handedOver.set(value, request.names);
    if (request.isCancelled) this.#world.count('answers in spite of a cancellation');
    this.#grantUntil(value, until);
    this.#world.granted(value, request.names, request);
    this.#answer(request, { kind: LOCKED, until, value: request.value ? '' : value, token: value, since });
  }

  #extend(request, now) {
    const until = request.isRelative ? now + request.instant : request.instant;
    if (until <= now) {
      this.#fail(request, 'EXPIRED', []);
      return;
    }
    request.attempts = 1;
    this.#round(request, request.value, now, (verdict, at) => {
      const drift = Math.round(request.drift * request.ttl) + 2;
      const wanted = now + request.ttl - drift;
      if (verdict.isGranted && wanted > at) {
        this.#world.count('extensions');
        this.#grantUntil(request.value, wanted);
        this.#answer(request, { kind: EXTENDED, until: wanted });
      } else if (verdict.isHeld) this.#fail(request, 'NOT_HELD', verdict.votes);
      else {
        const left = Math.min(until, wanted);
        this.#fail(
          request,
          verdict.isGranted ? 'TOO_SLOW' : 'UNAVAILABLE',
          verdict.votes,
          left > at ? left : 0,
        );
      }
    });
  }

  #unlock(request, now) {
    request.attempts = 1;
    this.#world.heldNoMore(request.value);
    for (const kept of this.#keeps.values()) if (kept.value === request.value) kept.isReleased = true;
    this.#round(request, request.value, now, (verdict) => {
      if (verdict.isGranted) {
        this.#world.count('releases');
        this.#answer(request, { kind: UNLOCKED });
      } else this.#fail(request, verdict.isHeld ? 'NOT_HELD' : 'UNAVAILABLE', verdict.votes);
    });
  }

  #inspect(request, now) {
    request.attempts = 1;
    this.#round(request, '', now, (verdict, at) => {
      this.#world.count('inspections');
      this.#answer(request, { kind: INSPECTED, detail: { votes: verdict.votes } }, at);
    });
  }

  #wait(request, now) {
    request.attempts = 1;
    this.#world.count('waits between attempts');
    this.#behind(now + request.instant, () => this.#answer(request, { kind: UNLOCKED }));
  }

  /** Nothing of what was handed over is valid any more. */
  #unlockAll(request, now) {
    request.attempts = 1;
    const { quorum } = request;
    const world = this.#world;
    world.count('engines that unlock everything');
    const inFlight = [...this.#requests.values()].filter((one) => one.quorum === quorum && !one.isAnswered);
    world.demand(
      inFlight.length === 1,
      `${inFlight.length} requests are in flight when everything is unlocked`,
    );
    quorum.isParted = true;
    const locks = [];
    for (const [value, names] of quorum.handedOver) {
      // Of what is over, nothing is left but what the ttl ends.
      world.heldNoMore(value);
      if (this.endOf(value) <= now) continue;
      this.#ends.set(value, now);
      for (const kept of this.#keeps.values()) if (kept.value === value) kept.isReleased = true;
      const votes = quorum.members.map((member) => this.#failedVote(member));
      const reason = `too few answered, as \u0002${world.anySecret(quorum.members)}\u0003 says`;
      const code = this.#chance.pick(['ERR_REDLOCK_UNAVAILABLE', 'ERR_REDLOCK_NOT_HELD']);
      if (this.#chance.is(0.2)) locks.push({ code, reason, votes, resource: names });
    }
    this.#behind(now + this.#chance.between(0, 100), () => {
      this.#answer(request, { kind: INSPECTED, detail: { votes: [], locks } });
    });
  }

  /** Of a failed attempt, or of what nobody gets: asked of all, and nobody waits for the answers. */
  #release(request, value, now) {
    const cleanup = { ...request, operation: 2, quorum: request.quorum };
    for (const member of request.quorum.members) {
      if (member.leader === member.place) this.#ask(cleanup, member, value, now, () => {});
    }
  }

  // ---- rounds

  #round(request, value, now, decide) {
    const { members } = request.quorum;
    const quorum = Math.floor(members.length / 2) + 1;
    const votes = members.map(() => undefined);
    const attempt = request.attempts;
    let isDecided = false;
    let isTold = false;
    const deadline = now + Math.min(1000, Math.max(100, request.ttl / 10));
    const tell = (at) => {
      if (isTold) return;
      isTold = true;
      if (request.sheet > 0 && request.operation !== 3) {
        const silent = { vote: 'failed', code: 'SILENT', message: 'no answer in time' };
        const all = votes.map((vote) => vote ?? silent);
        const { handle, sheet: number } = request;
        this.#world.count('votes');
        this.#behind(at, () => this.#tell({ event: 'votes', handle, number, attempt, votes: all }));
      }
    };
    const look = (at, isLast) => {
      const given = votes.filter(Boolean);
      const count = (kind) => given.filter(({ vote }) => vote === kind).length;
      const isComplete = given.length === members.length || isLast;
      if (isComplete) tell(at);
      if (isDecided) return;
      const needed = request.operation === 3 ? Infinity : quorum;
      const isGranted = count('granted') >= needed;
      const isHeld = count('held') > members.length - quorum || (isComplete && count('held') > 0);
      if (!isGranted && !isComplete) return;
      isDecided = true;
      const shown = votes.map((vote) => vote ?? { vote: 'pending' });
      decide({ isGranted, isHeld, votes: shown }, at);
    };
    this.#behind(deadline, (at) => look(at, true));
    for (const member of members) {
      if (member.leader !== member.place) continue;
      this.#ask(request, member, value, now, (given, at) => {
        const vote = alone(given);
        const isLate = at >= deadline && this.#chance.is(0.9);
        if (isLate) return;
        for (const other of members) if (other.leader === member.place) votes[other.place] = vote;
        if (vote.vote === 'failed' && request.report && !request.quorum.isClosed) {
          const { code, message, reply } = vote;
          const event = {
            ...{ event: 'clientError', handle: request.handle, instance: member.place, code, message, reply },
            ...{ operation: OPERATIONS[request.operation], error: vote.error },
          };
          this.#tell(event);
        }
        look(at, false);
      });
    }
  }

  #ask(request, member, value, now, cast) {
    if (!member.isClient || member.isNative) {
      if (this.#chance.is(0.01)) return;
      const slow = this.#chance.is(this.weather.lateness) ? 1_000 : this.weather.slowness;
      this.#behind(now + this.#chance.next() * slow, (at) => cast(this.#voteOf(request, member, at), at));
      return;
    }
    if (request.quorum.isOver) return;
    const ticket = this.#nextTicket();
    const { handle, operation, names, ttl } = request;
    const texts = this.#scripts.get(request.scripts) ?? [];
    const script = texts[operation] ?? null;
    const plain = [texts[0], texts[2]].every((text) => (text ?? null) === null);
    const errand = { ticket, handle, place: member.place, operation, names, value, script, cast, request };
    this.#errands.set(ticket, errand);
    const life = operation < 2 ? ttl : null;
    const asked = { handle, instance: member.place, ticket, operation: OPERATIONS[operation], script, plain };
    const detail = { ...asked, keys: names, value, ttl: life, context: request.context };
    this.#world.count('errands');
    this.#push({ ...NOTHING, kind: ERRAND, detail });
    if (operation === 0 && member.server !== undefined && this.#chance.is(0.1)) {
      this.#behind(now + 10, () => this.#reroute(handle, member.place, null, false));
    }
  }

  #nextTicket() {
    this.#lastTicket += 1;
    return this.#lastTicket;
  }

  #voteOf(request, member, at) {
    const { chance } = this.#world;
    if (chance.is(this.weather.failures)) return this.#failedVote(member);
    if (request.operation === 3) return this.#sight(request, at);
    if (chance.is(this.weather.grants)) return { vote: 'granted' };
    return { vote: 'held', applied: chance.between(0, request.names.length - 1) };
  }

  #sight(request, at) {
    const { chance } = this.#world;
    if (chance.is(0.3)) return { vote: 'seen', value: null, ttl: null };
    const value = chance.pick(['one value', 'one value', 'another']);
    const ttl = chance.pick([1, 20, 300, 5_000, null]);
    this.#world.sighted(request, value, ttl === null ? Infinity : at + ttl);
    return { vote: 'seen', value, ttl };
  }

  #failedVote(member) {
    const { chance } = this.#world;
    const secret = this.#world.secretOf(member.config);
    return chance.pick([
      { vote: 'failed', code: 'SILENT', message: 'no answer in time' },
      {
        vote: 'failed',
        code: 'UNREACHABLE',
        message: `cannot reach it: \u0002it said ${secret}: ${quoted(secret, chance)}\u0003`,
      },
      {
        vote: 'failed',
        code: 'REFUSED',
        reply: 'WRONGPASS',
        message: `WRONGPASS\u0002 no user has ${quoted(secret, chance)}\u0003 (check it)`,
      },
      { vote: 'failed', code: 'LOST', message: 'the connection broke' },
    ]);
  }

  // ---- errands

  answerErrand(handle, place, ticket, answer) {
    const errand = this.#errands.get(ticket);
    const world = this.#world;
    world.trace(`errand ${ticket} ${answer.kind} ${answer.keys ?? answer.what ?? answer.code ?? ''}`);
    world.demand(errand !== undefined, `an answer to errand ${ticket}, which there is not`);
    world.demand(
      errand.handle === handle && errand.place === place,
      `errand ${ticket} is answered elsewhere`,
    );
    world.demand(!errand.isAnswered, `errand ${ticket} is answered twice`);
    errand.isAnswered = true;
    world.count(`errands answered with ${answer.kind}`);
    this.#behind(this.#time.now, (at) => errand.cast(this.#voteFor(errand, answer, at), at));
  }

  #voteFor({ operation, names, request }, answer, at) {
    switch (answer.kind) {
      case 'applied':
        if (answer.keys === names.length) return { vote: 'granted' };
        if (answer.keys < 0)
          return { vote: 'failed', code: 'ASKED_TWICE', message: 'it has that value already' };
        return { vote: 'held', applied: answer.keys };
      case 'seen':
        this.#world.demand(operation === 3, 'seen() for what is no inspection');
        if (answer.value !== undefined)
          this.#world.sighted(request, answer.value, at + (answer.ttl ?? Infinity));
        return { vote: 'seen', value: answer.value ?? null, ttl: answer.ttl ?? null };
      case 'unexpected':
        return { vote: 'failed', code: 'UNEXPECTED', message: `it answered ${answer.what}` };
      default: {
        const { number, message } = answer;
        const reply = answer.code ?? undefined;
        const told = reply ? { code: 'REFUSED', reply } : { code: 'CLIENT' };
        return { vote: 'failed', ...told, message: `it failed: \u0002${message}\u0003`, error: number };
      }
    }
  }

  /** Those that were not answered. */
  get openErrands() {
    return [...this.#errands.values()].filter(({ isAnswered }) => !isAnswered);
  }

  // ---- what is kept

  watch(handle, number, kept) {
    const { until, value, ttl } = kept;
    this.#world.count('locks that are kept');
    this.#world.trace(`keep ${number} ${value} ${ttl}`);
    const entry = { ...kept, handle, number, isReleased: false, isOrphaned: !this.isOpen(handle) };
    entry.until = until;
    this.#keeps.set(number, entry);
    this.#tend(entry);
  }

  #tend(kept) {
    const { number, lead, ttl, value, cap } = kept;
    const isMine = () => this.#keeps.get(number) === kept && !kept.isReleased && !kept.isOrphaned;
    const next = ttl > 0 ? Math.max(this.#time.now + 1, kept.until - lead) : kept.until;
    // A hundred years are not waited for.
    if (next - this.#time.now > 1e7) return;
    this.#behind(next, (at) => {
      if (!isMine()) return;
      if (kept.until <= at) this.#lose(kept, 'EXPIRED', kept.until);
      else if (this.#chance.is(0.1)) this.#lose(kept, 'NOT_HELD', 0);
      else if (ttl > 0 && this.#chance.is(0.8) && (cap === 0 || kept.until < cap)) {
        const end = at + ttl * 0.99 - 2;
        kept.until = Math.max(kept.until, cap > 0 ? Math.min(cap, end) : end);
        this.#grantUntil(value, kept.until);
        this.#world.count('extensions by the engine');
        this.#tend(kept);
      } else this.#behind(kept.until, (end) => isMine() && this.#lose(kept, 'EXPIRED', end));
    });
  }

  #lose(kept, code, until) {
    const { handle, number } = kept;
    kept.until = until;
    kept.isLost = true;
    kept.isReleased = true;
    this.#world.count('kept locks that are lost');
    const votes = this.#quorums[handle].members.map(() => ({ vote: 'held', applied: 0 }));
    const event = { event: 'lost', handle, number, code: `ERR_REDLOCK_${code}`, reason: 'it is gone', votes };
    this.#tell(event);
  }

  keptUntil(number) {
    const kept = this.#keeps.get(number);
    if (kept === undefined) return 0;
    return kept.isReleased && !kept.isLost ? 0 : kept.until;
  }

  /** As native has it, which decides with the clock at hand why a kept lock is over. */
  endedBy(number) {
    const until = this.keptUntil(number);
    if (until > this.#time.now) return 0;
    if (until === 0) return reasons.notHeld.number;
    const { cap } = this.#keeps.get(number);
    return (cap > 0 && until >= cap - CAP_TOLERANCE ? reasons.maxHold : reasons.expired).number;
  }

  unwatch(number) {
    this.#world.trace(`let go ${number}`);
    this.#keeps.delete(number);
  }

  /** How many locks are kept. */
  get kept() {
    return this.#keeps.size;
  }

  #grantUntil(value, until) {
    this.#ends.set(value, Math.max(this.#ends.get(value) ?? 0, until));
  }

  /**
   * Until when anything that was granted under this value is valid, on the engine's clock, whoever has released it
   * meanwhile.
   *
   * @param {string} value
   */
  endOf(value) {
    return this.#ends.get(value) ?? 0;
  }

  /** Those that are not closed. */
  get openHandles() {
    return this.#quorums.filter(({ isClosed }) => !isClosed).map(({ handle }) => handle);
  }

  get inFlight() {
    return [...this.#requests.keys()];
  }

  // ---- events

  #connect(quorum, place, state, rest) {
    const { handle } = quorum;
    if (quorum.isClosed) return;
    const member = quorum.members[place];
    const event = { event: 'connection', handle, instance: place, state };
    if (state === 'down') {
      const { code, message, reply } = alone(this.#failedVote(member));
      Object.assign(event, { code, message }, reply && { reply });
    }
    this.#tell(event);
    if (rest < 4) {
      const next = this.#chance.pick(['ready', 'ready', 'down', 'connecting']);
      this.#after(this.#chance.between(1, 400), () => this.#connect(quorum, place, next, rest + 1));
    }
    if (member.isClient && state === 'down' && this.#chance.is(0.3)) {
      const why = `our own connection is down: \u0002${quoted(this.#world.secretOf(member.config), this.#chance)}\u0003`;
      this.#reroute(handle, place, why, true);
    }
  }

  /** @param {number} count how many events come at once */
  chatter(count) {
    const [handle] = this.openHandles;
    if (handle === undefined) return;
    for (let told = 0; told < count; told++) {
      const state = told % 2 === 0 ? 'ready' : 'connecting';
      this.#tell({ event: 'connection', handle, instance: 0, state });
    }
  }

  #tell(event) {
    this.#world.count('events');
    this.#push({ ...NOTHING, kind: EVENT, detail: event });
  }

  // ---- answers

  #answer(request, answer) {
    if (request.isAnswered) return;
    request.isAnswered = true;
    const { slot, attempts } = request;
    this.#push({ ...NOTHING, slot, attempts, request, ...answer });
  }

  #fail(request, code, votes, until = 0) {
    const reason = `it came to ${code}, as \u0002${this.#world.anySecret(request.quorum.members)}\u0003 says`;
    const detail = { code: `ERR_REDLOCK_${code}`, reason, votes };
    this.#world.count('refusals');
    this.#answer(request, { kind: FAILED, until, detail });
  }

  #push(answer) {
    if (this.#wake === undefined) return;
    this.#outbox.push(answer);
    if (this.#isWaking) return;
    this.#isWaking = true;
    const { now } = this.#time;
    this.#time.laterAt(now + this.#chance.next() * this.weather.wake, () => {
      this.#isWaking = false;
      this.#world.trace(`wake: ${this.#outbox.length} at ${Math.round(this.#time.now)}`);
      if (this.#outbox.length > 1024) this.#world.count('bursts of more than 1,024 answers');
      if (this.#wake !== undefined) this.#world.duringWake(this.#wake);
    });
  }

  #after(ms, run) {
    this.#behind(this.#time.now + ms, run);
  }

  #behind(at, run) {
    this.#time.behind(at, run);
  }
}

/** An answer's numbers, all of which it has. */
const NOTHING = {
  ...{ slot: -1, kind: EVENT, attempts: 0, until: 0, value: '', since: 0 },
  ...{ detail: undefined, request: undefined, token: '' },
};

class Request {
  attempts = 0;
  isAnswered = false;
  isCancelled = false;

  constructor(row, quorum, start) {
    Object.assign(this, row);
    this.quorum = quorum;
    this.start = start;
  }
}

/** The same without anything that is inherited. */
function alone(object) {
  return Object.assign(Object.create(null), object);
}

/** As servers and libraries repeat a secret: as it is, in JSON, in a URL. */
function quoted(secret, chance) {
  return chance.pick([secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]);
}

module.exports = { FakeEngine };
