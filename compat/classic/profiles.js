'use strict';

/**
 * What the majors of redlock, from 0.2 to 4.2, and redlock-async differ in, each as a row of facts:
 * compat/classic/redlock.js makes a class of it. docs/migration.md says what is different on purpose.
 */

const { Settings } = require('../../lib/options');

/**
 * @typedef {object} Classic
 * @property {string} entry what is required
 * @property {'first' | 'last'} options where the constructor has its options: before the clients, which then come
 *   one by one, or after an array of them
 * @property {boolean} falsyIsDefault whether an option of 0 counts as none
 * @property {Settings} defaults
 * @property {boolean} emits whether it is an EventEmitter, with `clientError`
 * @property {'bluebird' | 'native' | 'none'} promises what its methods return
 * @property {boolean} callbacks whether its methods take callbacks
 * @property {('Lock' | 'LockError')[]} statics
 * @property {string[]} methods
 * @property {boolean} callOptions whether calls may have options
 * @property {boolean} lockExtends whether `lock` with a value as its second argument extends
 * @property {'same' | 'new'} extended which lock `extend` gives: the same, or another on the same keys
 * @property {string[]} lockKeys a lock's own properties
 * @property {'scripts' | 'texts' | 'none'} scripts as in lib/profile.d.ts, as is what follows
 * @property {boolean} truthyReplies whether a custom script is carried out if its reply is something, not only the
 *   number of keys
 * @property {boolean} locksSeveral
 * @property {'strict' | 'answered' | 'silent'} release
 * @property {import('../../lib/clients/client').Dialect} dialect
 */

// driftFactor, retryCount, retryDelay, retryJitter, whether a retryCount of -1 is without end.
const UP_TO_2 = new Settings(0.01, 3, 200, 0, false);
const SINCE_3 = new Settings(0.01, 10, 200, 100, true);

const LOCK = ['redlock', 'resource', 'value', 'expiration'];

/** @type {Classic} */
const v1 = {
  entry: 'redlock-native/v1',
  options: 'last',
  falsyIsDefault: false,
  defaults: UP_TO_2,
  emits: true,
  promises: 'bluebird',
  callbacks: true,
  statics: ['LockError'],
  methods: ['lock', 'acquire', 'unlock', 'release', 'extend', 'disposer', '_lock', '_random'],
  callOptions: false,
  lockExtends: false,
  extended: 'same',
  lockKeys: LOCK,
  scripts: 'texts',
  truthyReplies: true,
  locksSeveral: false,
  release: 'silent',
  dialect: 'eval',
};

/** @type {Classic} */
const v0 = {
  ...v1,
  entry: 'redlock-native/v0',
  options: 'first',
  falsyIsDefault: true,
  emits: false,
  promises: 'none',
  statics: [],
  methods: ['lock', 'unlock', 'extend', '_random'],
  lockExtends: true,
  extended: 'new',
  scripts: 'none',
};

/** @type {Classic} */
const v2 = {
  ...v1,
  entry: 'redlock-native/v2',
  statics: ['LockError', 'Lock'],
  release: 'answered',
};

/** @type {Classic} */
const v3 = {
  ...v2,
  entry: 'redlock-native/v3',
  defaults: SINCE_3,
  methods: [...v2.methods, 'quit'],
  lockKeys: [...LOCK, 'attempts'],
};

/** @type {Classic} */
const v4 = {
  ...v3,
  entry: 'redlock-native/v4',
  methods: [...v3.methods, 'lockWithOptions', 'acquireWithOptions'],
  callOptions: true,
  lockKeys: [...LOCK, 'attempts', 'attemptsRemaining'],
  scripts: 'scripts',
  truthyReplies: false,
  locksSeveral: true,
  release: 'strict',
  dialect: 'redlock 4',
};

/** @type {Classic} */
const async = {
  ...v3,
  entry: 'redlock-native/redlock-async',
  promises: 'native',
  callbacks: false,
  methods: v3.methods.filter((method) => method !== 'disposer'),
};

module.exports = { v0, v1, v2, v3, v4, async };
