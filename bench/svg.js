'use strict';

/**
 * Two kinds of plots as SVG text. `notes` are lines below it: where and when it was measured.
 *
 * @typedef {'ours' | 'peer' | 'ceiling'} Kind
 */

const WIDTH = 960;
const INK = '#24292f';
const FAINT = '#d0d7de';
const LINE = 18;

/** Of each kind, from its first contender on. */
const COLOURS = {
  ours: ['#0550ae', '#218bff', '#54aeff', '#8250df', '#a475f9'],
  peer: ['#bc4c00', '#e16f24', '#953800', '#bf8700', '#9a6700', '#cf222e', '#fa4549', '#6e7781'],
  ceiling: ['#1a7f37', '#4ac26b'],
};
const PARTS = ['#0550ae', '#54aeff', '#afb8c1'];

/**
 * Lines over two logarithmic axes, their names at the right in the order in which they end.
 *
 * @param {{title: string, x: string, series: {name: string, kind: Kind, points: number[][]}[], notes: string[]}} plot
 */
function curves({ title, x, series, notes }) {
  const [left, right, top, height] = [70, 330, 50, 380];
  const points = series.flatMap((one) => one.points);
  const xs = axis(
    points.map(([at]) => at),
    left,
    WIDTH - right,
  );
  const ys = axis(
    points.map(([, value]) => value),
    top + height,
    top,
  );
  const colour = colours(series);
  const ends = spread(
    series
      .filter((one) => one.points.length)
      .map((one) => ({ ...one, y: ys.at(one.points.at(-1)[1]) }))
      .sort((a, b) => a.y - b.y),
  );
  const body = [
    ...ys.ticks.flatMap((value) => [
      line(left, ys.at(value), WIDTH - right, ys.at(value), FAINT),
      text(left - 8, ys.at(value) + 4, value.toLocaleString('en'), 'end'),
    ]),
    ...[...new Set(points.map(([at]) => at))].map((at) =>
      text(xs.at(at), top + height + LINE, at.toLocaleString('en'), 'middle'),
    ),
    text((left + WIDTH - right) / 2, top + height + 2 * LINE, x, 'middle'),
    ...series.map((one) => {
      const path = one.points.map(([at, value]) => `${round(xs.at(at))},${round(ys.at(value))}`).join(' ');
      return `<polyline points="${path}" fill="none" stroke="${colour(one)}" stroke-width="2"/>`;
    }),
    ...ends.flatMap((one) => [
      line(xs.at(one.points.at(-1)[0]) + 2, one.y, WIDTH - right + 14, one.labelY, FAINT),
      text(WIDTH - right + 18, one.labelY + 4, one.name, 'start', colour(one)),
    ]),
  ];
  return document(title, body, top + height + 3 * LINE, notes);
}

/**
 * A bar for each row, of one part or several behind each other.
 *
 * @param {{title: string, parts: string[], rows: {name: string, kind: Kind, values: number[]}[], notes: string[]}} plot
 */
function bars({ title, parts, rows, notes }) {
  const [left, right, top, step] = [290, 70, parts.length ? 75 : 50, 26];
  const most = Math.max(...rows.map(({ values }) => sum(values)));
  const scale = (WIDTH - left - right) / most;
  const colour = colours(rows);
  const legend = parts.flatMap((part, at) => [
    box(left + at * 190, top - 26, 12, 12, PARTS[at]),
    text(left + at * 190 + 18, top - 16, part),
  ]);
  const body = rows.flatMap((row, index) => {
    const y = top + index * step;
    const pieces = row.values.map((value, at) => {
      const from = left + scale * sum(row.values.slice(0, at));
      return box(from, y, scale * value, step - 8, parts.length ? PARTS[at] : colour(row));
    });
    const total = sum(row.values);
    return [
      text(left - 8, y + 13, row.name, 'end'),
      ...pieces,
      text(left + scale * total + 6, y + 13, total >= 10 ? total.toFixed(0) : total.toFixed(1)),
    ];
  });
  return document(title, [...legend, ...body], top + rows.length * step + LINE, notes);
}

/** A logarithmic axis from `from` to `to` over all of the values. */
function axis(values, from, to) {
  const [low, high] = [Math.min(...values), Math.max(...values)].map(Math.log10);
  const at = (value) => from + ((Math.log10(value) - low) / (high - low || 1)) * (to - from);
  const ticks = [];
  for (let decade = Math.floor(low); decade <= high; decade += 1) {
    for (const step of [1, 2, 5]) {
      const value = step * 10 ** decade;
      if (Math.log10(value) >= low && Math.log10(value) <= high) ticks.push(value);
    }
  }
  return { at, ticks };
}

/** Moves names apart that would cover each other. */
function spread(ends) {
  let last = Number.NEGATIVE_INFINITY;
  return ends.map((one) => {
    last = Math.max(one.y, last + LINE - 2);
    return { ...one, labelY: last };
  });
}

function colours(all) {
  const taken = new Map();
  for (const kind of Object.keys(COLOURS)) {
    const own = all.filter((one) => one.kind === kind);
    own.forEach(({ name }, at) => {
      taken.set(name, COLOURS[kind][at % COLOURS[kind].length]);
    });
  }
  return ({ name }) => taken.get(name);
}

function document(title, body, height, notes) {
  const all = height + (notes.length + 1) * LINE;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${all}" font-family="sans-serif" font-size="13">`,
    // For whoever can't see it.
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${all}" fill="#ffffff"/>`,
    text(20, 28, title, 'start', INK, 'font-size="16" font-weight="bold"'),
    ...body,
    ...notes.map((note, at) =>
      text(20, height + (at + 1) * LINE, note, 'start', '#57606a', 'font-size="11"'),
    ),
    '</svg>',
    '',
  ].join('\n');
}

function text(x, y, content, anchor = 'start', fill = INK, more = '') {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="${fill}"${more && ` ${more}`}>${escaped(content)}</text>`;
}

function escaped(content) {
  return content.replace(/&/g, '&amp;').replace(/</g, '&lt;');
}

function line(x1, y1, x2, y2, stroke) {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${stroke}"/>`;
}

function box(x, y, width, height, fill) {
  return `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${height}" fill="${fill}"/>`;
}

function round(number) {
  return Math.round(number * 10) / 10;
}

function sum(values) {
  return values.reduce((total, one) => total + one, 0);
}

module.exports = { bars, curves };
