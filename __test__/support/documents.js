'use strict';

/**
 * What is written for people, as tests see it: the files, their headings' anchors, their links and their blocks of code.
 *
 * @typedef {object} Block
 * @property {string} language
 * @property {string} code
 * @property {number} line where its code begins
 * @property {string} note what the HTML comment right before it says
 */

const fs = require('node:fs');
const path = require('node:path');

const { marked } = require('marked');

const ROOT = path.join(__dirname, '..', '..');
/** Folders whose Markdown is ours, each with those in it; the root's own is beside them. */
const FOLDERS = ['docs', 'examples', '__test__', 'bench', 'npm', '.github'];

/** @returns {string[]} from the repository's root, with slashes */
function documents() {
  const inRoot = fs.readdirSync(ROOT);
  const inFolders = FOLDERS.filter((folder) => inRoot.includes(folder)).flatMap(filesIn);
  return [...inRoot, ...inFolders].filter((file) => file.endsWith('.md'));
}

/**
 * @param {string} folder
 * @returns {string[]} without what is installed there, which may lead back here
 */
function filesIn(folder) {
  return fs.readdirSync(path.join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const file = path.posix.join(folder, entry.name);
    if (!entry.isDirectory()) return [file];
    return entry.name === 'node_modules' ? [] : filesIn(file);
  });
}

/** @param {string} file */
function read(file) {
  return fs.readFileSync(path.join(ROOT, file), 'utf8');
}

/** @param {string} file */
function tokensOf(file) {
  return marked.lexer(read(file));
}

/**
 * @param {string} file
 * @returns {Block[]}
 */
function blocksOf(file) {
  const blocks = [];
  let line = 1;
  let note = '';
  for (const token of tokensOf(file)) {
    if (token.type === 'code') {
      const isFenced = token.raw.startsWith('```');
      blocks.push({ language: token.lang ?? '', code: token.text, line: line + (isFenced ? 1 : 0), note });
    }
    if (token.type !== 'space') note = token.type === 'html' ? commentIn(token.raw) : '';
    line += token.raw.split('\n').length - 1;
  }
  return blocks;
}

/** @param {string} html */
function commentIn(html) {
  return /<!--\s*(.*?)\s*-->/s.exec(html)?.[1] ?? '';
}

/**
 * The anchors of a file's headings, as GitHub makes them.
 *
 * @param {string} file
 */
async function anchorsOf(file) {
  const { default: Slugger } = await import('github-slugger');
  const slugger = new Slugger();
  const anchors = [];
  marked.walkTokens(tokensOf(file), (token) => {
    if (token.type === 'heading') anchors.push(slugger.slug(plain(token.tokens ?? [])));
  });
  return new Set(anchors);
}

/** @param {import('marked').Token[]} tokens */
function plain(tokens) {
  return tokens
    .map((token) => ('tokens' in token && token.tokens ? plain(token.tokens) : (token.text ?? '')))
    .join('');
}

/**
 * Where a file's links and pictures lead to.
 *
 * @param {string} file
 * @returns {string[]}
 */
function linksOf(file) {
  const links = [];
  marked.walkTokens(tokensOf(file), (token) => {
    if (token.type === 'link' || token.type === 'image') links.push(token.href);
  });
  return links;
}

module.exports = { ROOT, documents, read, blocksOf, anchorsOf, linksOf };
