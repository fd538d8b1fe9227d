'use strict';

/**
 * An open quorum: the engine over its members, the scripts that they run, and its end. All faces have one.
 *
 * @typedef {import('./native').Scripts} Scripts
 * @typedef {object} QuorumOptions
 * @property {object} [deadlines] how long instances may take for their votes
 * @property {import('./instances/members').RoutePolicy} [policy] how callers' clients are asked
 * @property {import('./clients/client').Dialect} dialect how clients are asked that are of no known library
 * @property {FaceScripts} [scripts] where the face has scripts
 * @property {boolean} [isHeardLate] whether answers are told through promises of another library, as bluebird
 *
 * @typedef {object} FaceScripts
 * @property {import('./scripts').Naming} naming
 * @property {readonly string[]} texts in its order
 * @property {(custom: Scripts) => Scripts} [adapt] what is run in place of a caller's own
 */

const { allTold } = require('./channels');
const { readMembers } = require('./instances/members');
const { Engine } = require('./native');
const { deferred } = require('./native/calls');
const { keepAlive } = require('./native/mailbox');
const { customScripts, refuseInMemory } = require('./scripts');

class Quorum {
  /** @type {Engine} */
  engine;
  /** What stands for each member: a client as it was passed, the others by address, as they have passwords. @type {unknown[]} */
  voters;
  /** The callers' clients, each once. @type {import('./clients/bridge').Bridge[]} */
  clients;
  /** Whether nobody but this process can be the holder. */
  isInMemory;
  /** The scripts that the engine was told of last. @type {FaceScripts | undefined} */
  #scripts;
  /** @type {Promise<unknown[]> | undefined} */
  #quitting;

  /**
   * @param {object} owner emits its events; without it the engine is closed
   * @param {unknown} instances
   * @param {QuorumOptions} options
   */
  constructor(owner, instances, options) {
    const { deadlines = {}, policy = 'auto', dialect, scripts, isHeardLate = false } = options;
    const custom = scripts && customOf(scripts);
    const members = readMembers(instances, policy, dialect);
    if (custom) refuseInMemory(members);
    this.isInMemory = members.every(({ config }) => config.kind === 'memory');
    this.engine = new Engine(owner, members, deadlines);
    this.engine.isHeardLate = isHeardLate;
    if (custom) this.engine.useScripts(custom);
    this.#scripts = scripts;
    const bridges = members.map(({ bridge }) => bridge);
    this.voters = bridges.map((bridge, index) => bridge?.original ?? this.engine.addresses[index]);
    this.clients = [...new Set(bridges)].filter((bridge) => bridge !== undefined);
  }

  /** The scripts' texts, as they were when they were last looked at. @returns {readonly string[]} */
  get texts() {
    return this.#scripts?.texts ?? NO_TEXTS;
  }

  /** Whether one of them is a caller's. */
  get hasOwnScripts() {
    return this.#scripts !== undefined && customOf(this.#scripts) !== undefined;
  }

  get isQuitting() {
    return this.#quitting !== undefined;
  }

  /**
   * Follows what may have been changed since the last request, before the next one: where the callers' clients lead,
   * and the scripts that a face shows.
   *
   * @param {string[]} [texts] of those, if one isn't as it was
   * @returns {Engine}
   */
  refresh(texts) {
    this.engine.refreshClients();
    if (texts) this.#followScripts(texts);
    return this.engine;
  }

  /** @param {string[]} texts */
  #followScripts(texts) {
    const before = /** @type {FaceScripts} */ (this.#scripts);
    const scripts = { ...before, texts };
    this.engine.useScripts(customOf(scripts) ?? {});
    this.#scripts = scripts;
  }

  /**
   * Lets what is in flight end, refuses what comes later, and quits the callers' clients. The first call decides.
   *
   * @param {() => Promise<unknown>} [before] what is to be done first
   * @returns {Promise<unknown[]>} what each member answered: a client to QUIT, which redlock 4 passes on; else OK
   */
  quit(before) {
    if (this.#quitting === undefined) {
      // Listeners that are told of it may quit too.
      const { promise, resolve } = deferred();
      this.#quitting = promise;
      resolve(this.#quit(before));
    }
    return this.#quitting;
  }

  /** @param {(() => Promise<unknown>) | undefined} before */
  async #quit(before) {
    const letSleep = keepAlive();
    let quits;
    try {
      if (before) await before();
      await this.engine.close();
      quits = await Promise.allSettled(this.clients.map((bridge) => bridge.quit()));
      // Whoever ends the process after this has been told of all.
      await allTold();
    } finally {
      letSleep();
    }
    const failed = quits.find((quit) => quit.status === 'rejected');
    if (failed) throw failed.reason;
    const replies = new Map(this.clients.map((bridge, at) => [bridge.original, quits[at]]));
    return this.voters.map((voter) => {
      const quit = replies.get(voter);
      return quit?.status === 'fulfilled' ? quit.value : 'OK';
    });
  }
}

/** @type {readonly string[]} */
const NO_TEXTS = [];

/** @param {FaceScripts} scripts */
function customOf({ naming, texts, adapt }) {
  const custom = customScripts(naming, texts);
  return custom && adapt ? adapt(custom) : custom;
}

/**
 * The quorum of the Redlock algorithm: N/2+1 instances of N. For what is told to people; whether a lock is granted,
 * native decides.
 *
 * @param {number} instances
 */
function majorityOf(instances) {
  return Math.floor(instances / 2) + 1;
}

module.exports = { Quorum, majorityOf };
