'use strict';

/**
 * Callers' clients in the looks of some libraries, each with a server of its own. By chance they answer right, twice,
 * late, oddly or never, carry a command out twice, throw, fail with anything, and lead elsewhere from one moment to
 * the next.
 */

const { createHash } = require('node:crypto');

const { SCRIPTS } = require('./binding');
const { REPLIES, THENABLES, errorsWith, thenable } = require('./oddities');

/** What a script is, by its text and by its digest. */
const KNOWN = new Map(
  Object.entries(SCRIPTS).flatMap(([name, text]) => [
    [text, name],
    [createHash('sha1').update(text).digest('hex'), name],
  ]),
);

/** How a command may end. */
const WAYS = [
  [60, 'right'],
  [6, 'twice'],
  [5, 'late'],
  [3, 'never'],
  [5, 'again'],
  [10, 'odd'],
  [3, 'thenable'],
  [4, 'throws'],
  [4, 'fails'],
];

/** A server and the connection to it, which all libraries' looks share. */
class Behaviour {
  #world;
  #keys = new Map();
  #digests = new Set();
  /** Commands that are not answered, by what they ask. @type {Map<string, number>} */
  open = new Map();
  /** How often it has begun to lead elsewhere, and at which step it last did. */
  epoch = 0;
  changedAt = -1;
  isBare = false;
  isClosed = false;

  /**
   * @param {import('./world').World} world
   * @param {string} name
   */
  constructor(world, name) {
    this.#world = world;
    this.name = name;
    this.host = `${name}.example`;
    this.secret = world.makeSecret();
    /** Whether it does as it should. */
    this.isCalm = world.chance.is(0.3);
    this.refuses = world.chance.pick([0, 0, 0.2]);
    this.form = world.chance.pick([Number, String, BigInt, (number) => Buffer.from(String(number))]);
  }

  /**
   * Carries a command out.
   *
   * @param {boolean} isDigest
   * @param {string} script its text or its digest
   * @param {string[]} keys
   * @param {string[]} args
   * @param {(error: unknown, reply?: unknown) => void} answer may be called twice
   */
  command(isDigest, script, keys, args, answer) {
    const world = this.#world;
    const { chance } = world;
    if (!keys.every((key) => typeof key === 'string') || !args.every((arg) => typeof arg === 'string')) {
      world.violate(`${this.name} was given keys or arguments that are no text`);
    }
    const name = KNOWN.get(script) ?? (isDigest ? undefined : 'custom');
    const key = `${name === 'inspect' ? 'inspect' : (args[0] ?? '')} ${keys}`;
    const way = this.isCalm ? 'right' : chance.weigh(WAYS);
    world.trace(`${this.name}: ${isDigest ? 'evalsha' : 'eval'} ${name} ${keys} ${way}`);
    world.count(`clients: ${way}`);
    if (isDigest && !this.#digests.has(script)) {
      answer(world.own(new Error('NOSCRIPT No matching script. Please use EVAL.')));
      return;
    }
    if (!isDigest) this.#digests.add(createHash('sha1').update(script).digest('hex'));
    if (way === 'throws') throw world.own(chance.pick(errorsWith(this.secret))());
    this.open.set(key, (this.open.get(key) ?? 0) + 1);
    const settle = (error, reply) => {
      this.open.set(key, this.open.get(key) - 1);
      answer(error, reply);
    };
    const wait = chance.pick([0, 0, 1, 5, 30]);
    const after = (ms, run) => {
      if (ms === 0 && chance.is(0.3)) run();
      else world.time.later(ms, run);
    };
    const reply = () => this.form(this.#carryOut(name, keys, args));
    switch (way) {
      case 'never':
        this.#carryOut(name, keys, args);
        break;
      case 'twice':
        after(wait, () => {
          settle(null, reply());
          answer(null, chance.pick([0, keys.length, 'again']));
          answer(world.own(new Error('and then it failed')));
        });
        break;
      case 'again':
        this.#carryOut(name, keys, args);
        after(wait, () => settle(null, reply()));
        break;
      case 'odd':
        after(wait, () => {
          world.count('odd answers');
          settle(null, chance.pick(REPLIES)());
        });
        break;
      case 'thenable':
        after(wait, () => settle(null, chance.pick(THENABLES)()));
        break;
      case 'fails':
        after(wait, () => settle(world.own(chance.pick(errorsWith(this.secret))()) || new Error('x')));
        break;
      default:
        after(way === 'late' ? 1_500 : wait, () => {
          const result = name === 'inspect' ? this.#look(keys[0]) : reply();
          settle(null, result);
        });
    }
  }

  #look(key) {
    const held = this.#keys.get(key);
    const { now } = this.#world.time;
    if (held === undefined || held.until <= now) return [null, -2];
    return [held.value, Math.ceil(held.until - now)];
  }

