'use strict';

const fs = require('node:fs');

const { cases } = require('./cases');
const { goalCells, machineLines, NONE, show, showTimes } = require('./report');

const BEGIN =
  '<!-- Written by `npm run bench -- --markdown`: what stands from here to the end mark is replaced. -->';
const END = '<!-- The end of what is written by it. -->';

/**
 * Puts the run's figures into a document, between the two marks; or makes one of them where there is none.
 *
 * @param {string} file
 * @param {any} run
 */
function writeMarkdown(file, run) {
  const figures = [BEGIN, '', ...sections(run), END].join('\n');
  const marks = requireMarks(file);
  if (!marks) return fs.writeFileSync(file, `${figures}\n`);
  const { text, begin, end } = marks;
  fs.writeFileSync(file, text.slice(0, begin) + figures + text.slice(end + END.length));
}

/**
 * Where the marks are in a document; `null` if there is no such file. Throws an error if it lacks them.
 *
 * @param {string} file
 */
function requireMarks(file) {
  if (!fs.existsSync(file)) return null;
  const text = fs.readFileSync(file, 'utf8');
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${file} lacks the marks ${BEGIN} and ${END}`);
  return { text, begin, end };
}

function sections(run) {
  return [
    ...machineLines(run).map((line) => `- ${line}`),
    '',
    'In parentheses: how many times better `redlock-native` by URL is.',
    '',
    ...run.outcomes.flatMap((outcome) => [
      `#### ${cases[outcome.kind].title(outcome.case)}`,
      '',
      ...rows(outcome),
      '',
    ]),
    '#### Where a peer is ahead',
    '',
    ...run.wins.map((win) => `- ${win}`),
    '',
    '#### Goals',
    '',
    ...lines([['goal', 'must', 'aim', 'measured', ''], ...run.goals.map(goalCells)]),
    '',
  ];
}

function rows({ kind, results, ratios }) {
  const { figures } = cases[kind];
  return lines([
    ['', ...figures.map(({ title }) => title)],
    ...results.map(({ id, name, median }) => {
      const times = ratios.find((ratio) => ratio.id === id)?.times ?? {};
      const cell = (figure) => {
        const compared = showTimes(times[figure.key]);
        return compared === NONE ? show(figure, median) : `${show(figure, median)} (${compared})`;
      };
      return [name, ...figures.map(cell)];
    }),
  ]);
}

function lines([header, ...body]) {
  const row = (cells) => `| ${cells.join(' | ')} |`;
  return [row(header), row(header.map((_, at) => (at ? '---:' : '---'))), ...body.map(row)];
}

module.exports = { requireMarks, writeMarkdown };
