'use strict';

/** Clients of nobody's library, over a table in memory, as apps' own tests have them. */

const Redlock = require('../..');

/** Which of our scripts a text is. */
const OPERATIONS = new Map();

function operationOf(text) {
  if (!OPERATIONS.size) {
    const { scripts } = new Redlock(['memory://scripts-of-stubs']);
    OPERATIONS.set(scripts.lockScript.value, 'lock');
    OPERATIONS.set(scripts.extendScript.value, 'extend');
    OPERATIONS.set(scripts.unlockScript.value, 'unlock');
  }
  return OPERATIONS.get(text);
}

const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';

class Table {
  /** @type {Map<string, {value: string | Set<string>, end: number}>} */
  #keys = new Map();

  /** As a server would carry it out. */
  run(text, count, ...rest) {
    const keys = rest.slice(0, count);
    const [value, ttl] = rest.slice(count);
    const end = performance.now() + Number(ttl);
    switch (operationOf(text)) {
      case 'lock': {
        const found = keys.map((key) => this.#find(key)?.value).filter((one) => one !== undefined);
        if (found.length) return found.length === count && found.every((one) => one === value) ? -1 : 0;
        for (const key of keys) this.#keys.set(key, { value, end });
        return count;
      }
      case 'extend': {
        if (keys.some((key) => this.#text(key) !== value)) return 0;
        for (const key of keys) this.#keys.set(key, { value, end });
        return count;
      }
      case 'unlock':
        return keys.filter((key) => this.#text(key) === value && this.#keys.delete(key)).length;
      default:
        throw new Error(`the stub does not know the script ${text}`);
    }
  }

  /** Past all stubs, as a server's own commands. */
  command = (command, key, ...args) => {
    switch (command) {
      case 'GET':
        return this.#text(key) ?? null;
      case 'EXISTS':
        return this.#find(key) ? 1 : 0;
      case 'PTTL':
        return (this.#find(key)?.end ?? Number.NaN) - performance.now();
      case 'SET':
        return this.#keys.set(key, { value: args[0], end: performance.now() + args[2] });
      case 'SADD':
        return this.#keys.set(key, { value: new Set(args), end: Number.POSITIVE_INFINITY });
      default:
        throw new Error(`the stub has no ${command}`);
    }
  };

  get size() {
    return [...this.#keys.keys()].filter((key) => this.#find(key)).length;
  }

  /**
   * A client over this table.
   *
   * @param {string} style 'promises' or 'callbacks'
   */
  stub(style) {
    let isClosed = false;
    const run = (args) => {
      if (isClosed) throw new Error('the stub is closed');
      return this.run(...args);
    };
    const quit = () => {
      isClosed = true;
      return 'OK';
    };
    if (style === 'promises') return { eval: async (...args) => run(args), quit: async () => quit() };
    return {
      eval(...args) {
        const callback = args.pop();
        setImmediate(() => {
          let reply;
          try {
            reply = run(args);
          } catch (error) {
            callback(error);
            return;
          }
          callback(null, reply);
        });
      },
      quit: async () => quit(),
    };
  }

  #find(key) {
    const found = this.#keys.get(key);
    return found && performance.now() < found.end ? found : undefined;
  }

  #text(key) {
    const value = this.#find(key)?.value;
    if (value instanceof Set) throw new Error(WRONG_TYPE);
    return value;
  }
}

/** @type {Map<string, Table>} */
const tables = new Map();

/**
 * The table of that name, made when it is first asked for; a new one without a name.
 *
 * @param {string} [name]
 */
function makeTable(name) {
  const table = (name !== undefined && tables.get(name)) || new Table();
  if (name !== undefined) tables.set(name, table);
  return table;
}

module.exports = { makeTable };
