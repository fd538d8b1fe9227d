'use strict';

/** The check of the pipelines' files: that it finds what is wrong. */

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { before, describe, test } = require('node:test');

const SCRIPT = path.join(__dirname, '..', '..', 'scripts', 'workflows.js');
const HASH = '3d3c42e5aac5ba805825da76410c181273ba90b1';
/** Before the steps of a workflow. */
const HEAD = ['on: push', 'jobs:', '  one:', '    runs-on: ubuntu-24.04', '    steps:'];

/** What it prints of a workflow with these steps. */
function faultsOf(steps) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'workflows-'));
  try {
    fs.mkdirSync(path.join(root, '.github', 'workflows'), { recursive: true });
    const text = [...HEAD, ...steps.map((step) => `      - ${step}`), ''].join('\n');
    fs.writeFileSync(path.join(root, '.github', 'workflows', 'x.yml'), text);
    fs.writeFileSync(path.join(root, 'package.json'), JSON.stringify({ scripts: { 'build:debug': '…' } }));
    const { status, stderr } = spawnSync(process.execPath, [SCRIPT, root], { encoding: 'utf8' });
    assert.equal(status, stderr === '' ? 0 : 1, stderr);
    return stderr.split('\n').filter(Boolean);
  } finally {
    fs.rmSync(root, { recursive: true });
  }
}

describe('the check of workflows', () => {
  test('has nothing to say of one that is right', () => {
    const steps = [`uses: actions/checkout@${HASH} # v7.0.1`, 'run: npm run build:debug'];
    assert.deepEqual(faultsOf(steps), []);
  });

  const FAULTS = {
    'an action by its tag': ['uses: actions/checkout@v7', /actions\/checkout@v7 is to be named/],
    'a hash without its version': [`uses: actions/checkout@${HASH}`, /actions\/checkout@.* in a comment/],
    'a script that is not there': ['run: npm run build', /package\.json has no script build$/],
    'one for another folder that is not there': [
      'run: npm --prefix x run build',
      /package\.json has no script build$/,
    ],
    'a file that is not there': ['run: node scripts/nothing.js', /there is no scripts\/nothing\.js$/],
    'a folder that is not there': ['run: npm ci --prefix some/folder', /there is no some\/folder$/],
    'what GitHub would not run': ['shell: bash', /"run" is required/],
    'what is no context': ['run: echo $' + '{{ nothing.here }}', /undefined variable "nothing"/],
  };
  let found;
  // One run for all: the linter takes seconds to begin.
  before(() => {
    found = faultsOf(Object.values(FAULTS).map(([step]) => step));
  });
  for (const [index, [name, [, expected]]] of Object.entries(FAULTS).entries()) {
    test(`finds ${name}`, () => {
      const where = `.github/workflows/x.yml:${HEAD.length + index + 1}: `;
      const here = found.filter((fault) => fault.startsWith(where));
      assert.ok(
        here.some((fault) => expected.test(fault)),
        found.join('\n'),
      );
    });
  }
});
