'use strict';

/** What both sides of the hand-over agree on (docs/hand-over.md): native decides it, JavaScript has none of its own. */

const { constants } = require('../addon');

module.exports = constants();
