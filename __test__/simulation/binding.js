'use strict';

/**
 * Native's side of the hand-over as docs/hand-over.md has it, in JavaScript: rows are read strictly, so that one that
 * is shifted, half written or not what anybody has asked for is found at once.
 */

const real = require('../../binding.js');
const { version } = require('../../package.json');

const REQUEST_NUMBERS = 17;
const ANSWER_NUMBERS = 6;
const VALUE_LENGTH = 32;
const CLIENT_REQUEST = 5;

const { operations, flags: FLAGS } = real.constants();

const SCRIPTS = {
  acquire: '-- the acquire script',
  extend: '-- the extend script',
  release: '-- the release script',
  inspect: '-- the inspect script',
  first: '-- the first acquire script',
};

/**
 * @param {import('./world').World} world
 * @returns {object} what binding.js exports
 */
function makeBinding(world) {
  class Mailbox extends FakeMailbox {
    /** @param {() => void} wake */
    constructor(wake) {
      super(world, wake);
    }
  }
  return {
    Mailbox,
    defaultScripts: () => ({ ...SCRIPTS }),
    version: () => version,
    constants: real.constants,
    clock: () => world.time.now,
    // As an exception that nobody catches: the world listens for those.
    raise: (error) => process.emit('uncaughtException', error),
  };
}

class FakeMailbox {
  #world;
  #engine;
  #questions = new Questions();

  /**
   * @param {import('./world').World} world
   * @param {() => void} wake
   */
  constructor(world, wake) {
    this.#world = world;
    this.#engine = world.engine;
    this.#check(typeof wake === 'function', 'wake is no function');
    this.#engine.attach(wake);
  }

