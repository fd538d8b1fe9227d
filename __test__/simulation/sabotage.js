'use strict';
const sabotages = [];
module.exports = { sabotages };
