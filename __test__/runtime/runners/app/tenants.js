'use strict';

/**
 * An app as they are: a store per request (nestjs-cls), Redis clients that are Proxies to the tenant's own connection,
 * and tracing (OpenTelemetry). Its locks know nothing of it.
 */

const { AsyncLocalStorage } = require('node:async_hooks');
const { context, trace } = require('@opentelemetry/api');
const { AsyncLocalStorageContextManager } = require('@opentelemetry/context-async-hooks');
const { IORedisInstrumentation } = require('@opentelemetry/instrumentation-ioredis');
const {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} = require('@opentelemetry/sdk-trace-base');

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(provider);
const instrumentation = new IORedisInstrumentation();
instrumentation.setTracerProvider(provider);

/** Whoever loads modules in a way of his own, as jest, has to patch them by hand. */
function loadRedis() {
  const Redis = require('ioredis');
  const [definition] = [instrumentation.init()].flat();
  if (Redis.prototype.sendCommand.__wrapped === undefined) definition.patch(Redis, '5.0.0');
  return Redis;
}

const Redis = loadRedis();
const Redlock = require('../../../..');

const tracer = trace.getTracer('app');

class App {
  #store = new AsyncLocalStorage();
  #connections = new Map();
  #port;
  #redlock;

  /** @param {number} port of a redis-server on this machine */
  constructor(port) {
    this.#port = port;
  }

  get tenant() {
    return this.#store.getStore()?.tenant ?? 'nobody';
  }

  #connection() {
    const { tenant } = this;
    let connection = this.#connections.get(tenant);
    if (connection === undefined) {
      connection = new Redis({ port: this.#port, keyPrefix: `${tenant}:` });
      this.#connections.set(tenant, connection);
    }
    return connection;
  }

  /** What is injected: it leads each request to its tenant's connection. */
  #client() {
    return new Proxy(
      {},
      {
        get: (_, key) => {
          const connection = this.#connection();
          const value = connection[key];
          return typeof value === 'function' ? value.bind(connection) : value;
        },
        has: (_, key) => key in this.#connection(),
      },
    );
  }

  /**
   * One request: locks an invoice, and works on it.
   *
   * @template T
   * @param {string} tenant
   * @param {string} invoice
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  request(tenant, invoice, work) {
    return this.#store.run({ tenant }, () =>
      tracer.startActiveSpan(`${tenant} ${invoice}`, async (span) => {
        try {
          // Made by the first request that needs it.
          this.#redlock ??= new Redlock([this.#client()], { retryCount: -1, retryDelay: 10, retryJitter: 5 });
          return await this.#redlock.using(invoice, 5000, work);
        } finally {
          span.end();
        }
      }),
    );
  }

  /** What was traced: the tenant's request of each command, and the keys that it was on. */
  static get commands() {
    const spans = exporter.getFinishedSpans();
    const names = new Map(spans.map((span) => [span.spanContext().spanId, span.name]));
    return spans
      .filter(({ name }) => /^eval/.test(name))
      .map((span) => ({
        request: names.get(span.parentSpanContext?.spanId),
        statement: String(span.attributes['db.statement'] ?? span.attributes['db.query.text']),
      }));
  }

  async close() {
    await this.#store.run({ tenant: 'closing' }, () => this.#redlock?.quit());
    for (const connection of this.#connections.values()) connection.disconnect();
  }
}

module.exports = { App };
