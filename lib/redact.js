'use strict';

/**
 * Keeps secrets out of texts that come from outside: a server or a client may repeat what it was sent, and a value in the
 * wrong place of a configuration may be a password. Errors, events and warnings show only what has passed here.
 *
 * @typedef {import('./errors').Trouble} Trouble
 * @typedef {{reason?: string, why?: string | null, votes?: (Partial<Trouble> & {value?: unknown})[], locks?: any[]} & Partial<Trouble>} Details
 *   what instances, and native for them, have said in words
 */

const { isArray } = require('./foreign');

/** How much of a text from outside is shown. */
const LONGEST = 300;

/** How much of it is searched; the rest is cut off. */
const LONGEST_READ = 4096;

/** Shown in place of a secret. */
const MASK = '***';

/** A shorter secret is part of most texts by chance: a text that has it is not shown at all. */
const SHORT = 3;

/** Where a text was cut off inside a secret, so many of its first characters are needed to recognise it. */
const PART = 4;

/**
 * A longer secret, as a token or a key, is recognised by so many of its first characters, and the rest of the word is
 * masked with them: a pattern of all of it would take seconds to make.
 */
const HEAD = 24;
const REST = '[^\\s"\'<>]*';

const WITHHELD = '(a text that has a secret in it)';

/** Our own words have no word that is longer; a secret that isn't may be one of them by chance. */
const LONGEST_WORD = 16;

/** What native quotes of a server or a client stands between these (src/engine/cause.rs); all else in its texts is ours. */
const [START, END] = ['\u0002', '\u0003'];
const OUTSIDE = new RegExp(`${START}([^${END}]*)${END}?`);

/** What our errors quote of a configuration: texts in quotes, and a value of another type at the end of a sentence. */
const GIVEN = /("(?:[^"\\]|\\.)*"|(?<=, not )[^\s"]+)/;

class Redactor {
  /** Each in whatever form it may come. @type {Map<string, RegExp>} */
  #patterns = new Map();

  /** @param {Iterable<string>} [secrets] */
  constructor(secrets = []) {
    this.add(secrets);
  }

