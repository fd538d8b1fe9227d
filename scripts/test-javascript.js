'use strict';

/** Runs tests in JavaScript: several files at a time, those that measure time one by one, and tells which took longest. */

const path = require('node:path');
const { run } = require('node:test');
const { spec: Spec } = require('node:test/reporters');

const ROOT = path.join(__dirname, '..');
/** A file that hangs is a failure, and the tests must come to an end. */
const TIMEOUT = 300_000;
/** Most of them wait. A machine that others share is given less to do: there, what measures time has less to spare. */
const AT_ONCE = process.env.CI ? 2 : 4;
/** The longest first, or one of them would run alone at the end. */
const FIRST = ['__test__/simulation/'];
/** What measures time, and would take another file's load for a fault. */
const ALONE = [
  '__test__/instances/far-servers.test.js',
  '__test__/instances/faults.test.js',
  // A server that is silent for 2 s is given up, whatever it is busy with.
  '__test__/main/many-names.test.js',
];
const SLOWEST = 10;

/** What Node.js 20 says of a test that `--grep` leaves out; later ones say nothing of it. */
const LEFT_OUT = 'test name does not match pattern';

/**
 * @param {string[]} files from the repository's root
 * @param {string} [grep] pattern of the names of tests
 * @returns {Promise<boolean>} whether all have passed, and there was one
 */
async function runJavaScript(files, grep) {
  const isFirst = (file) => FIRST.some((folder) => file.startsWith(folder));
  const isAlone = (file) => ALONE.includes(file);
  const together = files.filter((file) => !isAlone(file)).sort((a, b) => isFirst(b) - isFirst(a));
  const groups = [
    { files: together, concurrency: AT_ONCE },
    { files: files.filter(isAlone), concurrency: 1 },
  ].filter((group) => group.files.length);
  const results = [];
  for (const group of groups) results.push(await runGroup(group, grep));
  const ran = results.flatMap((result) => result.ran);
  if (!ran.length) console.error(`\nno test ran${grep === undefined ? '' : ` whose name matches ${grep}`}`);
  else tellSlowest(ran);
  return ran.length > 0 && results.every((result) => result.isFine);
}

/**
 * @param {{files: string[], concurrency: number}} group
 * @param {string} [grep]
 * @returns {Promise<{ran: import('node:test').EventData.TestPass[], isFine: boolean}>}
 */
function runGroup({ files, concurrency }, grep) {
  console.log(`\n$ node --test --test-concurrency=${concurrency} (${files.length} files)`);
  const ran = [];
  let isFine = true;

  async function* note(events) {
    // What begins may turn out to be left out: the reporter must hear of neither, or it loses count.
    const begun = [];
    for await (const event of events) {
      const { type, data } = event;
      if (type === 'test:start') {
        begun.push(event);
        continue;
      }
      if (data.skip === LEFT_OUT) {
        begun.pop();
        continue;
      }
      yield* begun.splice(0);
      if (type === 'test:fail') isFine = false;
      if (/^test:(pass|fail)$/.test(type) && data.details.type !== 'suite') ran.push(data);
      yield event;
    }
  }

  return new Promise((resolve, reject) => {
    const events = run({
      files: files.map((file) => path.join(ROOT, file)),
      concurrency,
      timeout: TIMEOUT,
      ...(grep !== undefined && { testNamePatterns: grep }),
    });
    const text = events.compose(note).compose(new Spec());
    text.once('error', reject).once('end', () => resolve({ ran, isFine }));
    text.pipe(process.stdout, { end: false });
  });
}

/** @param {import('node:test').EventData.TestPass[]} tests */
function tellSlowest(tests) {
  const slowest = [...tests].sort((a, b) => b.details.duration_ms - a.details.duration_ms).slice(0, SLOWEST);
  console.log('\nThe slowest:');
  for (const { details, file, name } of slowest) {
    const where = file === undefined ? '' : path.relative(ROOT, file).replaceAll('\\', '/');
    console.log(`${(details.duration_ms / 1000).toFixed(1).padStart(6)} s  ${where}: ${name}`);
  }
}

module.exports = { runJavaScript, FIRST, ALONE };
