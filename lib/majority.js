'use strict';

/**
 * The quorum of the Redlock algorithm: N/2+1 instances of N. For what is told to people; whether a lock is granted,
 * native decides.
 *
 * @param {number} instances
 */
function majorityOf(instances) {
  return Math.floor(instances / 2) + 1;
}

module.exports = { majorityOf };
