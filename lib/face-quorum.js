'use strict';

/**
 * The quorum of a face on which `servers` and the scripts may be changed at any time, as in redlock 4: both are looked at
 * before each request.
 */

const { unreadable } = require('./errors');
const { elementsOf, isArray } = require('./foreign');
const { clock } = require('./addon');
const { Quorum } = require('./quorum');
const { LOCK_SCRIPTS, readScripts, textsOf, changedTexts } = require('./scripts');

/**
 * A face's `servers`: it shows who is in the quorum, and others may be put in their place.
 */
class Servers {
  /** What stands for each member. @type {unknown[]} */
  #voters = [];
  /** By that, what was passed for it: a server that is put into another order comes with its password. @type {Map<unknown, unknown>} */
  #passed = new Map();

  /**
   * Those of a quorum that was just opened.
   *
   * @param {unknown[]} voters
   * @param {unknown[]} instances that they were made of
   */
  set(voters, instances) {
    this.#voters = voters;
    this.#passed = new Map(voters.map((voter, index) => [voter, instances[index]]));
  }

  /**
   * What `servers` is to be: the caller's own array, unless it has what isn't to be seen.
   *
   * @param {unknown} servers
   */
  shown(servers) {
    return this.isSame(servers) ? servers : [...this.#voters];
  }

  /**
   * Whether they are the same as ever: asked before each request, so that it copies nothing.
   *
   * @param {any} servers
   */
  isSame(servers) {
    const known = this.#voters;
    if (!isArray(servers)) return false;
    try {
      for (let at = 0; at < known.length; at++) if (servers[at] !== known[at]) return false;
      return servers.length === known.length;
    } catch {
      return false;
    }
  }

  /**
   * @param {unknown} servers as they are shown, or others
   * @returns {unknown} what they were passed as
   */
  asPassed(servers) {
    if (!isArray(servers)) return servers;
    const listed = elementsOf(servers, unreadable('INSTANCES', 'instances'));
    return listed.map((one) => (this.#passed.has(one) ? this.#passed.get(one) : one));
  }
}

class FaceQuorum {
  #face;
  #profile;
  #options;
  /** @type {Quorum} */
  #quorum;
  /** Those of servers before, that keep locks still. @type {Set<import('./native').Engine>} */
  #retired = new Set();
  #servers = new Servers();
  #isHeardLate = false;
  /** Since when it is over these servers: no lock that was taken before was handed over by it. On the engine's clock. */
  openedAt = 0;

  /**
   * Gives the face its `servers`, and its scripts where it shows them.
   *
   * @param {any} face emits the events
   * @param {import('./profile').Profile} profile
   * @param {unknown} instances
   * @param {ReturnType<typeof import('./options').readOptions>} options
   */
  constructor(face, profile, instances, { deadlines, policy, scripts: changes }) {
    this.#face = face;
    this.#profile = profile;
    this.#options = { deadlines, policy };
    const scripts = readScripts(LOCK_SCRIPTS, profile.scripts === 'none' ? {} : changes);
    this.#quorum = this.#open(instances, textsOf(LOCK_SCRIPTS, scripts));
    if (profile.scripts !== 'none') {
      for (const name of LOCK_SCRIPTS.names) face[name] = scripts[name].value;
    }
    if (profile.scripts === 'scripts') face.scripts = scripts;
    face.servers = this.#servers.shown(instances);
  }

  get engine() {
    return this.#quorum.engine;
  }

  get isInMemory() {
    return this.#quorum.isInMemory;
  }

  /** Whether a script of the caller's runs in place of one of ours. */
  get hasOwnScripts() {
    return this.#quorum.hasOwnScripts;
  }

  /** Its answers are told through promises of another library. */
  hearLate() {
    this.#isHeardLate = true;
    this.engine.isHeardLate = true;
  }

  /**
   * To be called before each request.
   *
   * @param {any} face on which it is made
   * @returns {import('./native').Engine}
   */
  refresh(face) {
    const { servers } = face;
    if (!this.#servers.isSame(servers)) this.#followServers(face, servers);
    return this.#quorum.refresh(this.#changedTextsOn(face));
  }

  /** The engine there is, and those before it that keep locks still. */
  get engines() {
    return [this.engine, ...this.#retired];
  }

  /** @param {() => Promise<unknown>} [before] what is to be done first */
  quit(before) {
    const closeRetired = () => Promise.all([...this.#retired].map((engine) => engine.close()));
    return this.#quorum.quit(before ?? (this.#retired.size > 0 ? closeRetired : undefined));
  }

  /**
   * @param {unknown} instances
   * @param {readonly string[]} texts of the scripts
   */
  #open(instances, texts) {
    const { dialect, adaptScripts } = this.#profile;
    const given = isArray(instances)
      ? elementsOf(instances, unreadable('INSTANCES', 'instances'))
      : instances;
    const quorum = new Quorum(this.#face, given, {
      ...this.#options,
      dialect,
      scripts: { naming: LOCK_SCRIPTS, texts, adapt: adaptScripts },
      isHeardLate: this.#isHeardLate,
    });
    this.#servers.set(quorum.voters, /** @type {unknown[]} */ (given));
    return quorum;
  }

  /**
   * `servers` were changed since the last request.
   *
   * @param {any} face
   * @param {unknown} servers
   */
  #followServers(face, servers) {
    const before = this.#quorum;
    this.#quorum = this.#open(this.#servers.asPassed(servers), before.texts);
    this.openedAt = clock();
    face.servers = this.#servers.shown(servers);
    const { engine } = before;
    this.#retired.add(engine);
    engine.retire().then(() => this.#retired.delete(engine));
  }

  /**
   * The scripts' texts that a face shows, if it shows any and one isn't as it was.
   *
   * @param {any} face
   */
  #changedTextsOn(face) {
    const { scripts } = this.#profile;
    if (scripts === 'none') return undefined;
    const { texts } = this.#quorum;
    const { lockScript, unlockScript, extendScript } = scripts === 'scripts' ? face.scripts : face;
    return scripts === 'scripts'
      ? changedTexts(texts, lockScript.value, unlockScript.value, extendScript.value)
      : changedTexts(texts, lockScript, unlockScript, extendScript);
  }
}

module.exports = { FaceQuorum };
