'use strict';

const { classicRedlock } = require('./classic/redlock');
const { v1 } = require('./classic/profiles');

module.exports = classicRedlock(v1);
