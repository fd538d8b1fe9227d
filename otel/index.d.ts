import type { MeterProvider, TracerProvider } from '@opentelemetry/api';

export interface InstrumentOptions {
  /** The global one by default. */
  tracerProvider?: TracerProvider;
  /** The global one by default. */
  meterProvider?: MeterProvider;
  /**
   * What a resource's name is counted under in metrics, as `(name) => name.replace(/:.*$/, '')`. Without it metrics have no
   * names, as there may be any number of them; beyond 1,000 groups they are counted as `other`. Of several resources
   * it is the first one's.
   */
  group?: (resource: string) => string;
}

export interface Instrumentation {
  /** Has `redlock.extension.slack` and `redlock.extension.failures` of this Redlock's kept locks collected too. */
  observe(redlock: { stats(): Promise<unknown> }): this;
  /** Tells nothing more. */
  disable(): void;
}

/**
 * Has all Redlocks of this process, of every entry of this package, told to OpenTelemetry: spans for `lock`, `extend` and
 * `unlock` under whatever span is active, with a child for each instance's vote; and metrics.
 *
 * @throws Error (`ERR_REDLOCK_NO_OPENTELEMETRY`) if `@opentelemetry/api` isn't installed; TypeError or RangeError
 *   (`ERR_REDLOCK_INVALID_OPTIONS`) if the options can't be used
 */
export function instrument(options?: InstrumentOptions): Instrumentation;
