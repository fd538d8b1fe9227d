'use strict';

/**
 * The settings of a face: its options, its properties of the same names, which may be changed at any time, and what one
 * call says in place of them.
 *
 * @typedef {import('./options').CallOptions} CallOptions
 * @typedef {import('./options').Settings} Settings
 */

const { ACQUIRE_OPTIONS } = require('./acquire-options');
const { readCallOptions, readProperties } = require('./options');

class FaceSettings {
  #profile;
  /** What the properties said when they were last looked at. @type {Settings} */
  current;
  /** What the process was warned of, so that a busy caller is told once. @type {Set<string>} */
  #warnings = new Set();

  /**
   * Gives the face its properties.
   *
   * @param {any} face
   * @param {import('./profile').Profile} profile
   * @param {Settings} settings
   */
  constructor(face, profile, settings) {
    this.#profile = profile;
    this.current = settings;
    face.driftFactor = settings.driftFactor;
    face.retryCount = settings.retryCount;
    face.retryDelay = settings.retryDelay;
    face.retryJitter = settings.retryJitter;
  }

  /**
   * The settings of one call: its own options, then what the properties say now.
   *
   * @param {any} face
   * @param {CallOptions | undefined} options
   * @param {Settings} [own] of the lock, in place of the properties
   * @param {boolean} [isStrict] whether an option that is unknown is refused
   * @returns {{settings: Settings, others?: Record<string, any>}} `others`: what else the options say
   */
  of(face, options, own, isStrict = false) {
    const { retryCount, retryDelay, retryJitter, driftFactor } = face;
    const { defaults, hasAcquireOptions } = this.#profile;
    let settings = this.current;
    if (
      retryCount !== settings.retryCount ||
      retryDelay !== settings.retryDelay ||
      retryJitter !== settings.retryJitter ||
      driftFactor !== settings.driftFactor
    ) {
      const properties = { retryCount, retryDelay, retryJitter, driftFactor };
      settings = readProperties(properties, defaults, this.#warn, hasAcquireOptions);
      this.current = settings;
    }
    if (typeof options !== 'object' || options === null) return { settings: own ?? settings };
    const others = hasAcquireOptions ? ACQUIRE_OPTIONS : undefined;
    return readCallOptions(own ?? settings, options, this.#warn, others, isStrict);
  }

  #warn = (/** @type {string} */ message) => {
    if (this.#warnings.has(message) || this.#warnings.size >= MOST_WARNINGS) return;
    this.#warnings.add(message);
    this.#profile.warn(message);
  };
}

/** How many different warnings are given, of one face's properties and calls. */
const MOST_WARNINGS = 100;

module.exports = { FaceSettings };
