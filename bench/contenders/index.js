'use strict';

/**
 * Who is measured. Each contender is a file that exports `open(urls)`, which connects to the servers
 * and resolves with `{ cycle(resource) }`, which locks and unlocks the resource. It ends with its process.
 * The first one is ours: the others' figures are compared with it.
 */
const contenders = [
  { name: 'redlock-native', file: './redlock-native' },
  { name: 'redlock-native + ioredis 5', file: './redlock-native-ioredis' },
  { name: 'the same, bridged', file: './redlock-native-bridge' },
  { name: 'redlock 4 + ioredis 5', file: './redlock-4-ioredis' },
];

module.exports = { contenders };
