import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const PACKAGE = 'redlock-native';
const require = createRequire(import.meta.url);

for (const entry of ['v0', 'v1', 'v2', 'v3', 'v4', 'redlock-async']) {
  const imported = await import(`${PACKAGE}/${entry}`);
  assert.equal(imported.default, require(`${PACKAGE}/${entry}`));
  assert.equal(imported.Lock, imported.default.Lock);
  assert.equal(imported.LockError, imported.default.LockError);
}
const { default: Redlock } = await import(`${PACKAGE}/v4`);
const lock = await new Redlock(['memory://a']).lock(['invoice', 'order'], 5000);
await lock.unlock();
console.log('released');
