'use strict';

/* global jest, test, expect, afterEach */

const { App } = require('../app/tenants');

const PORT = Number(new URL(process.env.REDLOCK_URLS.split(',')[0]).port);

afterEach(() => jest.useRealTimers());

test("an app of tenants: each request's locks are its tenant's, and its commands are in its span", async () => {
  const app = new App(PORT);
  const tenants = Array.from({ length: 10 }, (_, index) => `tenant-${index}`);
  const inside = new Map();
  const most = new Map();
  const requests = tenants.flatMap((tenant) =>
    Array.from({ length: 5 }, () =>
      app.request(tenant, 'invoice-7', async () => {
        expect(app.tenant).toBe(tenant);
        inside.set(tenant, (inside.get(tenant) ?? 0) + 1);
        most.set(tenant, Math.max(most.get(tenant) ?? 0, inside.get(tenant)));
        await new Promise((resolve) => setTimeout(resolve, 5));
        expect(app.tenant).toBe(tenant);
        inside.set(tenant, inside.get(tenant) - 1);
      }),
    ),
  );
  await Promise.all(requests);
  // One after the other for each tenant, and nobody waited for another's.
  expect([...most.values()]).toEqual(tenants.map(() => 1));
  await app.close();
  const { commands } = App;
  const asked = commands.map(({ request }) => request);
  for (const tenant of tenants) {
    // Locked and released, five times.
    expect(asked.filter((request) => request === `${tenant} invoice-7`).length).toBeGreaterThanOrEqual(10);
  }
  // Nothing without its request: no clean-up, no extension, no proof.
  expect(asked.filter((request) => request === undefined)).toEqual([]);
});

test('its clock may be the test’s', async () => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  const app = new App(PORT);
  let ran = 0;
  await Promise.all([1, 2].map(() => app.request('tenant', 'invoice-8', async () => (ran += 1))));
  expect(ran).toBe(2);
  await app.close();
});
