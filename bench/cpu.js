'use strict';

const fs = require('node:fs');

// The main thread's id is the process's; the first number is its time on a CPU in nanoseconds.
const MAIN_THREAD = `/proc/self/task/${process.pid}/schedstat`;

/** Whether the JavaScript thread's time can be told from the whole process's on this system. */
const perThread = fs.existsSync(MAIN_THREAD);

/** CPU time so far in microseconds: of the JavaScript thread (`null` if unknown), of the process. */
function cpu() {
  const { user, system } = process.cpuUsage();
  return { js: perThread ? mainThread() : null, process: user + system };
}

function mainThread() {
  return Number(fs.readFileSync(MAIN_THREAD, 'utf8').split(' ')[0]) / 1000;
}

module.exports = { cpu, perThread };