  #check(isTrue, what) {
    if (!isTrue) this.#world.violate(`hand-over: ${what}`);
  }

  /** @param {string} config */
  open(config) {
    this.#check(typeof config === 'string', 'open() takes a string');
    return this.#engine.open(JSON.parse(config));
  }

  close(handle) {
    this.#check(isWhole(handle), 'close() takes a handle');
    this.#engine.close(handle);
  }

  addScripts(...texts) {
    for (const text of texts)
      this.#check(isAbsent(text) || typeof text === 'string', 'addScripts() takes texts');
    return this.#engine.learn(texts);
  }

  removeScripts(number) {
    this.#check(isWhole(number), 'removeScripts() takes a number');
    this.#engine.forget(number);
  }

  updateClient(handle, place, server, ...rest) {
    const keep = rest.pop();
    this.#check(isWhole(handle) && isWhole(place), 'updateClient() takes a handle and a place');
    this.#check(isAbsent(server) || typeof server === 'string', 'updateClient() takes JSON');
    this.#check(typeof keep === 'boolean', 'updateClient() takes a flag');
    this.#engine.updateClient(handle, place, isAbsent(server) ? undefined : JSON.parse(server), keep);
  }

  clientApplied(numbers) {
    this.#check(
      numbers instanceof Float64Array && numbers.length % 4 === 0,
      'clientApplied() takes rows of four',
    );
    this.#check(numbers.length > 0, 'clientApplied() without a row');
    for (let at = 0; at < numbers.length; at += 4) {
      const [handle, place, ticket, keys] = numbers.subarray(at, at + 4);
      this.#check(Number.isSafeInteger(keys), `clientApplied() for ${keys} keys`);
      this.#engine.answerErrand(handle, place, ticket, { kind: 'applied', keys });
    }
  }

  clientUnexpected(handle, place, ticket, what) {
    this.#check(typeof what === 'string', 'clientUnexpected() takes a text');
    this.#engine.answerErrand(handle, place, ticket, { kind: 'unexpected', what });
  }

  clientFailed(handle, place, ticket, number, code, message) {
    this.#check(isWhole(number), 'clientFailed() takes a number');
    this.#check(isAbsent(code) || typeof code === 'string', 'clientFailed() takes a code');
    this.#check(typeof message === 'string', 'clientFailed() takes a message');
    this.#engine.answerErrand(handle, place, ticket, { kind: 'failed', number, code, message });
  }

  clientSaw(handle, place, ticket, value, ttl) {
    this.#check(isAbsent(value) || typeof value === 'string', 'clientSaw() takes a value');
    this.#check(
      isAbsent(ttl) || (typeof ttl === 'number' && ttl >= 0),
      `clientSaw() takes a ttl, not ${String(ttl)}`,
    );
    this.#engine.answerErrand(handle, place, ticket, { kind: 'seen', value, ttl });
  }

  cancel(slot) {
    this.#check(isWhole(slot), 'cancel() takes a slot');
    this.#engine.cancel(slot);
  }

  watch(handle, number, scripts, context, terms, value, resources) {
    this.#check(isWhole(context), 'watch() takes a context');
    this.#check(isWhole(handle) && isWhole(number), 'watch() takes a handle and a number');
    this.#check(terms instanceof Float64Array && terms.length === 8, 'watch() takes eight terms');
    this.#check([0, FLAGS.wakeups].includes(terms[7]), `watch() with the flags ${terms[7]}`);
    this.#check(terms.every(Number.isFinite), `watch() takes finite terms, not ${terms}`);
    this.#check(typeof value === 'string' && value !== '', 'watch() takes a value');
    this.#check(isListOfText(resources), 'watch() takes names');
    this.#check(this.#engine.knowsScripts(scripts), `watch() with the unknown scripts ${scripts}`);
    this.#check(
      this.#world.isHeldBy(value, resources),
      `watch() of what nobody holds: ${value} ${resources}`,
    );
    const [until, ttl, lead, cap] = terms;
    this.#engine.watch(handle, number, { until, ttl, lead, cap, value, names: resources, context });
  }

  watchedUntil(number) {
    this.#check(isWhole(number), 'watchedUntil() takes a number');
    return this.#engine.keptUntil(number);
  }

  endedBy(number) {
    this.#check(isWhole(number), 'endedBy() takes a number');
    return this.#engine.endedBy(number);
  }

  unwatch(number) {
    this.#check(isWhole(number), 'unwatch() takes a number');
    this.#engine.unwatch(number);
  }

  wait(number, ms) {
    this.#check(isWhole(number), 'wait() takes a number');
    this.#check(ms >= 0, `wait() for ${ms} ms`);
    this.#engine.wait(number, ms);
  }

  wakeAgain(times) {
    this.#check(isWhole(times) && times > 0, `wakeAgain() ${times} times`);
    this.#engine.wakeAgain(times);
  }

  keepAlive(isAwake) {
    this.#check(typeof isAwake === 'boolean', 'keepAlive() takes a flag');
    this.#engine.isAwake = isAwake;
  }

  rest() {
    this.#engine.detach();
  }

  /**
   * @param {Float64Array} numbers
   * @param {number} used
   * @param {number} count
   * @param {string} text
   */
  submit(numbers, used, count, text) {
    this.#check(numbers instanceof Float64Array, 'submit() takes numbers');
    this.#check(isWhole(used) && used <= numbers.length, `submit() with ${used} of the numbers`);
    this.#check(isWhole(count) && count > 0, 'submit() takes a count');
    this.#check(typeof text === 'string', 'submit() takes a text');
    // What is written afterwards must make no difference.
    const rows = this.#read(numbers.slice(0, used), count, text);
    const refusal = this.#engine.refusal(rows);
    if (refusal) throw refusal;
    for (const row of rows) this.#engine.accept(row);
  }

  #read(numbers, count, text) {
    const rows = [];
    let at = 0;
    let textAt = 0;
    for (let row = 0; row < count; row++) {
      const head = numbers.subarray(at, at + REQUEST_NUMBERS);
      if (head.length < REQUEST_NUMBERS) this.#check(false, `row ${row} of ${count} is cut off`);
      const size = head[5];
      this.#check(isWhole(size) && size > 0, `row ${row} has ${size} resources`);
      const lengths = numbers.subarray(at + REQUEST_NUMBERS, at + REQUEST_NUMBERS + size);
      this.#check(lengths.length === size, `row ${row} has ${lengths.length} of ${size} lengths`);
      at += REQUEST_NUMBERS + size;
      const pieces = [head[4], ...lengths].map((length, index) => {
        this.#check(isWhole(length) && (length > 0 || index === 0), `row ${row} has a text of ${length}`);
        const piece = text.slice(textAt, textAt + length);
        this.#check(piece.length === length, `row ${row} goes beyond the text`);
        textAt += length;
        return piece;
      });
      rows.push(this.#look(head, pieces[0], pieces.slice(1)));
    }
    this.#check(at === numbers.length, `${numbers.length - at} numbers belong to no row`);
    this.#check(textAt === text.length, `${text.length - textAt} of the text belong to no row`);
    const slots = new Set(rows.map(({ slot }) => slot));
    this.#check(slots.size === rows.length, 'two rows have one slot');
    return rows;
  }

  #look(head, value, names) {
    const [slot, operation, ttl, instant] = head;
    const [handle, flags, retries, delay, jitter, drift] = head.subarray(6);
    const [scripts, sheet, maxWait, context, trace] = head.subarray(12);
    const engine = this.#engine;
    this.#check(isWhole(slot) && !engine.isInFlight(slot), `slot ${slot} is in flight`);
    this.#check(engine.isOpen(handle), `handle ${handle} is not open`);
    this.#check([0, 1, 2, 3, 4, 5].includes(operation), `operation ${operation}`);
    const { report: REPORT, relative, inspectIfHeld, isRepeated, queues, wakeups, fair } = FLAGS;
    const known = [REPORT | inspectIfHeld | isRepeated | queues | wakeups | fair, REPORT | relative][
      operation
    ];
    this.#check((flags & ~(known ?? REPORT)) === 0, `flags ${flags}`);
    this.#check(
      !(flags & fair) || (names.length === 1 && scripts === 0 && value === ''),
      'a turn of its own kind',
    );
    this.#check(operation < 2 ? isWhole(ttl) && ttl > 0 : ttl === 0, `a ttl of ${ttl}`);
    this.#check(isWhole(retries) || retries === -1, `retryCount ${retries}`);
    this.#check([delay, jitter, instant].every(Number.isFinite), `${delay}, ${jitter}, ${instant}`);
    this.#check(Number.isFinite(drift) && drift >= 0, `driftFactor ${drift}`);
    this.#check(engine.knowsScripts(scripts), `unknown scripts ${scripts}`);
    this.#check(isWhole(sheet), `sheet ${sheet}`);
    this.#check(maxWait >= 0 || maxWait === -1, `maxWait ${maxWait}`);
    this.#check(this.#world.isListenedTo ? isWhole(trace) : trace === 0, `trace ${trace}`);
    this.#check(isWhole(context) && context > 0 === engine.hasClients(handle), `context ${context}`);
    this.#check(value === '' || operation < 3, `operation ${operation} with a value`);
    this.#check(operation !== 4 || instant >= 0, `a wait of ${instant}`);
    const isAsked = operation > 3 ? names.join() === '*' : this.#world.isAskedFor(operation, names, value);
    this.#check(isAsked, `nobody asked for operation ${operation} on ${JSON.stringify([names, value])}`);
    const report = (flags & 1) !== 0;
    const isRelative = (flags & 2) !== 0;
    return {
      ...{ slot, handle, operation, names, value, ttl, retries, delay, drift, instant },
      ...{ scripts, sheet, maxWait, context, report, isRelative },
    };
  }

  /**
   * @param {Float64Array} numbers
   * @param {Uint8Array} values
   * @returns {string | null}
   */
  drain(numbers, values) {
    this.#check(numbers instanceof Float64Array && values instanceof Uint8Array, 'drain() takes room');
    const room = Math.min(Math.floor((numbers.length - 1) / ANSWER_NUMBERS), values.length / VALUE_LENGTH);
    const answers = this.#engine.take(Math.floor(room));
    const { now } = this.#world.time;
    const details = [];
    let locked = 0;
    this.#check(this.#questions.isEmpty, 'drain() before what clients are asked was taken');
    this.#questions = new Questions();
    numbers[0] = answers.length;
    answers.forEach((answer, row) => {
      const { slot, kind, attempts, until, value, since, detail } = answer;
      const left = Math.max(0, until - now);
      if (kind === CLIENT_REQUEST) {
        const { ticket, handle, instance } = detail;
        const which = this.#questions.add(detail);
        numbers.set([ticket, kind, handle, instance, 0, which], 1 + row * ANSWER_NUMBERS);
        return;
      }
      const last = detail === undefined ? since : details.push(detail) - 1;
      numbers.set([slot, kind, attempts, left, until, last], 1 + row * ANSWER_NUMBERS);
      if (kind !== 1) return;
      for (let at = 0; at < VALUE_LENGTH; at++) {
        values[locked * VALUE_LENGTH + at] = at < value.length ? value.charCodeAt(at) : 0;
      }
      locked += 1;
    });
    return details.length === 0 ? null : `[${details.map((one) => JSON.stringify(one)).join(',')}]`;
  }

  /**
   * @param {Float64Array} numbers
   * @returns {string | null}
   */
  questions(numbers) {
    this.#check(numbers instanceof Float64Array, 'questions() takes room');
    this.#check(!this.#questions.isEmpty, 'questions() where there are none');
    const { rows, text } = this.#questions;
    if (rows.length > numbers.length) return null;
    numbers.set(rows);
    this.#questions = new Questions();
    return text;
  }
}

/** What clients are asked by one drain; what several are asked is there once. */
class Questions {
  rows = [];
  text = '';
  #count = 0;
  #last;

  get isEmpty() {
    return this.#count === 0;
  }

  add({ operation, plain, ttl, context, script, value, keys }) {
    const texts = [value, ...keys];
    const lengths = texts.map((one) => one.length);
    const head = [operations[operation], plain ? 1 : 0, ttl ?? -1, context, script?.length ?? -1];
    const row = [...head, lengths[0], keys.length, ...lengths.slice(1)];
    const text = (script ?? '') + texts.join('');
    const all = JSON.stringify([row, text]);
    if (all !== this.#last) {
      this.#last = all;
      this.#count += 1;
      this.rows.push(...row);
      this.text += text;
    }
    return this.#count - 1;
  }
}

function isWhole(number) {
  return Number.isSafeInteger(number) && number >= 0;
}

function isAbsent(value) {
  return value === undefined || value === null;
}

function isListOfText(list) {
  return Array.isArray(list) && list.length > 0 && list.every((one) => typeof one === 'string' && one !== '');
}

module.exports = { makeBinding, SCRIPTS };
