'use strict';

/** @param {Record<string, string | undefined>} variables of this process; those without a value are taken away */
function setEnvironment(variables) {
  for (const [name, value] of Object.entries(variables)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}

module.exports = { setEnvironment };
