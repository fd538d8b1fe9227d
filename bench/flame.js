'use strict';

/**
 * `node bench/flame.js FOLDED > FILE.svg`: a flame graph of stacks that were folded, a line each: frames between semicolons,
 * the outermost first, and how many samples.
 */

const { readFileSync } = require('node:fs');

const WIDTH = 1200;
const ROW = 16;
/** What is narrower than this, in pixels, is left out. */
const NARROWEST = 1.5;
/** About as wide is a letter. */
const LETTER = 6.2;
const COLOURS = ['#e07b39', '#e8964f', '#d9652b', '#eeb062', '#c9552a'];

/** @typedef {{name: string, samples: number, inner: Map<string, Frame>}} Frame */

/** @param {string} name @returns {Frame} */
const frame = (name) => ({ name, samples: 0, inner: new Map() });

/** @param {string} text */
function read(text) {
  const all = frame('all');
  for (const line of text.split('\n')) {
    const [, stack, number] = /^(.*) (\d+)$/.exec(line) ?? [];
    if (stack === undefined) continue;
    let at = all;
    at.samples += Number(number);
    for (const name of stack.split(';')) {
      const inner = at.inner.get(name) ?? frame(name);
      at.inner.set(name, inner);
      inner.samples += Number(number);
      at = inner;
    }
  }
  return all;
}

/** @param {string} text */
const inXml = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

/**
 * @param {Frame} one
 * @param {number} x
 * @param {number} depth
 * @param {number} unit pixels for a sample
 * @param {{x: number, depth: number, width: number, name: string, samples: number}[]} boxes
 */
function place(one, x, depth, unit, boxes) {
  const width = one.samples * unit;
  if (width < NARROWEST) return;
  boxes.push({ x, depth, width, name: one.name, samples: one.samples });
  let left = x;
  for (const inner of [...one.inner.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    place(inner, left, depth + 1, unit, boxes);
    left += inner.samples * unit;
  }
}

/** @param {Frame} all */
function draw(all) {
  /** @type {Parameters<typeof place>[4]} */
  const boxes = [];
  place(all, 0, 0, WIDTH / all.samples, boxes);
  const height = (Math.max(...boxes.map(({ depth }) => depth)) + 1) * ROW;
  const shapes = boxes.map(({ x, depth, width, name, samples }, number) => {
    const y = height - (depth + 1) * ROW;
    const letters = Math.floor((width - 4) / LETTER);
    const label = letters < 3 ? '' : name.length > letters ? `${name.slice(0, letters - 1)}…` : name;
    const share = `${((samples / all.samples) * 100).toFixed(1)} %`;
    const box = `<rect x="${x.toFixed(1)}" y="${y}" width="${(width - 0.5).toFixed(1)}" height="${ROW - 1}" fill="${COLOURS[number % COLOURS.length]}"/>`;
    const text = label && `<text x="${(x + 2).toFixed(1)}" y="${y + ROW - 5}">${inXml(label)}</text>`;
    return `<g><title>${inXml(name)}: ${share}</title>${box}${text}</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="10">
<title>where the time goes: a flame graph</title>
${shapes.join('\n')}
</svg>`;
}

console.log(draw(read(readFileSync(process.argv[2], 'utf8'))));
