'use strict';

const { classicRedlock } = require('./classic/redlock');
const { v2 } = require('./classic/profiles');

module.exports = classicRedlock(v2);
