'use strict';

/** OpenTelemetry's API, which the application has, or not. */

/** @returns {typeof import('@opentelemetry/api')} */
function loadApi() {
  try {
    return require('@opentelemetry/api');
  } catch (error) {
    if (/** @type {any} */ (error).code !== 'MODULE_NOT_FOUND') throw error;
    const message =
      "redlock-native/otel tells spans and metrics by @opentelemetry/api, which isn't installed: npm install @opentelemetry/api";
    throw Object.assign(new Error(message, { cause: error }), { code: 'ERR_REDLOCK_NO_OPENTELEMETRY' });
  }
}

module.exports = { loadApi };
