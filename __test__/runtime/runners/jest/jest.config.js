'use strict';

module.exports = {
  rootDir: __dirname,
  testEnvironment: 'node',
  testMatch: ['<rootDir>/*.spec.js'],
  transform: {},
  cacheDirectory: process.env.JEST_CACHE,
  testTimeout: 20_000,
};
