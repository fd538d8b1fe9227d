'use strict';

/**
 * The package's own modules, new for each world: their state is the world's. Native is replaced by the world's own
 * mailbox; everything else is the shipped code, but for a rule that is taken out where a test wants that.
 */

const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const vm = require('node:vm');

const ROOT = path.join(__dirname, '..', '..');
const BINDING = path.join(ROOT, 'binding.js');
const OWN = [path.join(ROOT, 'lib') + path.sep, path.join(ROOT, 'compat') + path.sep];

/**
 * What the world may see of what modules keep to themselves.
 *
 * @type {Record<string, [string, string][]>}
 */
const WINDOWS = {
  'lib/native/engine.js': [
    [
      'class Engine {',
      `/** @type {Engine[]} */
const everyEngine = [];
class Engine {
  get seenBySimulation() {
    return { voteReports: this.#voteReports.size, watched: this.#watched.size, inFlight: this.#inFlight };
  }`,
    ],
    ['engines.set(handle, this);', 'engines.set(handle, this); everyEngine.push(this);'],
    [
      'module.exports = {',
      `const sum = (what) => everyEngine.reduce((all, engine) => all + engine.seenBySimulation[what], 0);
module.exports = { seenBySimulation: () => ({
    engines: engines.size, requests: requests.count,
    get voteReports() { return sum('voteReports'); },
    get watchedLocks() { return sum('watched'); },
    get inFlight() { return sum('inFlight'); },
  }),`,
    ],
  ],
  'lib/native/answers.js': [
    [
      'onWake(turns.wake);',
      'onWake(turns.wake);\nmodule.exports = { seenBySimulation: () => turns.seenBySimulation };',
    ],
  ],
  'lib/native/turns.js': [
    [
      'class Turns {',
      `class Turns {
  get seenBySimulation() { return { turns: this.#waiting.length, late: this.#isLate ? 1 : 0 }; }`,
    ],
  ],
  'lib/native/slots.js': [
    [
      'class Slots {',
      `class Slots {
  get seenBySimulation() {
    return { waiters: this.#waiters.filter(Boolean).length };
  }`,
    ],
    [
      'module.exports = {',
      'module.exports = { seenBySimulation: () => module.exports.slots.seenBySimulation,',
    ],
  ],
  'lib/native/client-answers.js': [
    ['module.exports = {', 'module.exports = { seenBySimulation: () => ({ collected }),'],
  ],
  'lib/channels.js': [
    ['module.exports = {', 'module.exports = { seenBySimulation: () => ({ untold: untold.length }),'],
  ],
  'lib/watchdog.js': [
    [
      'module.exports = {',
      'module.exports = { seenBySimulation: () => ({ inUse: inUse.size, onlyWatched: onlyWatched.size }),',
    ],
  ],
};

/** Compiled once; run for each world. @type {Map<string, vm.Script>} */
let scripts = new Map();
/** @type {import('./sabotage').Edit[]} */
let edits = [];

/**
 * To be called first.
 *
 * @param {import('./sabotage').Edit[]} given what is changed in the package
 */
function useEdits(given) {
  edits = given;
  scripts = new Map();
  // What can't be done is no violation of a world's.
  for (const { file } of edits) scriptOf(path.join(ROOT, file));
  for (const file of Object.keys(WINDOWS)) scriptOf(path.join(ROOT, file));
}

const loadOther = Module._extensions['.js'];
Module._extensions['.js'] = (module, filename) => {
  if (!isOwn(filename)) {
    loadOther(module, filename);
    return;
  }
  const run = scriptOf(filename).runInThisContext();
  run(module.exports, Module.createRequire(filename), module, filename, path.dirname(filename));
};

function isOwn(filename) {
  return OWN.some((folder) => filename.startsWith(folder));
}

function scriptOf(filename) {
  let script = scripts.get(filename);
  if (script === undefined) {
    const name = path.relative(ROOT, filename).split(path.sep).join('/');
    let text = fs.readFileSync(filename, 'utf8');
    const changes = [
      ...edits.filter(({ file }) => file === name).map(({ from, to }) => [from, to]),
      ...(WINDOWS[name] ?? []),
    ];
    for (const [from, to] of changes) text = replaceOnce(text, from, to, name);
    const wrapped = `(function (exports, require, module, __filename, __dirname) {${text}\n})`;
    script = new vm.Script(wrapped, { filename });
    scripts.set(filename, script);
  }
  return script;
}

function replaceOnce(text, from, to, name) {
  const parts = text.split(from);
  if (parts.length !== 2) {
    throw new Error(
      `${name} has ${parts.length - 1} places that read ${JSON.stringify(from)}, and the simulation expects one: ` +
        'bring __test__/simulation up to date with it',
    );
  }
  return parts.join(to);
}

/**
 * @param {object} binding in place of native
 * @param {boolean} runsTicks whether Node.js does at once what was set off, or each turn waits for a call of native's
 * @returns {{load: (name: string) => any}}
 */
function freshPackage(binding, runsTicks) {
  for (const name of Object.keys(require.cache)) if (isOwn(name)) delete require.cache[name];
  const module = new Module(BINDING);
  module.filename = BINDING;
  module.loaded = true;
  module.exports = binding;
  require.cache[BINDING] = module;
  const runTicks = process._tickCallback;
  if (!runsTicks) process._tickCallback = undefined;
  require(path.join(ROOT, 'lib/native/ticks.js'));
  process._tickCallback = runTicks;
  return { load: (name) => require(path.join(ROOT, name)) };
}

/**
 * What the package has in its hands.
 *
 * @param {(name: string) => any} load
 * @returns {Record<string, number>}
 */
function seenIn(load) {
  return Object.assign({}, ...SEEN_IN.map((name) => load(name).seenBySimulation()));
}

const SEEN_IN = Object.keys(WINDOWS).filter((name) => name !== 'lib/native/turns.js');

module.exports = { freshPackage, seenIn, useEdits };
