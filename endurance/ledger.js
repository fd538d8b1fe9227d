'use strict';

/**
 * The file that a lock protects: a counter, the name of the update that wrote it, and a check over both, so that
 * half a record is noticed.
 */

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

/** What stands in it before the first update. */
const NOBODY = '-';

class Ledger {
  #file;

  /**
   * @param {string} folder
   * @param {string} resource
   */
  constructor(folder, resource) {
    this.#file = fs.openSync(path.join(folder, encodeURIComponent(resource)), OPEN);
  }

  /** @returns {{count: number, id: string}} the last update */
  read() {
    const record = Buffer.alloc(LENGTH);
    const length = fs.readSync(this.#file, record, 0, LENGTH, 0);
    if (length === 0) return { count: 0, id: NOBODY };
    const [count, id, check] = record.toString('latin1').trim().split(/ +/);
    if (check !== checkOf(count, id)) throw new Error(`half a record: "${record.toString('latin1')}"`);
    return { count: Number(count), id };
  }

  /**
   * In one write, over what was there: whoever wrote meanwhile is lost.
   *
   * @param {{count: number, id: string}} update
   */
  write({ count, id }) {
    const record = `${count} ${id} ${checkOf(String(count), id)}`.padEnd(LENGTH);
    fs.writeSync(this.#file, record, 0, 'latin1');
  }
}

/** Without O_TRUNC, and made by whoever comes first. */
const OPEN = fs.constants.O_RDWR | fs.constants.O_CREAT;

const LENGTH = 64;

/**
 * @param {string} count
 * @param {string} id
 */
function checkOf(count, id) {
  return createHash('sha256').update(`${count} ${id}`).digest('hex').slice(0, 16);
}

module.exports = { Ledger, NOBODY };
