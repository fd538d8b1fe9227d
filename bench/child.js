'use strict';

/**
 * One contender in a process of its own, so that its threads' CPU time is nobody else's. Started by
 * contender.js with the contender's file and the servers' URLs; measures whenever it is told to.
 */

const { measure } = require('./measure');

const [file, ...urls] = process.argv.slice(2);

async function main() {
  const contender = await require(file).open(urls);
  process.on('message', (options) => {
    measure(contender.cycle, options).then(
      (result) => process.send({ result }),
      (error) => process.send({ error: error.stack }),
    );
  });
  process.on('disconnect', () => process.exit());
  process.send({ result: 'open' });
}

main().catch((error) => process.send({ error: error.stack }, () => process.exit(1)));
