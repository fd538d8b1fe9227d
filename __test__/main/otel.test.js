'use strict';

/** `redlock-native/otel`: the spans and metrics that OpenTelemetry's own SDK gets of it. */

const assert = require('node:assert/strict');
const { after, before, beforeEach, describe, test } = require('node:test');
const { inspect } = require('node:util');

const { context, diag, DiagLogLevel, SpanKind, SpanStatusCode, trace } = require('@opentelemetry/api');
const { AsyncLocalStorageContextManager } = require('@opentelemetry/context-async-hooks');
const { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } =
  require('@opentelemetry/sdk-metrics');
const {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} = require('@opentelemetry/sdk-trace-base');

const { instrument } = require('redlock-native/otel');
const { serverAt } = require('../../otel/server');
const { allTold } = require('../support/all-told');
const { block } = require('../support/block');
const { namesLike, redlockOver, urlsOf } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { runScript } = require('../support/script');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const HOUR = 3_600_000;
const newName = namesLike('order:');

const spans = new InMemorySpanExporter();
const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
const tracer = tracerProvider.getTracer('the app');

/** @param {import('node:test').TestContext} t */
function instrumented(t, options) {
  const instrumentation = instrument({ tracerProvider, ...options });
  t.after(() => instrumentation.disable());
  return instrumentation;
}

/** A meter provider, and what it has collected by now: by name, the points of each metric. */
function makeMeters(t) {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: HOUR });
  const meterProvider = new MeterProvider({ readers: [reader] });
  t.after(() => meterProvider.shutdown());
  const collect = async () => {
    await allTold();
    await meterProvider.forceFlush();
    const metrics = exporter
      .getMetrics()
      .at(-1)
      .scopeMetrics.flatMap((scope) => scope.metrics);
    return new Map(metrics.map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints]));
  };
  return { meterProvider, collect };
}

