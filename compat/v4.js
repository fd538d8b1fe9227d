'use strict';

const { classicRedlock } = require('./classic/redlock');
const { v4 } = require('./classic/profiles');

module.exports = classicRedlock(v4);
