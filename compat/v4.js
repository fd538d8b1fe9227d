'use strict';

const { classicRedlock } = require('./classic');
const { v4 } = require('./profiles');

module.exports = classicRedlock(v4);
