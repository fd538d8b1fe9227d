'use strict';

/** The figures, in the order of the table's columns. `better` says which way a ratio is good. */
const FIGURES = [
  { key: 'cyclesPerSecond', title: 'cycles/s', better: 'higher' },
  { key: 'p50', title: 'p50 µs', better: 'lower' },
  { key: 'p99', title: 'p99 µs', better: 'lower' },
  { key: 'jsCpu', title: 'JS thread µs', better: 'lower' },
  { key: 'processCpu', title: 'process µs', better: 'lower' },
  { key: 'serverCpu', title: 'servers µs', better: 'lower' },
];

/**
 * The median of each figure over the rounds.
 *
 * @param {Record<string, number | null>[]} rounds
 * @returns {Record<string, number | null>}
 */
function summarise(rounds) {
  return Object.fromEntries(FIGURES.map(({ key }) => [key, median(rounds.map((round) => round[key]))]));
}

/**
 * Ours against another, figure by figure: how many times better we are (below 1: worse).
 *
 * @param {Record<string, number | null>} ours
 * @param {Record<string, number | null>} other
 */
function compare(ours, other) {
  return Object.fromEntries(
    FIGURES.map(({ key, better }) => {
      if (ours[key] === null || other[key] === null) return [key, null];
      return [key, better === 'higher' ? ours[key] / other[key] : other[key] / ours[key]];
    }),
  );
}

function median(values) {
  if (values.includes(null)) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * A table of one case in lines of text.
 *
 * @param {{case: {n: number, c: number}, results: {name: string, median: object}[], ratios: {name: string, times: object}[]}} outcome
 */
function table({ case: { n, c }, results, ratios }) {
  const header = [`N = ${n}, C = ${c}`, ...FIGURES.map(({ title }) => title)];
  const rows = results.map(({ name, median }) => [name, ...FIGURES.map(({ key }) => figure(median[key]))]);
  const comparisons = ratios.map(({ name, times }) => [
    `ours, times better than ${name}`,
    ...FIGURES.map(({ key }) => (times[key] === null ? '–' : `${significant(times[key])}×`)),
  ]);
  return align([header, ...rows, ...comparisons]);
}

function align(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map(([first, ...rest]) =>
      [first.padEnd(widths[0]), ...rest.map((cell, i) => cell.padStart(widths[i + 1]))].join('   '),
    )
    .join('\n');
}

function figure(value) {
  if (value === null) return '–';
  return value >= 100 ? Math.round(value).toLocaleString('en') : significant(value);
}

function significant(value) {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(2 + (value >= 10));
}

module.exports = { summarise, compare, table };
