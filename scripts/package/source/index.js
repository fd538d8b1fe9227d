'use strict';

/** The addon as it was compiled here. redlock-native asks for it where no package of a platform's fits. */
module.exports = require('./redlock-native.node');
