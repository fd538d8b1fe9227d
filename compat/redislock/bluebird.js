'use strict';

/** bluebird, whose promises redislock returns: `.catch(LockReleaseError, …)` is in its documentation. */

const { findBluebird } = require('../../lib/promises');

const bluebird = findBluebird();
if (!bluebird) {
  const error = new Error(
    "redlock-native/redislock returns bluebird's promises, as redislock does, and bluebird isn't installed: " +
      'npm install bluebird',
  );
  throw Object.assign(error, { code: 'ERR_REDLOCK_NO_BLUEBIRD' });
}

module.exports = bluebird;
