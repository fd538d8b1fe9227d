'use strict';

const Ioredis = require('ioredis');
const { createClient } = require('redis');
const Redlock = require('redlock-native');
const V4 = require('redlock-native/v4');
const V5 = require('redlock-native/v5');

const { smoke } = require('./smoke.cjs');

smoke('CommonJS', { Redlock, V4, V5, Ioredis, createClient });
