'use strict';

/** redlock 5: the class by default, its companions by name. */

const { ExecutionError, ResourceLockedError } = require('./errors');
const { Lock } = require('./lock');
const { Redlock } = require('./redlock');

// One by one, so that those who read modules without running them find the names.
Object.defineProperty(exports, '__esModule', { value: true });
exports.default = Redlock;
exports.Lock = Lock;
exports.ExecutionError = ExecutionError;
exports.ResourceLockedError = ResourceLockedError;
