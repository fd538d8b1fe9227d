'use strict';

/** What the code can say and what index.d.ts declares are the same: codes, operations, events, names. */

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');

const Redlock = require('redlock-native');
const ts = require('typescript');

const ROOT = path.join(__dirname, '..', '..');

/** A request that was given up is rejected with its signal's reason, or is told as closed. */
const NEVER_TOLD = ['ERR_REDLOCK_CANCELLED'];

const RUST = textsIn('src', '.rs');
const JAVASCRIPT = ['lib', 'compat', 'otel'].flatMap((folder) => textsIn(folder, '.js'));

const program = ts.createProgram([path.join(ROOT, 'index.d.ts'), path.join(ROOT, 'index.d.mts')], {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2023,
  strict: true,
  types: ['node'],
});
const checker = program.getTypeChecker();
const declared = namesOf('index.d.ts');

describe('what index.d.ts declares is what the code says:', () => {
  test("the codes of a LockError, which are the engine's and that of an event", () => {
    const said = matches(RUST, /"(ERR_REDLOCK_[A-Z_]+)"/g).filter((code) => !NEVER_TOLD.includes(code));
    assert.deepEqual(literals('LockErrorCode'), sorted([...said, 'ERR_REDLOCK_ENDANGERED']));
  });

  test('the codes of an InstanceError and a ConnectionError, which are those of a Cause', () => {
    const bodies = matches(RUST, /impl Cause \{.*?fn code\(&self\)[^{]*(\{.*?\n {4}\})/gs);
    assert.equal(bodies.length, 1, 'Cause has one method that says its code');
    const said = matches(bodies, /"([A-Z_]+)"/g).map((code) => `ERR_REDLOCK_${code}`);
    assert.deepEqual(literals('InstanceErrorCode'), said);
  });

  test('the codes of arguments', () => {
    const said = [
      ...matches(JAVASCRIPT, /(?:wrongType|outOfRange)\(\s*'([A-Z]+)'/g).map(
        (argument) => `ERR_REDLOCK_INVALID_${argument}`,
      ),
      ...matches(JAVASCRIPT, /'(ERR_REDLOCK_INVALID_[A-Z]+)'/g),
    ];
    assert.deepEqual(literals('ArgumentErrorCode'), sorted(said));
  });

  test('every code there is', () => {
    const written = matches(JAVASCRIPT, /'(ERR_REDLOCK_[A-Z_]+)'/g);
    const others = literals('ErrorCode').filter(
      (code) =>
        !['LockErrorCode', 'InstanceErrorCode', 'ArgumentErrorCode'].some((name) =>
          literals(name).includes(code),
        ),
    );
    for (const code of others) assert.ok(written.includes(code), `nothing says ${code}`);
    const unknown = written.filter((code) => !literals('ErrorCode').includes(code));
    assert.deepEqual(
      unknown.filter((code) => !NEVER_TOLD.includes(code)),
      [],
    );
  });

  test('the operations', () => {
    const bodies = matches(RUST, /impl Operation \{.*?fn name\(self\)[^{]*(\{.*?\n {4}\})/gs);
    assert.equal(bodies.length, 1, 'Operation has one method that says its name');
    assert.deepEqual(literals('Operation'), matches(bodies, /"([a-z]+)"/g));
  });

  test('the events', () => {
    const said = [
      ...matches(JAVASCRIPT, /(?:\.emit|\.tell|#tell)\(\s*'([A-Za-z]+)'/g),
      ...matches(JAVASCRIPT, /\bemit\([\w.#]+, '([A-Za-z]+)'/g),
    ];
    const events = membersOf('Events');
    for (const event of events) assert.ok(said.includes(event), `nothing tells ${event}`);
    // redlock 5's, and process warnings' own.
    assert.deepEqual(
      said.filter((event) => !events.includes(event)),
      ['error'],
    );
  });

  test("the methods and the class's companions, and each has its own type", () => {
    const own = Object.getOwnPropertyNames(Redlock.prototype).filter((name) => name !== 'constructor');
    const events = Object.getOwnPropertyNames(EventEmitter.prototype);
    const isMissing = (name) => !membersOf('Redlock').includes(name) && !events.includes(name);
    assert.deepEqual(own.filter(isMissing), []);
    for (const name of Object.keys(Redlock)) assert.ok(declared.has(name) || name === 'Promise', name);
    const lock = Object.getOwnPropertyNames(Redlock.Lock.prototype).filter((name) => name !== 'constructor');
    assert.deepEqual(
      lock.filter((name) => !membersOf('Lock').includes(name)),
      [],
    );
  });

  test('to import as to require', () => {
    assert.deepEqual([...namesOf('index.d.mts').keys()].sort(), [...declared.keys()].sort());
  });
});

describe('an error', () => {
  test('has a code and an operation that are declared, whatever was asked', async (t) => {
    const client = { eval: () => Promise.reject('no error at all') };
    const redlock = new Redlock([client], { retryCount: 0 });
    t.after(() => redlock.quit());
    const told = [];
    redlock.on('clientError', (error) => told.push(error));
    const lock = { resource: 'a', value: 'v', expiration: Date.now() + 5000 };

    const refusals = [
      await redlock.lock('a', 5000).catch((error) => error),
      await redlock.extend(lock, 5000).catch((error) => error),
      await redlock.unlock(lock).catch((error) => error),
    ];
    for (const { code } of refusals) assert.ok(literals('LockErrorCode').includes(code), code);
    const { instances } = await redlock.inspect('a');
    told.push(instances[0].error);

    for (const { code } of told) assert.equal(code, 'ERR_REDLOCK_CLIENT');
    assert.deepEqual(sorted(told.map(({ operation }) => operation)), literals('Operation'));
    assert.ok(literals('InstanceErrorCode').includes('ERR_REDLOCK_CLIENT'));
  });
});

/**
 * The words of a union that is declared in the namespace.
 *
 * @param {string} name
 * @returns {string[]}
 */
function literals(name) {
  const type = checker.getDeclaredTypeOfSymbol(declared.get(name));
  return (type.isUnion() ? type.types : [type]).map(({ value }) => value).sort();
}

/** @param {string} name */
function membersOf(name) {
  const type = checker.getDeclaredTypeOfSymbol(declared.get(name));
  return checker.getPropertiesOfType(type).map((member) => member.name);
}

/**
 * What a file exports, or, where that is one thing, what it has in its namespace.
 *
 * @param {string} file
 * @returns {Map<string, ts.Symbol>}
 */
function namesOf(file) {
  const module = checker.getSymbolAtLocation(program.getSourceFile(path.join(ROOT, file)));
  const exported = checker
    .getExportsOfModule(module)
    .filter(({ flags }) => !(flags & (ts.SymbolFlags.Prototype | ts.SymbolFlags.Property)));
  const entries = exported.map((symbol) => [
    symbol.name,
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol,
  ]);
  return new Map(entries);
}

/**
 * @param {string} folder
 * @param {string} extension
 */
function textsIn(folder, extension) {
  return fs
    .readdirSync(path.join(ROOT, folder), { recursive: true })
    .filter((file) => file.endsWith(extension))
    .map((file) => fs.readFileSync(path.join(ROOT, folder, file), 'utf8'));
}

/**
 * What the pattern's group has found, each once.
 *
 * @param {string[]} texts
 * @param {RegExp} pattern
 */
function matches(texts, pattern) {
  return sorted(texts.flatMap((text) => [...text.matchAll(pattern)].map(([, found]) => found)));
}

/** @param {string[]} words */
function sorted(words) {
  return [...new Set(words)].sort();
}
