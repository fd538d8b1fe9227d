// Shows what protects the data even if a lock ends too early: a version column refuses the writer who has read old rows.
// Run it: node examples/run.js version-column

const { PGlite } = require('@electric-sql/pglite');
const Redlock = require('redlock-native');

const urls = (process.env.REDIS_URLS ?? 'redis://localhost:6379').split(',');
const redlock = new Redlock(urls);
const database = new PGlite();

// The lock saves work: two seldom compute at once. The version keeps the data right, whatever pauses there are.
function deposit(amount, whileComputing = async () => {}) {
  return redlock.using('account:1', 5000, async () => {
    const { balance, version } = (await database.query('SELECT balance, version FROM account WHERE id = 1'))
      .rows[0];
    await whileComputing();
    const { affectedRows } = await database.query(
      'UPDATE account SET balance = $1, version = version + 1 WHERE id = 1 AND version = $2',
      [balance + amount, version],
    );
    if (affectedRows === 0) throw new Error(`version ${version} is stale: read it again, then write`);
    console.log(`deposited ${amount}`);
  });
}

// Stands for another process that got the lock while this one was paused for longer than its ttl.
function writeMeanwhile() {
  return database.query('UPDATE account SET balance = balance + 5, version = version + 1 WHERE id = 1');
}

async function main() {
  await database.exec('CREATE TABLE account (id int PRIMARY KEY, balance int, version int)');
  await database.exec('INSERT INTO account VALUES (1, 100, 1)');
  await Promise.all([deposit(10), deposit(20)]);
  await deposit(40, writeMeanwhile).catch((error) => console.log(`refused 40: ${error.message}`));
  const { balance } = (await database.query('SELECT balance FROM account')).rows[0];
  console.log(`balance ${balance}`);
  await redlock.quit();
  await database.close();
}

main();
