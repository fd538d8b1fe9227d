'use strict';

/**
 * One of the processes that contend: `node worker.js <Task as JSON>`, started by processes.js. It takes locks,
 * updates the files that they protect for as long as its lock says that it is held, and tells of every hold.
 *
 * @typedef {object} Task
 * @property {string} name of this process
 * @property {string} holder a name of holders.js
 * @property {import('./holders').Place[]} places
 * @property {string[]} resources
 * @property {string} folder where their files are
 * @property {number} ttl in ms
 * @property {number} seed
 */

const { setTimeout: sleep } = require('node:timers/promises');

const { Random } = require('../scripts/random');
const { now } = require('./clock');
const { HOLDERS, isRefusal } = require('./holders');
const { Ledger } = require('./ledger');

/** How many locks a process holds or waits for at a time. */
const AT_ONCE = 4;

/** How often a holder looks at its lock, in ms. */
const LOOK = 50;

/** @type {Task} */
const task = JSON.parse(process.argv[2]);
const { ttl } = task;
const random = new Random(task.seed);
const ledgers = new Map(task.resources.map((resource) => [resource, new Ledger(task.folder, resource)]));
let isStopping = false;
let updates = 0;

/** How long a lock is held, and whether it is extended, by how many of a hundred. */
const MANNERS = [
  { share: 82, isKept: false, isExtended: false, span: () => random.between(0, 15) },
  { share: 7, isKept: false, isExtended: true, span: () => random.between(ttl / 2, 3 * ttl) },
  { share: 7, isKept: true, isExtended: true, span: () => random.between(ttl, 4 * ttl) },
  // Longer than its validity, so that it must see by itself that it may not write.
  { share: 4, isKept: false, isExtended: false, span: () => random.between(0.9 * ttl, 1.3 * ttl) },
];

async function main() {
  const holder = await HOLDERS[task.holder](task.places, ttl);
  process.on('message', (/** @type {{stop?: true, block?: number}} */ { stop, block }) => {
    if (stop) isStopping = true;
    if (block) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, block);
  });
  // Whoever started it has gone.
  process.once('disconnect', () => process.exit(1));
  tell({ ready: true });

  await Promise.all(Array.from({ length: AT_ONCE }, () => contend(holder)));
  await holder.quit();
  process.send?.({ done: true }, () => process.exit());
}

/** @param {import('./holders').Holder} holder */
async function contend(holder) {
  while (!isStopping) {
    const resources = random.sample(task.resources, random.chance(0.1) ? 2 : 1);
    const manner = pickManner();
    try {
      await holder.hold(resources, manner.isKept, (lease) => work(lease, resources, manner));
    } catch (error) {
      if (!isRefusal(error)) throw error;
      tell({ refused: error.code ?? error.cause?.code ?? error.name });
      await sleep(random.between(1, 20));
    }
  }
}

function pickManner() {
  const drawn = random.between(1, 100);
  let upTo = 0;
  for (const manner of MANNERS) {
    upTo += manner.share;
    if (drawn <= upTo) return manner;
  }
  throw new Error('the shares are not a hundred');
}

/**
 * What is done under a lock: read, take some time, write.
 *
 * @param {import('./holders').Lease} lease
 * @param {string[]} resources
 * @param {MANNERS[number]} manner
 */
async function work(lease, resources, { span, isExtended }) {
  const belief = new Belief(lease);
  /** @type {(import('./judge').Update | undefined)[]} */
  let written = [];
  try {
    const found = resources.map((resource) => ledgerOf(resource).read());
    const end = now() + span();
    for (let left = end - now(); left > 0; left = end - now()) {
      await sleep(Math.min(left, LOOK));
      if (!belief.look()) return;
      if (isExtended && lease.extend && lease.left() < ttl / 2) await lease.extend();
    }
    written = resources.map((resource, at) => update(belief, resource, found[at]));
  } finally {
    belief.look();
    belief.tell(resources, written);
  }
}

/**
 * @param {Belief} belief
 * @param {string} resource
 * @param {{count: number, id: string}} found
 * @returns {import('./judge').Update | undefined} undefined if there was no lock any more
 */
function update(belief, resource, { count, id: read }) {
  if (!belief.look()) return undefined;
  updates += 1;
  const id = `${task.name}-${updates}`;
  const start = now();
  ledgerOf(resource).write({ count: count + 1, id });
  const end = now();
  return { id, read, start, end, isInside: belief.look() };
}

/** @param {string} resource */
function ledgerOf(resource) {
  return /** @type {Ledger} */ (ledgers.get(resource));
}

/** For how long a holder has believed in its lock, as far as it has looked. */
class Belief {
  #lease;
  /** Undefined before it was found to be held. @type {number | undefined} */
  #from;
  #to = 0;
  /** When the lock ends, as it was when it was last seen to be held. */
  #until = 0;
  #isOver = false;

  /** @param {import('./holders').Lease} lease */
  constructor(lease) {
    this.#lease = lease;
    this.look();
  }

  /** @returns {boolean} whether the lock is still held */
  look() {
    if (this.#isOver) return false;
    const before = now();
    const left = this.#lease.left();
    if (left > 0) {
      this.#from ??= before;
      this.#to = before;
      this.#until = before + left;
      return true;
    }
    this.#isOver = true;
    // It was held up to its end, unless it was lost before: then up to some moment that nobody has seen.
    if (this.#from !== undefined && this.#until <= before) this.#to = this.#until;
    return false;
  }

  /**
   * @param {string[]} resources
   * @param {(import('./judge').Update | undefined)[]} written
   */
  tell(resources, written) {
    if (this.#from === undefined) return;
    const hold = { holder: task.name, from: this.#from, to: this.#to };
    tell({ holds: resources.map((resource, at) => ({ ...hold, resource, update: written[at] })) });
  }
}

/** @param {object} message */
function tell(message) {
  process.send?.(message);
}

main();
