'use strict';

const { classicRedlock } = require('./classic/redlock');
const { async } = require('./classic/profiles');

module.exports = classicRedlock(async);
