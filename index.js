'use strict';

module.exports = require('./lib/redlock');
