'use strict';

const fs = require('node:fs');
const path = require('node:path');

const { machineLines } = require('./report');
const { bars, curves } = require('./svg');

/**
 * Plots of a run for the documents, of what it has measured.
 *
 * @param {string} folder
 * @param {any} run
 */
function writePlots(folder, run) {
  fs.mkdirSync(folder, { recursive: true });
  const notes = machineLines(run).slice(0, 4);
  const plots = { throughput: throughput(run), cpu: cpu(run), hung: hung(run) };
  for (const [name, plot] of Object.entries(plots)) {
    if (plot) fs.writeFileSync(path.join(folder, `${name}.svg`), plot(notes));
  }
}

/** cycles/s by C on three servers. */
function throughput({ outcomes }) {
  const of = outcomes.filter(({ kind, case: one }) => kind === 'cycles' && one.n === 3);
  if (of.length < 2) return null;
  const names = new Map(
    of.flatMap(({ results }) => results.map(({ id, name, kind }) => [id, { name, kind }])),
  );
  const series = [...names].map(([id, { name, kind }]) => ({
    name,
    kind,
    points: of.flatMap(({ case: { c }, results }) => {
      const found = results.find((one) => one.id === id);
      return found ? [[c, found.median.cyclesPerSecond]] : [];
    }),
  }));
  return (notes) =>
    curves({ title: 'Cycles (lock + unlock) a second, three servers', x: 'cycles under way', series, notes });
}

/** Whose CPU time a cycle takes, on three servers, C = 100. */
function cpu({ outcomes }) {
  const of = outcomes.find(({ kind, case: { n, c } }) => kind === 'cycles' && n === 3 && c === 100);
  if (!of) return null;
  const parts = ['JavaScript thread', 'other threads', 'servers'];
  const rows = of.results.map(({ name, kind, median: { jsCpu, processCpu, serverCpu } }) => ({
    name,
    kind,
    values: [jsCpu ?? 0, processCpu - (jsCpu ?? 0), serverCpu],
  }));
  return (notes) => bars({ title: 'µs of CPU time a cycle, three servers, C = 100', parts, rows, notes });
}

/** What is left of the throughput with one of five servers stopped. */
function hung({ outcomes }) {
  const of = outcomes.filter(({ kind }) => kind === 'hung').at(-1);
  if (!of) return null;
  const rows = of.results.map(({ name, kind, median }) => ({ name, kind, values: [100 * median.kept] }));
  const title = `One of five servers hung, C = ${of.case.c}: % of the throughput with all five up`;
  return (notes) => bars({ title, parts: [], rows, notes });
}

module.exports = { writePlots };
