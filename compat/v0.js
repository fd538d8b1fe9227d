'use strict';

const { classicRedlock } = require('./classic/redlock');
const { v0 } = require('./classic/profiles');

module.exports = classicRedlock(v0);
