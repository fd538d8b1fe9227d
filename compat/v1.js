'use strict';

const { classicRedlock } = require('./classic');
const { v1 } = require('./profiles');

module.exports = classicRedlock(v1);