  /** @param {Iterable<string>} secrets */
  add(secrets) {
    for (const secret of secrets) {
      if (secret === '' || this.#patterns.has(secret)) continue;
      this.#patterns.set(secret, patternOf(secret));
    }
  }

  /**
   * @param {string} text
   * @returns {string} without secrets, and no longer than a sentence or two
   */
  clean(text) {
    const isLong = text.length > LONGEST_READ;
    const read = this.mask(isLong ? text.slice(0, LONGEST_READ) : text);
    return isLong || read.length > LONGEST ? `${read.slice(0, LONGEST)}…` : read;
  }

  /**
   * The same, however long it is.
   *
   * @param {string} text
   * @param {number} [least] shorter secrets are not looked for
   */
  mask(text, least = 0) {
    if (this.#patterns.size === 0 || text === '') return text;
    let masked = text;
    for (const [secret, pattern] of this.#patterns) {
      if (secret.length >= least) masked = masked.replace(pattern, MASK);
    }
    for (const secret of this.#patterns.keys()) {
      if (secret.length < least) continue;
      if (secret.length < SHORT && masked !== text) return WITHHELD;
      masked = withoutBeginnings(masked, secret);
    }
    return masked;
  }

  /**
   * The same of a text whose first word alone is shown: a word that has a letter or two of a secret doesn't show it.
   *
   * @param {string} text
   */
  cleanWord(text) {
    return this.mask(text.slice(0, LONGEST), SHORT);
  }

  /**
   * The same for what native has said: short secrets are looked for only in what it quotes of others.
   *
   * @param {string} text
   */
  cleanTold(text) {
    return this.#cleanParts(text, OUTSIDE);
  }

  /**
   * The same for an error's text of ours: short secrets are looked for only in what it quotes of the caller's.
   *
   * @param {string} message
   */
  cleanMessage(message) {
    return this.#cleanParts(message, GIVEN);
  }

  /**
   * @param {string} text
   * @param {RegExp} foreign has one group, which is what comes from outside
   */
  #cleanParts(text, foreign) {
    const clean = (/** @type {string} */ part, /** @type {number} */ at) =>
      at % 2 === 1 ? this.clean(part) : this.mask(part, LONGEST_WORD + 1);
    return text.split(foreign).map(clean).join('');
  }

  /**
   * Masks an error of ours whose text quotes something from outside.
   *
   * @template {Error & {code?: string}} E
   * @param {E} error
   * @returns {E} the same, if there is nothing to hide
   */
  cleanError(error) {
    const message = this.cleanMessage(error.message);
    if (message === error.message) return error;
    const Type = /** @type {new (message: string) => E} */ (error.constructor);
    return Object.assign(new Type(message), { code: error.code });
  }
}

/**
 * A text may have been cut off in the middle of a secret, and another may quote what is left of it.
 *
 * @param {string} text
 * @param {string} secret
 */
function withoutBeginnings(text, secret) {
  let masked = text;
  for (const { index: end } of [...text.matchAll(/…|\.\.\.|$/g)].reverse()) {
    for (let length = Math.min(secret.length - 1, end, HEAD); length >= PART; length--) {
      if (!masked.startsWith(secret.slice(0, length), end - length)) continue;
      masked = `${masked.slice(0, end - length)}${MASK}${masked.slice(end)}`;
      break;
    }
  }
  return masked;
}

/**
 * Finds a secret as it is, and as URLs, JSON, logs and headers write it; each character may be written another way.
 *
 * @param {string} secret
 */
function patternOf(secret) {
  const characters = [...secret];
  const head = characters.slice(0, HEAD);
  const forms = [head.map(charPattern).join('')];
  const bytes = Buffer.from(head.join(''));
  if (secret.length >= SHORT) forms.push(hexOf(bytes), ...base64Of(bytes));
  // UTF-8 that was taken for Latin-1.
  const mistaken = bytes.toString('latin1');
  if (mistaken !== head.join('')) forms.push(quoted(mistaken));
  const rest = characters.length > HEAD ? REST : '';
  return new RegExp(`(?:${forms.join('|')})${rest}`, 'g');
}

/** @param {string} char one, by code point */
function charPattern(char) {
  const bytes = [...Buffer.from(char)];
  const units = Array.from({ length: char.length }, (_, at) => char.charCodeAt(at));
  const point = hexDigits(/** @type {number} */ (char.codePointAt(0)).toString(16));
  const forms = [
    bytes.map((byte) => `%(?:25)*${hexByte(byte)}`).join(''),
    bytes.map((byte) => `\\\\+x${hexByte(byte)}`).join(''),
    units.map((unit) => `\\\\+u${hexDigits(unit.toString(16).padStart(4, '0'))}`).join(''),
    `\\\\+[ux]\\{0*${point}\\}`,
    `&#(?:x0*${point}|0*${char.codePointAt(0)});`,
  ];
  if (char === ' ') forms.push('\\+');
  const letter = LETTERS[char];
  if (letter) forms.push(`\\\\+${letter}`);
  // Last, since escapes begin as some characters do. With as many backslashes as the levels of quoting need.
  forms.push(char === '\\' ? '\\\\{1,8}' : `\\\\{0,4}${quoted(char)}`);
  return `(?:${forms.join('|')})`;
}

/** What escapes have letters for. @type {Record<string, string>} */
const LETTERS = Object.assign(Object.create(null), {
  '\n': 'n',
  '\r': 'r',
  '\t': 't',
  '\b': 'b',
  '\f': 'f',
  '\v': 'v',
  '\u0007': 'a',
  '\0': '0',
});

/** @param {Buffer} bytes */
function hexOf(bytes) {
  return [...bytes].map(hexByte).join('');
}

/**
 * By itself, and in the middle of something longer, as `user:password` is, at each of the three places it may have
 * there. What depends on its neighbours is left out.
 *
 * @param {Buffer} bytes
 */
function base64Of(bytes) {
  const forms = [0, 1, 2].map((before) => {
    const whole = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    const from = before === 0 ? 0 : before + 1;
    const isWhole = (before + bytes.length) % 3 === 0;
    return whole.slice(from, isWhole ? undefined : -1);
  });
  const known = forms.filter((form) => form.length >= PART);
  return known.map((form) => quoted(form).replaceAll('\\+', '[+-]').replaceAll('/', '[/_]'));
}

/** @param {number} byte */
function hexByte(byte) {
  return hexDigits(byte.toString(16).padStart(2, '0'));
}

/** @param {string} digits in either case */
function hexDigits(digits) {
  return digits.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`);
}

/** @param {string} text */
function quoted(text) {
  return text.replace(/[\\^$.*+?()[\]{}|-]/g, '\\$&');
}

// ---- what is secret

const SECRET_KEY = /pass(?:word|phrase|wd)?$|^auth$|secret|token|credential/i;

/** No configuration is nested deeper, or lists more. */
const DEEPEST = 6;
const MOST = 2000;

/**
 * The secrets in a configuration, whatever it looks like: passwords by the names of their keys, and those in URLs.
 * Getters are not called.
 *
 * @param {unknown} config
 * @returns {Set<string>}
 */
function secretsIn(config) {
  const secrets = new Set();
  const seen = new Set();
  /** @type {(value: unknown, key: string, depth: number) => void} */
  const walk = (value, key, depth) => {
    if (typeof value === 'string') {
      if (SECRET_KEY.test(key)) secrets.add(value);
      else for (const secret of secretsInUrl(value)) secrets.add(secret);
      return;
    }
    if (typeof value !== 'object' || value === null || depth > DEEPEST) return;
    if (seen.has(value) || seen.size > MOST || ArrayBuffer.isView(value)) return;
    seen.add(value);
    if (value instanceof URL) {
      walk(value.href, key, depth);
      return;
    }
    for (const [name, { value: inner }] of Object.entries(Object.getOwnPropertyDescriptors(value))) {
      walk(name, '', depth + 1);
      walk(inner, isArray(value) ? key : name, depth + 1);
    }
  };
  try {
    walk(config, '', 0);
  } catch {
    // A Proxy that can't be read: nothing of it is known, and nothing is shown.
  }
  return secrets;
}

/**
 * @param {string} text perhaps a URL, perhaps one that can't be read
 * @returns {string[]}
 */
function secretsInUrl(text) {
  if (text.length > LONGEST_READ) return [];
  const found = [];
  const [, user] = /^(?:[a-z][a-z0-9+.-]*:)?(?:\/\/)?([^\s]*)@/i.exec(text) ?? [];
  if (user?.includes(':')) found.push(user.slice(user.indexOf(':') + 1));
  for (const [, key, value] of text.matchAll(/[?&]([^=&#]+)=([^&#]*)/g)) {
    if (SECRET_KEY.test(key)) found.push(value);
  }
  return found.flatMap((secret) => [secret, decoded(secret)]).filter(Boolean);
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Keys that nobody knows, for a text: only those that look like names, since a URL or a password may have come where
 * a key should be.
 *
 * @param {string[]} keys
 * @returns {string[]} each in quotes; what isn't shown is counted in the last one
 */
function namesIn(keys) {
  const shown = keys.filter((key) => NAME.test(key)).slice(0, MOST_NAMES);
  const hidden = keys.length - shown.length;
  const names = shown.map((key) => `"${key}"`);
  return hidden > 0 ? [...names, `(${hidden} not shown here)`] : names;
}

const NAME = /^[a-z_]{1,40}$/i;
const MOST_NAMES = 20;

/**
 * Takes the secrets out of each text, in place.
 *
 * @param {Details} told
 * @param {Redactor} redactor
 */
function cleanDetails(told, redactor) {
  cleanTexts(told, redactor);
  if (hasText(told, 'why')) told.why = redactor.cleanTold(told.why);
  if (hasText(told, 'reason')) told.reason = redactor.cleanTold(told.reason);
  if (Object.hasOwn(told, 'votes')) {
    for (const vote of told.votes ?? []) {
      cleanTexts(vote, redactor);
      if (hasText(vote, 'value')) vote.value = redactor.mask(vote.value);
    }
  }
  if (Object.hasOwn(told, 'locks')) for (const lock of told.locks ?? []) cleanDetails(lock, redactor);
}

/**
 * @param {Partial<Trouble>} told
 * @param {Redactor} redactor
 */
function cleanTexts(told, redactor) {
  if (hasText(told, 'message')) told.message = redactor.cleanTold(told.message);
  if (hasText(told, 'reply')) told.reply = redactor.cleanWord(told.reply);
}

/**
 * Whether it has that text itself: what is in `Object.prototype` by now must not become its own.
 *
 * @template {string} K
 * @param {object} told
 * @param {K} key
 * @returns {told is Record<K, string>}
 */
function hasText(told, key) {
  return Object.hasOwn(told, key) && typeof (/** @type {any} */ (told)[key]) === 'string';
}

module.exports = { cleanDetails, Redactor, secretsIn, namesIn };
