'use strict';

/** How objects that have a lock's value are printed: logs are read by many, and whoever has the value can unlock. */

const { inspect } = require('node:util');

const { hide, isArray } = require('./foreign');

const HIDDEN = '(hidden)';

/**
 * Has what is made of a class printed without its value. JSON and properties have it as before.
 *
 * @param {{name: string, prototype: object}} type
 */
function printWithoutValue({ name, prototype }) {
  hide(
    prototype,
    inspect.custom,
    /**
     * @this {Record<string, unknown>}
     * @param {number} depth
     * @param {import('node:util').InspectOptions} options
     */
    function print(depth, options) {
      if (depth < 0) return `[${name}]`;
      return `${name} ${inspect(withoutValue(this), { ...options, depth })}`;
    },
    true,
  );
}

/**
 * @param {any} object
 * @returns {Record<string, unknown>}
 */
function withoutValue(object) {
  const copy = { ...object };
  if (typeof copy.value === 'string') copy.value = HIDDEN;
  // What each instance says, where there are such.
  if (isArray(copy.instances)) copy.instances = copy.instances.map(withoutValue);
  return copy;
}

module.exports = { printWithoutValue };
