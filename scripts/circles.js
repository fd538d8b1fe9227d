'use strict';

/**
 * `node scripts/circles.js [folder]`: fails if files of src/, or of lib/ and compat/, import each other in a circle. What is
 * imported for a type counts too; a Rust file's unit tests don't.
 */

const fs = require('node:fs');
const path = require('node:path');

function main(root) {
  const circles = [...circlesOf(rustImports(path.join(root, 'src'))), ...circlesOf(scriptImports(root))];
  if (circles.length === 0) return;
  for (const circle of circles) console.error(`a circle of imports: ${circle.join(' → ')}`);
  console.error('Let one of them have what two need, or move that to a file below both.');
  process.exitCode = 1;
}

function filesIn(folder, ending) {
  if (!fs.existsSync(folder)) return [];
  const all = fs.readdirSync(folder, { recursive: true });
  return all.filter((file) => file.endsWith(ending)).map((file) => path.join(folder, file));
}

// ---- JavaScript

/** Each file's imports: `require`, and `import()` in the comments that say types. */
function scriptImports(root) {
  const files = ['lib', 'compat'].flatMap((folder) => filesIn(path.join(root, folder), '.js'));
  const imports = new Map();
  for (const file of files) {
    const named = [...fs.readFileSync(file, 'utf8').matchAll(/(?:require|import)\('(\.[^']*)'\)/g)];
    const targets = named.map(([, name]) => path.join(path.dirname(file), name));
    const found = targets.map((target) =>
      [target, `${target}.js`, path.join(target, 'index.js')].find((one) => files.includes(one)),
    );
    imports.set(file, new Set(found.filter((one) => one !== undefined)));
  }
  return relativeTo(root, imports);
}

function relativeTo(root, imports) {
  const name = (file) => path.relative(root, file);
  return new Map([...imports].map(([file, targets]) => [name(file), new Set([...targets].map(name))]));
}

// ---- Rust

/** Each module's imports: paths that begin with `crate` or `super`, or, in a module's own file, with a child. */
function rustImports(source) {
  const modules = new Map();
  for (const file of filesIn(source, '.rs')) {
    // Who may see a thing is no import.
    const text = fs.readFileSync(file, 'utf8').replace(/\/\/.*|\(in [\w:]+\)/g, '');
    const [code] = text.split(/#\[cfg\((?:all\()?test\b[^\n]*\nmod tests? \{/);
    modules.set(moduleOf(source, file), pathsIn(code));
  }
  const imports = new Map();
  for (const [module, paths] of modules) {
    if (/::(tests|fuzz)\b/.test(module)) continue;
    const found = paths.map(({ segments }) => target(modules, module, segments));
    imports.set(module, new Set(found.filter((one) => one !== undefined && one !== module)));
  }
  return imports;
}

function moduleOf(source, file) {
  const segments = path.relative(source, file).replace(/\.rs$/, '').split(path.sep);
  if (segments.at(-1) === 'mod') segments.pop();
  return segments.length === 1 && segments[0] === 'lib' ? 'crate' : ['crate', ...segments].join('::');
}

/** All that a text names by path: its segments, and what it is called here. */
function pathsIn(code) {
  const uses = [...code.matchAll(/\buse ([^;]+);/g)].flatMap(([, tree]) =>
    branchesOf(tree.replace(/\s+/g, ' ')),
  );
  const inline = [...code.matchAll(/\b(?:crate|super)(?:::\w+)+/g)].map(([name]) => name);
  return [...uses, ...inline].map((one) => {
    const [name, alias] = one.split(' as ');
    const segments = name.trim().split('::');
    return { segments, name: (alias ?? segments.at(-1)).trim() };
  });
}

/** `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`. */
function branchesOf(tree) {
  const open = tree.indexOf('{');
  if (open === -1) return [tree.trim()];
  const before = tree.slice(0, open).trim();
  const inside = tree.slice(open + 1, tree.lastIndexOf('}'));
  const parts = [''];
  let depth = 0;
  for (const letter of inside) {
    if (letter === '{') depth += 1;
    if (letter === '}') depth -= 1;
    if (letter === ',' && depth === 0) parts.push('');
    else parts[parts.length - 1] += letter;
  }
  return parts.filter((part) => part.trim()).flatMap((part) => branchesOf(before + part.trim()));
}

/**
 * The module that a path leads to: the deepest there is on its way, and from there on to where what it names is defined, if that
 * module only hands it on.
 */
function target(modules, module, [first, ...rest]) {
  let at = module;
  let segments = rest;
  if (first === 'crate') at = 'crate';
  else if (first === 'super') at = parentOf(module);
  else if (first !== 'self') segments = [first, ...rest];
  while (segments[0] === 'super') {
    at = parentOf(at);
    segments = segments.slice(1);
  }
  while (segments.length > 0 && modules.has(`${at}::${segments[0]}`)) {
    at = `${at}::${segments[0]}`;
    segments = segments.slice(1);
  }
  if (segments.length === 0) return at;
  // Of its own, as of another crate, this module has nothing to do with.
  if (at === module) return undefined;
  const handedOn = modules.get(at)?.find(({ name, segments: way }) => name === segments[0] && way.length > 1);
  return (handedOn && target(modules, at, handedOn.segments)) ?? at;
}

function parentOf(module) {
  return module.slice(0, module.lastIndexOf('::'));
}

// ---- circles

/** The shortest circle through each file that is on one, each once. */
function circlesOf(imports) {
  const circles = new Map();
  for (const start of imports.keys()) {
    const circle = circleFrom(imports, start);
    if (circle) circles.set([...circle].sort().join(), [...circle, start]);
  }
  return [...circles.values()];
}

function circleFrom(imports, start) {
  const ways = [[start]];
  const seen = new Set();
  for (const way of ways) {
    for (const next of imports.get(way.at(-1)) ?? []) {
      if (next === start) return way;
      if (seen.has(next)) continue;
      seen.add(next);
      ways.push([...way, next]);
    }
  }
  return undefined;
}

main(path.resolve(process.argv[2] ?? path.join(__dirname, '..')));
