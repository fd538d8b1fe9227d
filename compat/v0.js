'use strict';

const { classicRedlock } = require('./classic');
const { v0 } = require('./profiles');

module.exports = classicRedlock(v0);
