'use strict';

/**
 * `node bench/require.js [pairs]`: what `require` costs, against redlock 4.2.0: the packed package and redlock are installed in a
 * folder, and processes that only load one of them take turns. Prints medians.
 */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { installOffline, linkModules } = require('../scripts/package/install');
const { pack } = require('../scripts/package/tarballs');
const { median } = require('./statistics');

const PAIRS = 40;

/** Who comes first is what the others are compared with. */
const CONTENDERS = ['redlock', 'redlock-native', 'redlock-native/v4'];

const CHILD = `'use strict';
const started = performance.now();
const before = process.cpuUsage();
require(process.argv[2]);
const { user, system } = process.cpuUsage(before);
const wall = performance.now() - started;
console.log(JSON.stringify({ cpu: (user + system) / 1000, wall, modules: Object.keys(require.cache).length - 1 }));
`;

async function main(pairs) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-require-'));
  try {
    await install(folder);
    console.log(report(measure(folder, pairs)));
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** @param {string} app */
async function install(app) {
  const { main: packed, platforms } = await pack(path.join(app, 'packages'));
  await installOffline(app, [packed, ...platforms]);
  linkModules(app, { redlock: 'redlock', bluebird: 'bluebird' });
  fs.writeFileSync(path.join(app, 'child.js'), CHILD);
}

/**
 * @typedef {{cpu: number, wall: number, modules: number}} Sample times in ms
 *
 * @param {string} app
 * @param {number} pairs
 * @returns {Map<string, Sample[]>} by contender
 */
function measure(app, pairs) {
  const samples = new Map(CONTENDERS.map((name) => [name, []]));
  for (let pair = -1; pair < pairs; pair++) {
    for (const name of CONTENDERS) {
      const said = execFileSync(process.execPath, ['child.js', name], { cwd: app, encoding: 'utf8' });
      // The first ones read the files from the disk.
      if (pair >= 0) samples.get(name).push(JSON.parse(said));
    }
  }
  return samples;
}

/** @param {Map<string, Sample[]>} samples */
function report(samples) {
  const base = samples.get(CONTENDERS[0]);
  const lines = [...samples].map(([name, own]) => {
    const ratio = median(own.map(({ cpu }, at) => cpu / base[at].cpu));
    const [cpu, wall] = ['cpu', 'wall'].map((key) => median(own.map((sample) => sample[key])).toFixed(1));
    return `${name}: CPU ${cpu} ms (${ratio.toFixed(2)} × ${CONTENDERS[0]}'s), wall ${wall} ms, ${own[0].modules} modules`;
  });
  return [`medians of ${base.length} processes each, Node.js ${process.version}`, ...lines].join('\n');
}

if (require.main === module) main(Number(process.argv[2] ?? PAIRS));
