'use strict';

/** Texts that are longer than the room that requests have for theirs: whole, whatever else is asked for in the same tick. */

const assert = require('node:assert/strict');
const { test } = require('node:test');

const Redlock = require('../..');
const { rejection } = require('../support/rejection');

const TTL = 60_000;

function open(t, name) {
  const redlock = new Redlock([`memory://${name}`], { retryCount: 0 });
  t.after(() => redlock.quit());
  return redlock;
}

for (const [what, letter, first, second] of [
  ['in ASCII', 'x', 300_000, 280_000],
  ['of three bytes a letter', '語', 200_000, 150_000],
]) {
  test(`a long name ${what} is locked whole beside one that is longer`, async (t) => {
    const redlock = open(t, 'long-names');
    const name = letter.repeat(second);
    const [, lock] = await Promise.all([redlock.lock(letter.repeat(first), TTL), redlock.lock(name, TTL)]);
    assert.equal((await rejection(redlock.lock(name, TTL))).code, 'ERR_REDLOCK_HELD');
    await lock.unlock();
  });
}

test('many names are locked whole beside more of them', async (t) => {
  const redlock = open(t, 'many-names');
  const names = (/** @type {string} */ of, /** @type {number} */ count) =>
    Array.from({ length: count }, (_, at) => `${of}${at}`.padEnd(60, '.'));
  const asked = [redlock.lock(names('a', 5000), TTL), redlock.lock(names('b', 4500), TTL)];
  const locks = await Promise.all([...asked, redlock.lock('another', TTL)]);
  assert.equal((await rejection(redlock.lock(names('b', 4500).at(-1), TTL))).code, 'ERR_REDLOCK_HELD');
  await Promise.all(locks.map((lock) => lock.unlock()));
});
