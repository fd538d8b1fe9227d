'use strict';

const { until } = require('./until');

let used = 0;

/**
 * Waits until all of a Redlock's clients have been replaced by connections of our own, which each lock
 * that is granted may bring about.
 *
 * @param {import('../..')} redlock
 */
async function promoted(redlock) {
  const isNative = () => redlock.connections.every(({ mode }) => mode === 'native');
  const prove = async () => {
    used += 1;
    const lock = await redlock.lock(`promotion ${used}`, 30_000);
    // The key must still be there when it is read.
    await until(isNative, { timeout: 100 }).catch(() => {});
    await lock.unlock();
    return isNative();
  };
  await until(prove, { timeout: 20_000, what: 'our own connections take over' }).catch((error) => {
    const reasons = redlock.connections.flatMap((connection) => connection.reasons);
    throw new Error(`${error.message}: ${reasons.join('; ')}`, { cause: error });
  });
}

module.exports = { promoted };
