'use strict';

/**
 * `redlock-native/otel`: OpenTelemetry's spans and metrics, made of what lib/channels.js tells. Nothing here may reach who
 * locks: what an exporter, a provider or the caller's `group` throws is told to OpenTelemetry's own diagnostics.
 *
 * @typedef {import('@opentelemetry/api').Attributes} Attributes
 * @typedef {import('@opentelemetry/api').Span} Span
 * @typedef {import('../lib/channels').Trace} Trace
 * @typedef {import('../lib/native/types').VoteMessage} VoteMessage
 * @typedef {import('./index').InstrumentOptions} InstrumentOptions
 */

const { version } = require('../package.json');
const { refuseUnknown } = require('../lib/acquire-options');
const channels = require('../lib/channels');
const { wrongType, show } = require('../lib/errors');
const { loadApi } = require('./api');
const { Groups } = require('./groups');
const { Metrics } = require('./metrics');
const { serverAt } = require('./server');

const SCOPE = 'redlock-native';

const OPTIONS = ['tracerProvider', 'meterProvider', 'group'];

/** The calls that have spans. */
const CALLS = /** @type {const} */ (['lock', 'extend', 'unlock']);

class Instrumentation {
  #api = loadApi();
  #groups;
  #tracer;
  #metrics;
  /** The spans of calls that are under way, and since when they are. @type {WeakMap<Trace, {span: Span, since: number}>} */
  #spans = new WeakMap();
  /** @type {(() => void)[]} */
  #endings = [];

  /** @param {InstrumentOptions} options */
  constructor({ tracerProvider, meterProvider, group }) {
    const { trace, metrics } = this.#api;
    this.#groups = new Groups(group, (error) => this.#complain(error));
    this.#tracer = (tracerProvider ?? trace.getTracerProvider()).getTracer(SCOPE, version);
    const meter = (meterProvider ?? metrics.getMeterProvider()).getMeter(SCOPE, version);
    this.#metrics = new Metrics(meter, this.#groups, (error) => this.#complain(error));
    for (const name of CALLS) {
      this.#hear(channels[name].start, (trace) => this.#begin(name, trace));
      this.#hear(channels[name].asyncEnd, (trace) => this.#end(name, trace));
    }
    this.#hear(channels.hold.start, (trace) => this.#metrics.holdBegins(trace));
    this.#hear(channels.hold.asyncEnd, (trace) => this.#metrics.holdEnds(trace));
    this.#hear(channels.vote, (message) => this.#vote(message));
    this.#hear(channels.lost, (message) => this.#metrics.lost(message));
    this.#hear(channels.endangered, (message) => this.#metrics.endangered(message));
  }

  /**
   * Has what only the engine counts collected too: how much was left of kept locks when they were extended.
   *
   * @param {any} redlock
   */
  observe(redlock) {
    this.#endings.push(this.#metrics.observe(redlock));
    return this;
  }

  /** Nothing is told from now on. */
  disable() {
    channels.tellNow();
    for (const end of this.#endings.splice(0)) end();
    this.#metrics.end();
  }

  /**
   * @param {import('node:diagnostics_channel').Channel} channel
   * @param {(message: any) => void} listen
   */
  #hear(channel, listen) {
    const listener = (/** @type {unknown} */ message) => {
      try {
        listen(message);
      } catch (error) {
        this.#complain(error);
      }
    };
    channel.subscribe(listener);
    this.#endings.push(() => channel.unsubscribe(listener));
  }

  /** @param {unknown} error */
  #complain(error) {
    try {
      this.#api.diag.error(`${SCOPE}: something of OpenTelemetry threw`, error);
    } catch {
      // Its logger is the application's.
    }
  }

  /**
   * @param {typeof CALLS[number]} name
   * @param {Trace} trace
   */
  #begin(name, trace) {
    if (name === 'lock') this.#metrics.waitBegins(trace);
    const { INTERNAL } = this.#api.SpanKind;
    const since = now();
    const options = { kind: INTERNAL, startTime: since, attributes: attributesOf(trace, this.#groups) };
    this.#spans.set(trace, { span: this.#tracer.startSpan(`redlock ${name}`, options), since });
  }

  /**
   * @param {typeof CALLS[number]} name
   * @param {Trace} trace
   */
  #end(name, trace) {
    if (name === 'lock') this.#metrics.waitEnds(trace);
    const known = this.#spans.get(trace);
    if (!known) return;
    const { span, since } = known;
    const { outcome, attempts, code, error, waited = 0 } = trace;
    span.setAttributes({ 'redlock.outcome': outcome, 'redlock.attempts': attempts });
    if (error !== undefined) {
      const message = String(Object(error).message ?? error);
      span.setAttribute('error.type', code ?? outcome ?? 'failed');
      span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message });
    }
    // It is told once the caller has gone on, who may have taken long.
    span.end(since + waited);
  }

  /** @param {VoteMessage} message */
  #vote(message) {
    this.#metrics.vote(message);
    const parent = message.trace && this.#spans.get(/** @type {any} */ (message.trace))?.span;
    if (!parent) return;
    const { SpanKind, SpanStatusCode, trace, context } = this.#api;
    const { operation, vote, ms, attempt, error, instance } = message;
    const server = serverAt(instance.address);
    const end = now();
    const options = {
      kind: SpanKind.CLIENT,
      startTime: end - ms,
      attributes: {
        'db.system.name': 'redis',
        ...server.attributes,
        'redlock.instance': instance.index,
        'redlock.vote': vote,
        'redlock.attempt': attempt,
      },
    };
    const name = `${operation} ${server.name}`;
    const span = this.#tracer.startSpan(name, options, trace.setSpan(context.active(), parent));
    if (vote === 'failed') {
      const { code, message: text } = /** @type {any} */ (error ?? {});
      span.setAttribute('error.type', code ?? 'failed');
      span.setStatus({ code: SpanStatusCode.ERROR, message: text });
    }
    span.end(end);
  }
}

/**
 * @param {Trace} trace
 * @param {Groups} groups
 * @returns {Attributes}
 */
function attributesOf({ resource, ttl }, groups) {
  return { 'redlock.resource': resource, 'redlock.ttl': ttl, ...groups.attributesOf(resource) };
}

/** In ms since 1970, and as fine as spans are. */
function now() {
  return performance.timeOrigin + performance.now();
}

/** @param {InstrumentOptions} [options] */
function instrument(options) {
  const given = options ?? {};
  refuseUnknown(given, 'instrument', OPTIONS);
  const { group } = given;
  if (group !== undefined && typeof group !== 'function') {
    throw wrongType('OPTIONS', `group must be a function, not ${show(group)}`);
  }
  return new Instrumentation(given);
}

module.exports = { instrument };
