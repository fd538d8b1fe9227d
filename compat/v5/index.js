'use strict';

/** redlock 5: the class by default, its companions by name. */

const { ExecutionError, ResourceLockedError } = require('./errors');
const { Lock } = require('./lock');
const { Redlock } = require('./redlock');

module.exports = Object.defineProperty(
  { default: Redlock, Lock, ExecutionError, ResourceLockedError },
  '__esModule',
  {
    value: true,
  },
);
