'use strict';

/**
 * Callers' objects: locks, options, configurations. Each property is read once, and what was read is used, since a getter
 * may answer differently the next time. Nothing is taken from `Object.prototype`, where a merge of untrusted JSON may have
 * left something.
 */

/**
 * A property, of the object itself or inherited. Throws what its getter throws.
 *
 * @param {any} object
 * @param {string} key
 * @returns {any}
 */
function get(object, key) {
  if (object === null || object === undefined) return undefined;
  return key in Object.prototype && !has(object, key) ? undefined : object[key];
}

/**
 * Whether it is there, whatever it is.
 *
 * @param {any} object
 * @param {string} key
 */
function has(object, key) {
  if (object === null || (typeof object !== 'object' && typeof object !== 'function')) return false;
  if (!(key in Object.prototype)) return key in object;
  for (let holder = object; holder !== null; holder = Object.getPrototypeOf(holder)) {
    if (holder === Object.prototype) return false;
    if (Object.hasOwn(holder, key)) return true;
  }
  return false;
}

/**
 * Some of its properties, in an object that inherits nothing.
 *
 * @param {any} object
 * @param {readonly string[]} keys
 * @param {(key: string) => Error} refuse makes the error for one that can't be read. What was thrown isn't in it:
 *   it may have a secret in it.
 * @returns {Record<string, any>}
 */
function pick(object, keys, refuse) {
  /** @type {Record<string, any>} */
  const copy = Object.create(null);
  for (const key of keys) {
    try {
      copy[key] = get(object, key);
    } catch {
      throw refuse(key);
    }
  }
  return copy;
}

/**
 * All that it has of its own, in an object that inherits nothing.
 *
 * @param {object} object
 * @param {(key?: string) => Error} refuse as for `pick`; without a key where it doesn't say which it has
 */
function copyOf(object, refuse) {
  return pick(object, keysOf(object, refuse), refuse);
}

/**
 * @param {object} object
 * @param {() => Error} refuse makes the error where it doesn't say which it has
 */
function keysOf(object, refuse) {
  try {
    return Object.keys(object);
  } catch {
    throw refuse();
  }
}

/**
 * What is in an array, in one of our own.
 *
 * @param {readonly unknown[]} array
 * @param {(index?: number) => Error} refuse makes the error for an element that can't be read
 * @param {(element: unknown, index: number) => void} [check] may throw, and is called before the next is read
 */
function elementsOf(array, refuse, check) {
  /** @type {unknown[]} */
  const copy = [];
  let length;
  try {
    length = Number(array.length);
  } catch {
    throw refuse();
  }
  for (let index = 0; index < length; index++) {
    let element;
    try {
      element = array[index];
    } catch {
      throw refuse(index);
    }
    check?.(element, index);
    copy.push(element);
  }
  return copy;
}

/**
 * A copy that inherits nothing, so that what is absent is not found in `Object.prototype`.
 *
 * @template {object} T
 * @param {T} object
 * @returns {T}
 */
function bare(object) {
  return Object.assign(Object.create(null), object);
}

/**
 * Sets a property where that can be done: it may be frozen, or have no setter.
 *
 * @param {any} object
 * @param {string} key
 * @param {unknown} value
 * @returns {boolean} whether it is set
 */
function set(object, key, value) {
  try {
    object[key] = value;
    return true;
  } catch {
    // Or a setter's own, or a Proxy's.
    return false;
  }
}

/**
 * Gives an object a property that nothing lists.
 *
 * @param {object} object
 * @param {string | symbol} key
 * @param {unknown} value
 * @param {boolean} writable
 */
function hide(object, key, value, writable) {
  HIDDEN.value = value;
  HIDDEN.writable = writable;
  // It has everything else of its own. One that inherits nothing takes twice as long to be read.
  const isAccessor = 'get' in HIDDEN || 'set' in HIDDEN;
  Object.defineProperty(object, key, isAccessor ? bare(HIDDEN) : HIDDEN);
  // It would keep the value.
  HIDDEN.value = undefined;
}

/** One for all: it is copied at once, and a lock's making shouldn't take longer for it. @type {PropertyDescriptor} */
const HIDDEN = { value: undefined, writable: false, enumerable: false, configurable: true };

/**
 * Never throws, as `Array.isArray` does for a Proxy that was revoked.
 *
 * @param {unknown} object
 * @returns {object is unknown[]}
 */
function isArray(object) {
  try {
    return Array.isArray(object);
  } catch {
    return false;
  }
}

/**
 * Never throws, as `instanceof` does for some Proxies.
 *
 * @param {unknown} object
 * @returns {object is URL}
 */
function isUrl(object) {
  try {
    return object instanceof URL;
  } catch {
    return false;
  }
}

/** @param {unknown} value */
function isThere(value) {
  return value !== undefined && value !== null;
}

module.exports = { get, has, pick, copyOf, keysOf, elementsOf, bare, set, hide, isArray, isUrl, isThere };
