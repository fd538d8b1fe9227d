'use strict';

/**
 * Callers' contexts: what AsyncLocalStorage and its like say while somebody's code runs. Native's calls into
 * JavaScript have none of their own, so that whatever of others' runs in one of them is brought back into the
 * context of whom it runs for.
 */

const { AsyncResource } = require('node:async_hooks');

/** A context as it was when this was made. */
class Context extends AsyncResource {
  /** What the votes on its request are told with. @type {import('./types').Trace | undefined} */
  trace;

  constructor() {
    super('REDLOCK');
  }

  /** It keeps nothing open, whoever looks for what does. */
  hasRef() {
    return false;
  }
}

/**
 * Runs something in no context, so that what it makes for good keeps nobody's alive.
 *
 * @template T
 * @param {() => T} work
 * @returns {T}
 */
function outside(work) {
  const context = new Context();
  // Where Node.js keeps what AsyncLocalStorages say: as properties of the resource, or in one for all of them.
  for (const key of Object.getOwnPropertySymbols(context)) {
    if (STORES.includes(String(key.description))) Reflect.deleteProperty(context, key);
  }
  // Others know it by its number, until it is destroyed.
  context.emitDestroy();
  return context.runInAsyncScope(work);
}

const STORES = ['kResourceStore', 'context_frame'];

/**
 * Runs something in a copy of the context that there is, so that one that it enters itself is nobody else's.
 *
 * @param {() => void} work
 */
function apart(work) {
  const context = new Context();
  context.runInAsyncScope(work);
  context.emitDestroy();
}

// ---- of requests

/** By number: native names them. @type {Map<number, Context>} */
const contexts = new Map();
let last = 0;

/** Of what is nobody's in particular. */
const NO_CONTEXT = 0;

/**
 * Remembers the caller's, until native says that nothing is asked for in it any more.
 *
 * @param {import('./types').Trace} [trace]
 * @returns {number}
 */
function enter(trace) {
  do last = (last + 1) % 2 ** 32 || 1;
  while (contexts.has(last));
  const context = new Context();
  context.trace = trace;
  contexts.set(last, context);
  return last;
}

/** @param {number} number */
function leave(number) {
  contexts.get(number)?.emitDestroy();
  contexts.delete(number);
}

/** Native is asked nothing any more. */
function leaveAll() {
  for (const number of contexts.keys()) leave(number);
}

/**
 * @param {number} number
 * @returns {Context | undefined} undefined once it is left
 */
function contextOf(number) {
  return contexts.get(number);
}

/**
 * Whether something is the same wherever it is looked at: in no context, and in those of the requests that there are.
 *
 * @param {() => boolean} isSame
 */
function isSameEverywhere(isSame) {
  if (!outside(isSame)) return false;
  for (const context of contexts.values()) if (!context.runInAsyncScope(isSame)) return false;
  return true;
}

module.exports = { Context, outside, apart, isSameEverywhere, enter, leave, leaveAll, contextOf, NO_CONTEXT };