  #carryOut(name, keys, [value, ttl]) {
    const { now } = this.#world.time;
    const held = keys.map((key) => this.#keys.get(key)).filter((one) => one !== undefined && one.until > now);
    const own = held.filter((one) => one.value === value).length;
    switch (name) {
      case 'acquire':
      case 'first':
        if (this.#world.chance.is(this.refuses)) return 0;
        if (own === keys.length) return -1;
        if (held.length > 0) return keys.length - held.length;
        break;
      case 'extend':
        if (own < keys.length) return own;
        break;
      case 'release':
        for (const key of keys) if (this.#keys.get(key)?.value === value) this.#keys.delete(key);
        return own;
      case 'inspect':
        return 0;
      default:
        return this.#world.chance.pick([0, keys.length, keys.length]);
    }
    for (const key of keys) this.#keys.set(key, { value, until: now + Number(ttl) });
    return keys.length;
  }

  /** @param {string} address as the package calls it */
  isAt(address) {
    return address?.includes(this.host) || (this.isBare && address === 'unknown client');
  }

  /** The answer as a promise. */
  promised(isDigest, script, keys, args) {
    let settle;
    const promise = new Promise((resolve, reject) => {
      settle = (error, reply) => (error ? reject(error) : resolve(reply));
    });
    this.command(isDigest, script, keys, args, settle);
    return promise;
  }

  /** How it ends. */
  async quit() {
    const { chance, time } = this.#world;
    const way = this.isCalm ? 'right' : chance.pick(['right', 'right', 'late', 'never', 'throws', 'fails']);
    this.#world.trace(`${this.name}: quit ${way}`);
    if (way === 'never') await new Promise(() => {});
    if (way === 'late') await new Promise((resolve) => time.later(1_000, resolve));
    if (way === 'throws' || way === 'fails') {
      const error = chance.pick(errorsWith(this.secret))();
      // Bluebird itself looks at what its promises are rejected with.
      throw this.#world.own(this.#world.hasBluebird || !error ? new Error('it can not quit') : error);
    }
    return 'OK';
  }
}

/** In whatever shape: what a script is run on, and the callback if there is one. */
function wordsOf(first, rest) {
  const [script, count, ...words] = [first, ...rest].flat();
  const callback = typeof words.at(-1) === 'function' ? words.pop() : undefined;
  return { script, keys: words.slice(0, count), args: words.slice(count), callback };
}

/** What ioredis makes of a call before it is sent. */
class Command {
  args = [];
  getKeys() {}
  initPromise() {
    return Command._transformer;
  }
  _iterateKeys() {
    return this.keys.push('');
  }
  stringifyArguments() {
    return this.args.length;
  }
  toWritable() {
    return '\r\n';
  }
}

/** Its methods stand where ioredis has them and their texts have the marks of its own, by which it is known. */
class Ioredis {
  commandQueue = [];
  offlineQueue = [];
  connector = new (class Connector {
    connect() {
      return 'createConnection';
    }
  })();
  condition = { select: 0 };
  status = 'ready';
  #behaviour;
  #ended = [];

  constructor(behaviour) {
    this.#behaviour = behaviour;
    const { host, secret } = behaviour;
    this.options = { host, port: 6379, password: secret, db: 0 };
  }

  defineCommand() {}
  getBuiltinCommands() {}
  resetOfflineQueue() {}
  sendCommand() {
    throw new Error('VALID_IN_SUBSCRIBER_MODE offlineQueue');
  }
  call() {
    throw new Error('showFriendlyErrorStack replyEncoding');
  }

  on(event, listener) {
    if (event === 'end') this.#ended.push(listener);
  }

  eval(text, count, ...rest) {
    // showFriendlyErrorStack, replyEncoding
    if (!(#behaviour in this)) return new Command();
    return this.#behaviour.promised(false, text, rest.slice(0, count), rest.slice(count));
  }

  evalsha(digest, count, ...rest) {
    // showFriendlyErrorStack, replyEncoding
    return this.#behaviour.promised(true, digest, rest.slice(0, count), rest.slice(count));
  }

  quit() {
    return this.#behaviour.quit();
  }

  disconnect() {
    throw new Error('it can not be disconnected');
  }

  changes = {
    database: () => {
      this.condition.select += 1;
    },
    prefix: () => {
      this.options.keyPrefix = `prefix-${this.#behaviour.epoch}:`;
    },
    host: () => {
      this.options.host = `${this.#behaviour.epoch}.${this.#behaviour.host}`;
    },
    closed: () => {
      this.status = 'end';
      for (const listener of this.#ended) listener();
    },
    replaced: () => {
      this.eval = (first, ...rest) => {
        const { script, keys, args, callback } = wordsOf(first, rest);
        if (!callback) return this.#behaviour.promised(false, script, keys, args);
        this.#behaviour.command(false, script, keys, args, callback);
        return undefined;
      };
    },
  };
}

class NodeRedis {
  isOpen = true;
  isReady = true;
  #behaviour;
  #options;

  constructor(behaviour) {
    this.#behaviour = behaviour;
    const { host, secret } = behaviour;
    this.#options = { socket: { host, port: 6379 }, username: 'user', password: secret, database: 0 };
  }

  get options() {
    return this.#options;
  }

  withTypeMapping() {
    return this;
  }
  incrByFloat() {}
  _executeCommand(_, parser) {
    return parser.redisArgs;
  }
  sendCommand(queue) {
    return queue.addCommand();
  }

  eval(text, { keys, arguments: args }) {
    // .parseCommand(), _executeCommand
    return this.#behaviour.promised(false, text, keys, args);
  }

  evalSha(digest, { keys, arguments: args }) {
    // .parseCommand(), _executeCommand
    return this.#behaviour.promised(true, digest, keys, args);
  }

  quit() {
    return this.#behaviour.quit();
  }

  destroy() {
    this.isOpen = false;
  }

  changes = {
    database: () => {
      this.options.database += 1;
    },
    host: () => {
      this.options.socket.host = `${this.#behaviour.epoch}.${this.#behaviour.host}`;
    },
    closed: () => {
      this.isOpen = false;
    },
  };
}

/** redis 3: callbacks only, and true or false for how full it is. */
class Redis3 {
  connection_id = 1;
  command_queue = [];
  auth_user = null;
  ready = true;
  closing = false;
  selected_db = 0;
  #behaviour;

  constructor(behaviour) {
    this.#behaviour = behaviour;
    const { host, secret } = behaviour;
    this.connection_options = { host, port: 6379 };
    this.options = { host, password: secret };
    this.auth_pass = secret;
  }

  flush_and_error() {}
  internal_send_command() {
    return 'fire_strings command_queue';
  }
  send_command() {
    this.internal_send_command(new Command());
  }
  sendCommand() {
    this.internal_send_command(new Command());
  }
  write() {
    return 'pipeline_queue';
  }
  write_strings() {
    return 'pipeline_queue';
  }
  write_buffers() {
    return 'pipeline_queue';
  }

  eval([text, count, ...rest], callback) {
    // .internal_send_command(new Command())
    this.#behaviour.command(false, text, rest.slice(0, count), rest.slice(count), callback);
    return false;
  }

  evalsha([digest, count, ...rest], callback) {
    // .internal_send_command(new Command())
    this.#behaviour.command(true, digest, rest.slice(0, count), rest.slice(count), callback);
    return true;
  }

  quit(callback) {
    this.#behaviour.quit().then(
      (reply) => callback(null, reply),
      (error) => callback(error || new Error('x')),
    );
  }

  end() {
    this.closing = true;
  }

  changes = {
    database: () => {
      this.selected_db += 1;
    },
    closed: () => {
      this.closing = true;
    },
  };
}

/** Anything with an `eval`, which answers by its callback, a promise, both or at once. */
class Bare {
  #behaviour;
  #way;

  constructor(behaviour, chance) {
    this.#behaviour = behaviour;
    this.#way = chance.pick(['callback', 'promise', 'both', 'thenable']);
    this.options = { password: behaviour.secret };
  }

  eval(text, count, ...rest) {
    const callback = rest.pop();
    const keys = rest.slice(0, count);
    const args = rest.slice(count);
    const behaviour = this.#behaviour;
    switch (this.#way) {
      case 'callback':
        behaviour.command(false, text, keys, args, callback);
        return undefined;
      case 'promise':
        return behaviour.promised(false, text, keys, args);
      case 'both': {
        let answer;
        const promise = new Promise((resolve, reject) => {
          answer = (error, reply) => {
            if (error) reject(error);
            else resolve(reply);
            callback(error, reply);
          };
        });
        behaviour.command(false, text, keys, args, answer);
        return promise;
      }
      default:
        return thenable((resolve, reject) => {
          behaviour.command(false, text, keys, args, (error, reply) =>
            error ? reject(error) : resolve(reply),
          );
        });
    }
  }

  changes = {};
}

const LOOKS = [Ioredis, Ioredis, NodeRedis, Redis3, Bare];

/**
 * @param {import('./world').World} world
 * @param {string} name
 * @returns {{client: any, behaviour: Behaviour, change: (chance: import('./chance').Chance) => void}}
 */
function makeClient(world, name) {
  const behaviour = new Behaviour(world, name);
  const Look = world.chance.pick(LOOKS);
  const client = new Look(behaviour, world.chance);
  behaviour.isBare = Look === Bare;
  world.addBehaviour(behaviour);
  Object.defineProperty(client, 'changes', { enumerable: false });
  const change = (chance) => {
    const kinds = Object.keys(client.changes);
    if (kinds.length === 0) return;
    const kind = chance.pick(kinds);
    if (kind === 'closed' && (behaviour.isClosed || !chance.is(0.2))) return;
    if (kind === 'closed') behaviour.isClosed = true;
    behaviour.epoch += 1;
    behaviour.changedAt = world.steps;
    world.count('changes of a client');
    world.trace(`${name} changes: ${kind}`);
    client.changes[kind]();
  };
  return { client, behaviour, change };
}

module.exports = { makeClient };
