'use strict';

/** What ran of a table of clients, and what it says in docs/clients.md. */

const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const DOC = path.join(__dirname, '..', '..', 'docs', 'clients.md');
const BEGIN = '<!-- made by __test__/clients/matrix.test.js with UPDATE_TABLE=1 -->';
const END = '<!-- end of what is made -->';

class Report {
  #kinds;
  /** @type {Map<string, Map<string, Cell>>} */
  #rows = new Map();

  /** @param {Record<string, string>} kinds of servers, and what they are called */
  constructor(kinds) {
    this.#kinds = kinds;
  }

  /**
   * @param {string} title
   * @param {string} kind
   */
  cell(title, kind) {
    const cells = this.#rows.get(title) ?? new Map();
    const cell = new Cell();
    this.#rows.set(title, cells.set(kind, cell));
    return cell;
  }

  /** Whether everything there is has run. */
  get isWhole() {
    return [...this.#rows.values()].every((cells) => [...cells.values()].every(({ isWhole }) => isWhole));
  }

  /** As Markdown. */
  toString() {
    const kinds = Object.keys(this.#kinds);
    const lines = [...this.#rows].map(([title, cells]) => [
      title,
      ...kinds.map((kind) => cells.get(kind)?.toString() ?? '–'),
    ]);
    const table = [['client', ...Object.values(this.#kinds)], kinds.concat('').map(() => '---'), ...lines];
    const reasons = [...this.#reasons()].map(([reason, whose]) => `- ${reason}: ${whose.join(', ')}`);
    return [
      ...table.map((cells) => `| ${cells.join(' | ')} |`),
      '',
      'Why the others stay bridged, as `reasons` has it:',
      '',
      ...reasons,
    ].join('\n');
  }

  #reasons() {
    const reasons = new Map();
    for (const [title, cells] of this.#rows) {
      for (const [kind, { reason }] of cells) {
        if (!reason) continue;
        const whose = reasons.get(reason) ?? [];
        // For who is bridged in some places only, in which.
        const isEverywhere = [...cells.values()].every((cell) => cell.reason === reason);
        const name = isEverywhere ? title : `${title} (${this.#kinds[kind]})`;
        if (!whose.includes(name)) whose.push(name);
        reasons.set(reason, whose);
      }
    }
    return reasons;
  }
}

class Cell {
  #ran = 0;
  #tests = 0;
  /** The first thing that failed. @type {string | undefined} */
  #failed;
  isNative = false;
  /** Why not. @type {string | undefined} */
  reason;

  /** A test of `node:test` that counts here. */
  test(name, body) {
    this.#tests += 1;
    test(name, async (t) => {
      try {
        await body(t);
        this.#ran += 1;
      } catch (error) {
        this.#failed ??= name;
        throw error;
      }
    });
  }

  get isWhole() {
    return this.#ran === this.#tests || this.#failed !== undefined;
  }

  toString() {
    if (this.#failed !== undefined) return `✗ ${this.#failed}`;
    if (!this.isWhole) return '(did not run)';
    return this.isNative ? '✓ native' : '✓ bridged';
  }
}

/** What the document has now. */
function documented() {
  const [, rest] = fs.readFileSync(DOC, 'utf8').split(`${BEGIN}\n`);
  return rest?.split(`\n${END}`)[0].trim();
}

/** @param {string} text */
function document(text) {
  const [before, rest] = fs.readFileSync(DOC, 'utf8').split(BEGIN);
  const after = rest.split(END)[1];
  fs.writeFileSync(DOC, `${before}${BEGIN}\n\n${text}\n\n${END}${after}`);
}

module.exports = { Report, documented, document };
