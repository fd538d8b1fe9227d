'use strict';

const { cases } = require('./cases');

/** What stands for a figure that is not known. */
const NONE = '–';

/** @typedef {import('./outcome').Outcome} Outcome */

/**
 * A table of one case in lines of text.
 *
 * @param {Outcome} outcome
 */
function table({ kind, case: one, results, ratios }) {
  const { title, figures } = cases[kind];
  const header = [title(one), ...figures.map((figure) => figure.title)];
  const rows = results.map(({ name, median }) => [name, ...figures.map((figure) => show(figure, median))]);
  const comparisons = ratios.map(({ name, times }) => [
    `ours, times better than ${name}`,
    ...figures.map(({ key }) => showTimes(times[key])),
  ]);
  return align([header, ...rows, ...comparisons]);
}

/** What it was measured on, with and how. */
function machineLines({ machine, options, notes }) {
  const { rounds, seconds } = options;
  return [
    `${machine.date} UTC, tree ${machine.tree}`,
    `${machine.cpu} × ${machine.cores}, ${(machine.memory / 2 ** 30).toFixed(0)} GiB, ${machine.system}`,
    `Node ${machine.node}, ${machine.server}`,
    machine.peers.join(', '),
    `rounds: ${rounds}, of ${seconds} s each, interleaved; medians; µs of CPU time are per cycle (lock + unlock)`,
    ...(machine.unknown ? [machine.unknown] : []),
    ...notes,
  ];
}

/** @param {import('./goals').Judged[]} goals */
function goalLines(goals) {
  const lines = goals.map(({ title, must, aim, measured, verdict }) => [
    title,
    aim === NONE ? `must ${must}` : `must ${must}, aim ${aim}`,
    `${verdict}${measured === NONE ? '' : `: ${measured}`}`,
  ]);
  return align([['Goals', '', ''], ...lines], 1);
}

/** @param {import('./goals').Judged} goal */
function goalCells({ title, must, aim, measured, verdict }) {
  return [title, must, aim, measured, verdict];
}

function align(rows, leftFrom = Number.POSITIVE_INFINITY) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const pad = (cell, at) =>
    at === 0 || at >= leftFrom ? cell.padEnd(widths[at]) : cell.padStart(widths[at]);
  return rows.map((row) => row.map(pad).join('   ').trimEnd()).join('\n');
}

/** A figure as the table has it. */
function show({ key, unit = 1 }, median) {
  const value = median[key];
  if (value === null || value === undefined) return NONE;
  return number(value / unit);
}

function number(value) {
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : significant(value);
}

function showTimes(times) {
  return times === null || times === undefined ? NONE : `${significant(times)}×`;
}

function significant(value) {
  if (value === 0) return '0';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}

module.exports = { NONE, table, machineLines, goalLines, goalCells, number, show, showTimes };
