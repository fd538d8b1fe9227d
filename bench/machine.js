'use strict';

const { execFileSync } = require('node:child_process');
const os = require('node:os');
const path = require('node:path');

const { perThread } = require('./cpu');
const { peerVersions } = require('./peers');

/**
 * What the figures were measured on and with.
 *
 * @param {string} redisServer path of the program
 */
function describeMachine(redisServer) {
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    cpu: os.cpus()[0].model.trim(),
    cores: os.availableParallelism(),
    memory: os.totalmem(),
    system: `${os.type()} ${os.release()} ${process.arch}`,
    node: process.version,
    server: serverVersion(redisServer),
    tree: tree(),
    peers: peerVersions(),
    unknown: perThread ? null : "the JavaScript thread's CPU time can't be told from the process's here",
  };
}

/** As `Redis server v=7.0.15 …` says it. */
function serverVersion(program) {
  const said = execFileSync(program, ['--version'], { encoding: 'utf8' });
  const [, name, version] = /^(\w+).*?v=(\S+)/.exec(said) ?? [null, 'server', 'unknown'];
  return `${name} ${version}`;
}

/** The commit that was measured, or the package's version where there is no git. */
function tree() {
  const git = (...args) => execFileSync('git', args, { cwd: __dirname, encoding: 'utf8', stdio: 'pipe' });
  try {
    const changed = git(
      'status',
      '--porcelain',
      '--untracked-files=no',
      ':/src',
      ':/addon',
      ':/lib',
      ':/compat',
    ).trim();
    return `${git('rev-parse', '--short', 'HEAD').trim()}${changed ? ' and changes' : ''}`;
  } catch {
    return require(path.join('..', 'package.json')).version;
  }
}

module.exports = { describeMachine };
