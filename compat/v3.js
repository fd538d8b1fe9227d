'use strict';

const { classicRedlock } = require('./classic/redlock');
const { v3 } = require('./classic/profiles');

module.exports = classicRedlock(v3);
