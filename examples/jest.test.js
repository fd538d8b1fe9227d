// Shows how code with locks is tested with jest and without a server: `memory://orders` is an instance in this process.
// Run it: node examples/run.js jest

const Redlock = require('redlock-native');

let redlock;
beforeEach(() => {
  redlock = new Redlock(['memory://orders'], { retryCount: 0 });
});
afterEach(() => redlock.quit());

function pay(order) {
  return redlock.using(`order:${order}`, 1000, () => 'paid');
}

test('pays an order that nobody holds', async () => {
  expect(await pay(42)).toBe('paid');
});

test('refuses an order that somebody holds', async () => {
  await redlock.lock('order:42', 1000);
  await expect(pay(42)).rejects.toMatchObject({ code: 'ERR_REDLOCK_HELD' });
});
