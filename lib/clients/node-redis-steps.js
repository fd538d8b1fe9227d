'use strict';

/** What is node-redis' own between `eval` and the socket, by version: see pristine.js. */

/** Commands that one function has made, of a parser's; and the way on. */
const PARSED = /\.parseCommand\([\s\S]*_execute/;
/** @type {import('./pristine').Step[]} */
const SINGLE = [
  { name: 'eval', beside: 'incrByFloat', text: PARSED },
  { name: 'evalSha', beside: 'incrByFloat', text: PARSED },
  { name: '_executeCommand', beside: 'withTypeMapping', text: /\.redisArgs/ },
  { name: 'sendCommand', beside: 'withTypeMapping', text: /\.addCommand\(/ },
  { name: 'options', beside: 'withTypeMapping', isAccessor: true },
];
/** @type {import('./pristine').Step[]} */
const CLUSTER = [
  { name: 'eval', beside: 'incrByFloat', text: PARSED },
  { name: 'evalSha', beside: 'incrByFloat', text: PARSED },
  { name: '_execute', beside: 'withTypeMapping', text: /maxCommandRedirections/ },
  { name: 'sendCommand', beside: 'withTypeMapping', text: /\._execute/ },
];
/** Whole, as all commands of version 4 are. */
const CALLED =
  /^(async )?function ?\w* ?\(\.\.\.(\w+)\) ?\{\s*return \w+\.call\(this, ?\w+, ?\2, ?\w+\);?\s*\}$/;

/**
 * The way from `eval` to the socket, of a client and of a cluster; behind these, all is out of sight.
 *
 * @type {Record<string, [import('./pristine').Step[], import('./pristine').Step[]]>}
 */
const STEPS = {
  'node-redis 4': [
    [
      { name: 'eval', beside: 'executeIsolated', text: CALLED },
      { name: 'evalSha', beside: 'executeIsolated', text: CALLED },
      { name: 'sendCommand', beside: 'executeIsolated', text: /["'`]m["'`]|#/ },
      { name: 'options', beside: 'executeIsolated', isAccessor: true },
    ],
    [],
  ],
  'node-redis 5': [SINGLE, CLUSTER],
  'node-redis 6': [
    [...SINGLE, { name: '_keyPrefix', beside: 'withTypeMapping', isAccessor: true }],
    [
      ...CLUSTER,
      { name: '_executeWithPolicies', beside: 'withTypeMapping', text: /resolvePolicy/ },
      { name: '_keyPrefix', beside: 'withTypeMapping', isAccessor: true },
    ],
  ],
};

module.exports = { STEPS };
