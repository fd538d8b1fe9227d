'use strict';

const { classicRedlock } = require('./classic');
const { async } = require('./profiles');

module.exports = classicRedlock(async);
