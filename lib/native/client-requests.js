'use strict';

/**
 * The engine's questions for callers' clients: those of one drain are taken out of native together, each is put to all the
 * clients that are asked it in the context of whom it is asked for, and what one client is asked goes out together.
 */

const { call } = require('./calls');
const { question: layout, operations } = require('../constants');
const { apart, contextOf } = require('./context');

/**
 * @typedef {import('../../binding').Mailbox} Mailbox
 * @typedef {import('../clients/bridge').Bridge} Bridge
 * @typedef {import('./types').Question} Question
 */

const { operationAt, plainAt, ttlAt, contextAt, scriptLengthAt, valueLengthAt, countAt } = layout;
const HEAD_LENGTH = layout.numbers;

/** @type {Question['operation'][]} */
const NAMES = [];
NAMES[operations.lock] = 'lock';
NAMES[operations.extend] = 'extend';
NAMES[operations.unlock] = 'unlock';
NAMES[operations.inspect] = 'inspect';

class ClientRequests {
  #numbers = new Float64Array(4096);
  /** Those of this drain that were read so far. @type {Question[]} */
  #questions = [];
  /** Where the next one is. */
  #at = 0;
  /** What is left of their text. */
  #text = '';
  #textAt = 0;
  /** What is put next, which is one of them. */
  #index = -1;
  /** To whom it is put, and what the answer comes with. @type {Bridge[]} */
  #bridges = [];
  /** @type {number[]} */
  #tickets = [];
  /** Whose questions of this drain go out together. @type {Set<Bridge>} */
  #gathered = new Set();

  /**
   * Has a client asked, at `flush` at the latest.
   *
   * @param {Mailbox} mailbox
   * @param {Bridge | undefined} bridge the client; undefined where nobody can be asked any more
   * @param {number} ticket
   * @param {number} index which of the questions of this drain
   */
  add(mailbox, bridge, ticket, index) {
    if (this.#questions.length === 0) this.#take(mailbox);
    while (this.#questions.length <= index) this.#questions.push(this.#read());
    if (index !== this.#index) this.flush();
    if (bridge === undefined) return;
    this.#index = index;
    this.#bridges.push(bridge);
    this.#tickets.push(ticket);
  }

  /** Asks what is not asked yet. */
  flush() {
    if (this.#bridges.length === 0) return;
    const question = this.#questions[this.#index];
    const bridges = this.#bridges;
    const tickets = this.#tickets;
    this.#bridges = [];
    this.#tickets = [];
    const context = contextOf(question.context);
    if (context) context.runInAsyncScope(this.#ask, undefined, question, bridges, tickets);
    else for (let at = 0; at < bridges.length; at++) bridges[at].refuse(tickets[at]);
  }

  /** All of this drain is asked. */
  end() {
    if (this.#questions.length === 0) return;
    this.flush();
    this.#questions = [];
    this.#text = '';
    this.#index = -1;
    for (const bridge of this.#gathered) call(sendAll, bridge);
    this.#gathered.clear();
  }

  /**
   * @param {Question} question
   * @param {Bridge[]} bridges
   * @param {number[]} tickets
   */
  #ask = (question, bridges, tickets) => {
    for (let at = 0; at < bridges.length; at++) {
      const bridge = bridges[at];
      if (!this.#gathered.has(bridge)) {
        this.#gathered.add(bridge);
        bridge.gather();
      }
      const ticket = tickets[at];
      if (bridge.isUnseen) bridge.run(question, ticket);
      // A wrapper may enter a context of its own, which is no other client's.
      else apart(() => bridge.run(question, ticket));
    }
  };

  /** @param {Mailbox} mailbox */
  #take(mailbox) {
    let text = mailbox.questions(this.#numbers);
    while (text === null) {
      this.#numbers = new Float64Array(2 * this.#numbers.length);
      text = mailbox.questions(this.#numbers);
    }
    this.#text = text;
    this.#textAt = 0;
    this.#at = 0;
  }

  /** @returns {Question} */
  #read() {
    const row = this.#numbers;
    const at = this.#at;
    const scriptLength = row[at + scriptLengthAt];
    const script = scriptLength < 0 ? undefined : this.#cut(scriptLength);
    const value = this.#cut(row[at + valueLengthAt]);
    const count = row[at + countAt];
    const ttl = row[at + ttlAt];
    const keys = [];
    this.#at += HEAD_LENGTH + count;
    for (let key = at + HEAD_LENGTH; key < this.#at; key++) keys.push(this.#cut(row[key]));
    const operation = NAMES[row[at + operationAt]];
    const isPlain = row[at + plainAt] === 1;
    const args = operation === 'inspect' ? [] : ttl < 0 ? [value] : [value, String(ttl)];
    return { operation, script, isPlain, keys, args, context: row[at + contextAt] };
  }

  /** @param {number} length */
  #cut(length) {
    const from = this.#textAt;
    this.#textAt += length;
    return this.#text.slice(from, this.#textAt);
  }
}

/** @param {Bridge} bridge */
function sendAll(bridge) {
  bridge.sendAll();
}

module.exports = { clientRequests: new ClientRequests() };