describe('OpenTelemetry', () => {
  const suite = endOfSuite();
  let servers;
  before(async () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    servers = await startServers(suite, 3);
  });
  after(() => context.disable());
  beforeEach(() => spans.reset());

  const named = (name) => spans.getFinishedSpans().filter((span) => span.name === name);

  test('shows a lock as one span under the caller’s, with a child for each instance', async (t) => {
    instrumented(t);
    const redlock = redlockOver(t, urlsOf(servers));
    const name = newName();
    const own = tracer.startSpan('the request');
    const lock = await context.with(trace.setSpan(context.active(), own), () => redlock.lock(name, HOUR));
    own.end();
    const children = () => spans.getFinishedSpans().filter(({ name: one }) => one.startsWith('acquire '));
    await until(() => children().length === 3);
    await allTold();

    const [locked, ...others] = named('redlock lock');
    assert.equal(others.length, 0);
    assert.equal(locked.parentSpanContext.spanId, own.spanContext().spanId);
    assert.equal(locked.kind, SpanKind.INTERNAL);
    assert.deepEqual(locked.attributes['redlock.resource'], [name]);
    assert.equal(locked.attributes['redlock.outcome'], 'granted');
    assert.equal(locked.attributes['redlock.attempts'], 1);
    assert.equal(locked.status.code, SpanStatusCode.UNSET);
    for (const child of children()) {
      assert.equal(child.parentSpanContext.spanId, locked.spanContext().spanId);
      assert.equal(child.kind, SpanKind.CLIENT);
      assert.equal(child.attributes['db.system.name'], 'redis');
      assert.equal(child.attributes['redlock.vote'], 'granted');
    }
    assert.deepEqual(
      children()
        .map(({ name: one }) => one)
        .sort(),
      servers.map(({ port }) => `acquire 127.0.0.1:${port}`).sort(),
    );
    const ports = children().map(({ attributes }) => attributes['server.port']);
    assert.deepEqual(ports.sort(), servers.map(({ port }) => Number(port)).sort());
    const all = inspect(spans.getFinishedSpans(), { depth: 6 });
    assert.ok(!all.includes(lock.value), all);
    await lock.unlock();
  });

  test('shows why a lock was not had', async (t) => {
    instrumented(t);
    const redlock = redlockOver(t, urlsOf(servers), { retryCount: 0 });
    const name = newName();
    await redlock.lock(name, HOUR);
    const error = await rejection(redlock.lock(name, HOUR));
    await allTold();
    const failed = named('redlock lock').at(-1);
    assert.equal(failed.status.code, SpanStatusCode.ERROR);
    assert.equal(failed.status.message, error.message);
    assert.equal(failed.attributes['error.type'], 'ERR_REDLOCK_HELD');
    assert.equal(await redlock.tryLock(name, HOUR), null);
    await allTold();
    const tried = named('redlock lock').at(-1);
    assert.equal(tried.status.code, SpanStatusCode.UNSET);
    assert.equal(tried.attributes['redlock.outcome'], 'held');
  });

  test('counts calls, holds and votes, by groups of names', async (t) => {
    const { meterProvider, collect } = makeMeters(t);
    instrumented(t, { meterProvider, group: (name) => name.replace(/:.*/, ':*') });
    const redlock = redlockOver(t, urlsOf(servers));
    const lock = await redlock.lock(newName(), HOUR);
    let metrics = await collect();
    assert.equal(metrics.get('redlock.held')[0].value, 1);
    await lock.unlock();
    metrics = await collect();
    const [acquired] = metrics.get('redlock.acquire.duration');
    assert.deepEqual(acquired.attributes, { 'redlock.group': 'order:*', outcome: 'granted' });
    assert.equal(acquired.value.count, 1);
    assert.equal(metrics.get('redlock.held')[0].value, 0);
    assert.equal(metrics.get('redlock.waiting')[0].value, 0);
    assert.equal(metrics.get('redlock.hold.duration')[0].attributes.outcome, 'released');
    const votes = metrics.get('redlock.instance.votes');
    const hosts = new Set(votes.map(({ attributes }) => attributes['server.address']));
    assert.deepEqual([...hosts], ['127.0.0.1']);
    const ports = new Set(votes.map(({ attributes }) => attributes['server.port']));
    assert.deepEqual([...ports].sort(), servers.map(({ port }) => Number(port)).sort());
  });

  test('counts what was left when a lock was extended', async (t) => {
    const { meterProvider, collect } = makeMeters(t);
    const redlock = redlockOver(t, urlsOf(servers));
    instrumented(t, { meterProvider }).observe(redlock);
    await redlock.using(newName(), 1000, { autoExtend: { threshold: 950 } }, async () => {
      await until(async () => (await redlock.stats()).extensions.slack.count >= 2);
    });
    const metrics = await collect();
    const [slack] = metrics.get('redlock.extension.slack');
    assert.ok(slack.value.count >= 2);
    assert.ok(slack.value.max <= 1.2, `${slack.value.max} s`);
    await collect();
    const { extensions } = await redlock.stats();
    const again = (await collect()).get('redlock.extension.slack')[0].value.count;
    assert.equal(again, extensions.slack.count);
  });

  test('counts a Redlock once that is observed twice, and goes on where its servers are replaced or it quits', async (t) => {
    const { meterProvider, collect } = makeMeters(t);
    const complaints = [];
    diag.setLogger(
      { ...console, error: (...args) => complaints.push(args) },
      { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true },
    );
    t.after(() => diag.disable());
    const redlock = redlockOver(t, ['memory://observed'], { retryCount: 0 });
    const instrumentation = instrumented(t, { meterProvider }).observe(redlock);
    const fail = async () => {
      const lock = await redlock.lock(newName(), HOUR);
      const copy = redlock.restore(JSON.stringify(lock));
      await lock.unlock();
      await rejection(copy.extend(HOUR));
    };
    const failures = async () => (await collect()).get('redlock.extension.failures')[0].value;
    await fail();
    await fail();
    assert.equal(await failures(), 2);
    instrumentation.observe(redlock);
    assert.equal(await failures(), 2);
    redlock.servers = ['memory://another'];
    await fail();
    assert.equal(await failures(), 3);
    await redlock.quit();
    assert.equal(await failures(), 3);
    assert.deepEqual(complaints, []);
  });

  test('shows no span as longer because its caller blocks the thread', async (t) => {
    instrumented(t);
    const redlock = redlockOver(t, ['memory://blocked']);
    const lock = await redlock.lock(newName(), HOUR);
    block(300);
    await allTold();
    const { duration, startTime } = named('redlock lock').at(-1);
    assert.ok(duration[0] === 0 && duration[1] < 2e8, `${duration}`);
    assert.ok(Math.abs(startTime[0] * 1000 - Date.now()) < 60_000);
    await lock.unlock();
  });

  test('refuses options that mean nothing', () => {
    for (const options of [{ grup: String }, { group: 'x' }]) {
      assert.throws(() => instrument(options), { code: 'ERR_REDLOCK_INVALID_OPTIONS' });
    }
    instrument(null).disable();
  });

  test('adds up what several Redlocks have counted', async (t) => {
    const { meterProvider, collect } = makeMeters(t);
    const instrumentation = instrumented(t, { meterProvider });
    let expected = 0;
    for (let count = 1; count <= 2; count++) {
      const redlock = redlockOver(t, ['memory://sum'], { retryCount: 0 });
      instrumentation.observe(redlock);
      const lock = await redlock.lock(newName(), HOUR);
      const copy = redlock.restore(JSON.stringify(lock));
      await lock.unlock();
      for (let time = 0; time < count; time++) await rejection(copy.extend(HOUR));
      expected += (await redlock.stats()).extensions.failed;
    }
    assert.ok(expected >= 2);
    assert.equal((await collect()).get('redlock.extension.failures')[0].value, expected);
    assert.equal((await collect()).get('redlock.extension.failures')[0].value, expected);
  });

  test('has no names in its metrics without groups, and a bounded number with them', async (t) => {
    const { meterProvider, collect } = makeMeters(t);
    instrumented(t, { meterProvider, group: (name) => name });
    const redlock = redlockOver(t, ['memory://groups']);
    const names = Array.from({ length: 1500 }, newName);
    await Promise.all(names.map(async (name) => (await redlock.lock(name, HOUR)).unlock()));
    const points = (await collect()).get('redlock.acquire.duration');
    const groups = new Set(points.map(({ attributes }) => attributes['redlock.group']));
    assert.equal(groups.size, 1001);
    assert.ok(groups.has('other'));

    const plain = makeMeters(t);
    instrumented(t, { meterProvider: plain.meterProvider });
    await (await redlock.lock(newName(), HOUR)).unlock();
    const [point] = (await plain.collect()).get('redlock.acquire.duration');
    assert.deepEqual(point.attributes, { outcome: 'granted' });
  });

  test('costs nobody a lock where an exporter, a tracer or a group throws', async (t) => {
    const complaints = [];
    diag.setLogger(
      { ...console, error: (...args) => complaints.push(args) },
      { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true },
    );
    t.after(() => diag.disable());
    const thrower = () => {
      throw new Error('not today');
    };
    instrumented(t, { tracerProvider: { getTracer: () => ({ startSpan: thrower }) }, group: thrower });
    const broken = new BasicTracerProvider({
      spanProcessors: [new SimpleSpanProcessor({ export: thrower, shutdown: async () => {} })],
    });
    instrumented(t, { tracerProvider: broken });
    const redlock = redlockOver(t, urlsOf(servers));
    const name = newName();
    const lock = await redlock.lock(name, HOUR);
    assert.equal(await redlock.tryLock(name, HOUR), null);
    await lock.extend(HOUR);
    await lock.unlock();
    assert.ok(complaints.some((args) => /not today/.test(inspect(args))));
  });

  test('tells nothing once it is disabled', async (t) => {
    const instrumentation = instrumented(t);
    instrumentation.disable();
    const redlock = redlockOver(t, urlsOf(servers));
    await (await redlock.lock(newName(), HOUR)).unlock();
    assert.deepEqual(spans.getFinishedSpans(), []);
  });
});

