'use strict';

/**
 * How those that contend retry, all alike, in ms. At this delay redlock 4 does best: at 10 ± 5 and at 30 ± 10 it takes
 * longer, at 15 ± 15 as long with a quarter more commands. Who still has nothing after 6 s never will: of one resource
 * nobody else waits for half a second.
 */
const RETRIES = { retryCount: 300, retryDelay: 20, retryJitter: 10 };

module.exports = { RETRIES };
