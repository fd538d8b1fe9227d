'use strict';

/**
 * Whether all that stands between a client and the wire is its library's own. Whoever has put something of theirs
 * there – a subclass, a stub, a Proxy, a tracer's patch of the library itself – names keys perhaps, or wants to see
 * the calls: the client is asked through it then, and never past it. So what is known is allowed, and all else isn't.
 *
 * There is nothing to compare a method with: libraries come in copies, bundled and minified, and a patch may have
 * been first. A method is its library's own if it stands where the library has it, beside a companion that nobody
 * overrides, and its text has the names of properties that only the library's has, which minifiers leave as they are.
 * A wrapper has a text of its own.
 *
 * @typedef {object} Step a method on the way from `eval` to the socket
 * @property {string} name
 * @property {string} beside what the library has on the same object
 * @property {RegExp} [text] what is in its text; nothing where the text says nothing
 * @property {true} [isAccessor] whether the library has it as a getter
 */

const { types } = require('node:util');

const { can, isReplaced, read } = require('./inspect-object');

/** No library's classes are that deep, and a Proxy may have no end. */
const DEEPEST = 20;

/**
 * @param {any} client
 * @param {readonly Step[]} steps
 * @returns {string | undefined} the first that isn't the library's own
 */
function firstReplaced(client, steps) {
  return steps.find((step) => !isOwn(client, step))?.name;
}

/**
 * @param {any} client
 * @param {Step} step
 */
function isOwn(client, { name, beside, text, isAccessor }) {
  let holder = client;
  for (let depth = 0; depth < DEEPEST && holder; depth++) {
    if (types.isProxy(holder)) return false;
    const own = Object.getOwnPropertyDescriptor(holder, name);
    if (own) return Object.hasOwn(holder, beside) && isOfText(isAccessor ? own.get : own.value, text);
    holder = Object.getPrototypeOf(holder);
  }
  return false;
}

/**
 * @param {unknown} method
 * @param {RegExp} [text]
 */
function isOfText(method, text) {
  if (typeof method !== 'function' || types.isProxy(method)) return false;
  // Not its own `toString`, which stubs have too.
  return text === undefined || text.test(Function.prototype.toString.call(method));
}

/**
 * Whether a property is what it was found to be, for as long as nobody sets it: not one that is made anew at each look.
 *
 * @param {any} object
 * @param {string} name
 */
function isSteady(object, name) {
  let holder = object;
  for (let depth = 0; depth < DEEPEST && holder; depth++) {
    if (types.isProxy(holder)) return false;
    const own = Object.getOwnPropertyDescriptor(holder, name);
    if (own) return 'value' in own;
    holder = Object.getPrototypeOf(holder);
  }
  return true;
}

/**
 * What several objects have in common there, or what the first that differs has.
 *
 * @param {readonly unknown[]} objects
 * @param {string} name
 */
function commonOf(objects, name) {
  const first = read(objects[0], name);
  for (let at = 1; at < objects.length; at++) {
    const other = read(objects[at], name);
    if (other !== first) return other;
  }
  return first;
}

/**
 * Which of a client's methods are its library's own, looked at when another one is found there.
 *
 * @param {readonly Step[]} steps
 */
function rememberOwn(steps) {
  /** @type {Map<string, {method: unknown, isOwn: boolean}>} */
  const seen = new Map();
  return (/** @type {any} */ client, /** @type {string} */ name) => {
    const method = client[name];
    let known = seen.get(name);
    if (known?.method !== method) {
      const own = steps.filter((step) => step.name === name);
      known = { method, isOwn: firstReplaced(client, own) === undefined };
      seen.set(name, known);
    }
    return known?.isOwn === true;
  };
}

/**
 * Whether scripts may be run by their digests, so that no call is hidden from whoever has replaced `eval`: looked at
 * when other methods are found there than before.
 *
 * @param {string} name of the method beside `eval`
 */
function rememberRunByDigest(name) {
  /** @type {unknown} */
  let byText;
  /** @type {unknown} */
  let byDigest;
  let isPossible = false;
  return (/** @type {any} */ client) => {
    const now = read(client, 'eval');
    const nowByDigest = read(client, name);
    if (now !== byText || nowByDigest !== byDigest) {
      byText = now;
      byDigest = nowByDigest;
      isPossible = can(client, name) && !isReplaced(client, 'eval', name);
    }
    return isPossible;
  };
}

module.exports = { firstReplaced, rememberOwn, rememberRunByDigest, isSteady, commonOf };