test('an instance is named by its host and port, where it has one of each', () => {
  for (const [address, name, ...attributes] of [
    ['redis://10.0.0.1:6379', '10.0.0.1:6379', '10.0.0.1', 6379],
    ['rediss://db.example:6380/2', 'db.example:6380', 'db.example', 6380],
    ['127.0.0.1:6379', '127.0.0.1:6379', '127.0.0.1', 6379],
    ['redis://[::1]:7000', '[::1]:7000', '::1', 7000],
    ['unix:///run/redis.sock?db=2', '/run/redis.sock', '/run/redis.sock', undefined],
    ['memory://a', 'memory://a', 'memory://a', undefined],
    ['redis://a:7000,b:7000', 'redis://a:7000,b:7000', 'redis://a:7000,b:7000', undefined],
  ]) {
    const server = serverAt(address);
    assert.equal(server.name, name);
    assert.deepEqual(
      ['server.address', 'server.port'].map((key) => server.attributes[key]),
      attributes,
    );
  }
});

test('it says so where @opentelemetry/api is not installed', async () => {
  const { stdout } = await runScript(`
    const Module = require('node:module');
    const resolve = Module._resolveFilename;
    Module._resolveFilename = function (request, ...rest) {
      if (request === '@opentelemetry/api') throw Object.assign(new Error('no'), { code: 'MODULE_NOT_FOUND' });
      return resolve.call(this, request, ...rest);
    };
    try {
      require('redlock-native/otel').instrument();
    } catch (error) {
      console.log(error.code, error.message);
    }
  `);
  assert.match(stdout, /^ERR_REDLOCK_NO_OPENTELEMETRY .*npm install @opentelemetry\/api/);
});
