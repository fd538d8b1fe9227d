'use strict';

// What a client's error says of its server's, in whatever words of the library's it comes.

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { wordOf, isNoScript, forbidsDigests } = require('../../lib/replies');

const CALL = 'ERR Error running script (call to f_6b1bf486c81ceb7edf3c093f4c48582e38c0e791): ';
const GLIDE = 'An error was signalled by the server: - ';

/** @type {[string, string | undefined][]} */
const WORDS = [
  ["READONLY You can't write against a read only replica. script: 6b1b, on @user_script:1.", 'READONLY'],
  [`${CALL}@user_script:1: -READONLY You can't write against a read only replica.`, 'READONLY'],
  [`${CALL}@user_script:9: @user_script: 9: -READONLY You can't write`, 'READONLY'],
  [`${CALL}@user_script:1: -MISCONF Redis is configured to save RDB snapshots`, 'MISCONF'],
  [`${CALL}@user_script:1: -OOM command not allowed when used memory > 'maxmemory'.`, 'OOM'],
  [`${CALL}@user_script:1: -LOADING`, 'LOADING'],
  [`${CALL}@user_script:1: @user_script: 1: The user executing the script can't run this command`, 'NOPERM'],
  ["ERR The user executing the script can't run this command or subcommand script: e", 'NOPERM'],
  ['ERR ACL failure in script: User locker has no permissions', 'NOPERM'],
  ["@user_script: 5: -READONLY You can't write against a read only replica.", 'READONLY'],
  ["@user_script:: 5: -READONLY You can't", 'READONLY'],
  [`${GLIDE}ResponseError: Error running script (call to f_ab): @user_script:1: -READONLY You`, 'READONLY'],
  [`${GLIDE}PermissionDenied: this user has no permissions to run the 'get' command`, 'NOPERM'],
  [`${GLIDE}ReadOnly: You can't write against a read only replica.`, 'READONLY'],
  [`${GLIDE}OOM: command not allowed`, 'OOM'],
  ["NOPERM no access to the '-READONLY ' key", 'NOPERM'],
  ["ERR no key '-READONLY '", 'ERR'],
  ['ERR READONLY is a name', 'ERR'],
  [`${CALL}@user_script:1: no key -READONLY here`, 'ERR'],
  [`${CALL}@user_script:1: 'READONLY' @user_script:1: -READONLY x`, 'ERR'],
  [`${CALL}@user_script:1: -NOSCRIPT none`, 'ERR'],
  ['ERR Error running script (call to x): @user_script:1: -READONLY x', 'ERR'],
  ['ReadOnly: a client of that name', undefined],
  ['Connection is closed.', undefined],
  ['Command timed out: READONLY', undefined],
  ['', undefined],
];

for (const [message, word] of WORDS) {
  test(`${word}: ${message}`, () => assert.equal(wordOf(message), word));
}

test('that a script is unknown is told from a name that looks like it', () => {
  assert.ok(isNoScript('NOSCRIPT No matching script. Please use EVAL.'));
  assert.ok(isNoScript(`${GLIDE}NoScriptError: No matching script.`));
  assert.ok(isNoScript('traced: NOSCRIPT No matching script. Please use [EVAL].'));
  assert.ok(!isNoScript("NOPERM no access to the 'NOSCRIPT' key"));
  assert.ok(!isNoScript('READONLY NOSCRIPT'));
});

test('that digests are forbidden is told from a name that looks like it', () => {
  for (const message of [
    "NOPERM this user has no permissions to run the 'evalsha' command",
    "NOPERM User locker has no permissions to run the 'evalsha' command",
    "ERR unknown command 'EVALSHA', with args beginning with: 'a' ",
    'ERR unknown command `evalsha`, with args beginning with: ',
    `${GLIDE}PermissionDenied: this user has no permissions to run the 'evalsha' command`,
    `${GLIDE}ResponseError: unknown command 'EVALSHA', with args beginning with: 'a'`,
  ]) {
    assert.ok(forbidsDigests(message), message);
  }
  for (const message of [
    "NOPERM this user has no permissions to run the 'get' command",
    "NOPERM no access to the 'evalsha' key",
    "ERR unknown command 'FOO', with args beginning with: 'evalsha' ",
    'NOSCRIPT No matching script. Please use EVAL.',
    'evalsha',
  ]) {
    assert.ok(!forbidsDigests(message), message);
  }
});
