'use strict';

/**
 * How those that contend retry, all alike, in ms. At this delay redlock 4 does best: at 10 ± 5 and at 30 ± 10 it takes
 * longer, at 15 ± 15 as long with a quarter more commands.
 */
const RETRIES = { retryCount: 1000, retryDelay: 20, retryJitter: 10 };

module.exports = { RETRIES };
