'use strict';

const { classicRedlock } = require('./classic');
const { v3 } = require('./profiles');

module.exports = classicRedlock(v3);
