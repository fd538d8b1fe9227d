'use strict';

/** redlock 5: the class, with itself by default and its companions by name, for all that import or require it. */

const { ExecutionError, ResourceLockedError } = require('./errors');
const { Lock } = require('./lock');
const { Redlock } = require('./redlock');

module.exports = Redlock;
// One by one, so that those who read modules without running them find the names.
module.exports.default = Redlock;
module.exports.Lock = Lock;
module.exports.ExecutionError = ExecutionError;
module.exports.ResourceLockedError = ResourceLockedError;
