'use strict';

const { classicRedlock } = require('./classic');
const { v2 } = require('./profiles');

module.exports = classicRedlock(v2);
