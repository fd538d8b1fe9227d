'use strict';

/**
 * `npm run api`: writes docs/api.md from index.d.ts: each method with its forms and what is said of it, events, options and
 * all types. `__test__/docs/api.test.js` looks whether it is current.
 */

const fs = require('node:fs');
const path = require('node:path');

const ts = require('typescript');

const ROOT = path.join(__dirname, '..');
const FILE = path.join(ROOT, 'docs', 'api.md');

const HEAD = `# API

All that \`redlock-native\` exports, from its types. Times are in milliseconds, but for those of [Stats](#stats), which are in
seconds. How to use it: [guide.md](guide.md).

<!-- made by \`npm run api\` from index.d.ts: edit that, not this -->
`;

/** In which order the types stand: what is met first, first. Those not named here follow as they are declared. */
const FIRST = [
  'Lock',
  'Options',
  'CallOptions',
  'AcquireOptions',
  'AutoExtendOptions',
  'QuitOptions',
  'Events',
  'Inspection',
  'Connection',
  'Stats',
  'LockError',
  'InstanceError',
  'ConnectionError',
  'Vote',
];

/** The page as it should be. */
async function page() {
  const { slug } = await import('github-slugger');
  const file = path.join(ROOT, 'index.d.ts');
  const source = ts.createSourceFile(file, fs.readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const redlock = source.statements.find(ts.isClassDeclaration);
  const namespace = source.statements.find(
    (statement) => ts.isModuleDeclaration(statement) && statement.name.text === 'Redlock',
  );
  const types = namespace.body.statements.filter(
    (statement) => statement.name !== undefined && !ts.isImportEqualsDeclaration(statement),
  );
  const names = types.map((type) => type.name.text);
  const link = linker(['Redlock', ...names], slug);
  const rank = (type) => (FIRST.indexOf(type.name.text) + FIRST.length + 1) % (FIRST.length + 1);
  const inOrder = types
    .map((type, index) => ({ type, index }))
    .sort((a, b) => rank(a.type) - rank(b.type) || a.index - b.index)
    .map(({ type }) => type);
  const sections = [redlock, ...inOrder].map((declaration) => section(declaration, link));
  const contents = [redlock, ...inOrder].map(({ name }) => `[${name.text}](#${slug(name.text)})`);
  return `${HEAD}\n${contents.join(' · ')}\n\n${sections.join('\n')}`;
}

/** The classes whose members have a heading each. */
const BY_MEMBER = ['Redlock', 'Lock'];

/**
 * @param {ts.Node} declaration
 * @param {Linker} link
 */
function section(declaration, link) {
  const head = `## ${declaration.name.text}\n`;
  const said = describe(declaration, link);
  const parts = BY_MEMBER.includes(declaration.name.text)
    ? membersOf(declaration, link)
    : [code(declaration)];
  return [head, said, ...parts].filter(Boolean).join('\n');
}

/**
 * A class's members; the forms of one method stand together.
 *
 * @param {ts.ClassDeclaration} declaration
 * @param {Linker} link
 */
function membersOf(declaration, link) {
  const owner = declaration.name.text;
  /** @type {Map<string, ts.ClassElement[]>} */
  const byName = new Map();
  for (const member of declaration.members) {
    if (member.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword)) continue;
    const name = nameOf(member);
    byName.set(name, [...(byName.get(name) ?? []), member]);
  }
  const listening = LISTENING.filter((name) => byName.delete(name));
  const sections = [...byName].map(([name, forms]) => {
    const own = forms.map((form) => describe(form, link));
    const isMethod = forms.some((form) => ts.isMethodDeclaration(form));
    const title = name === 'new' ? `new ${owner}()` : `${lower(owner)}.${name}${isMethod ? '()' : ''}`;
    return [`### \`${title}\`\n`, ...toldTogether(forms, own)].join('\n');
  });
  if (listening.length === 0) return sections;
  const names = listening.map((name) => `\`${name}\``).join(', ');
  return [
    ...sections,
    `### \`redlock.on()\`\n\n${names} are EventEmitter's. What the listeners are called with: [Events](#events).\n`,
  ];
}

/**
 * Each text with the forms that it is said of: those up to the next that says something.
 *
 * @param {ts.Node[]} forms
 * @param {string[]} texts
 */
function toldTogether(forms, texts) {
  const starts = texts.flatMap((text, index) => (index === 0 || (text && text !== texts[0]) ? [index] : []));
  return starts.flatMap((start, index) =>
    [code(...forms.slice(start, starts[index + 1])), texts[start]].filter(Boolean),
  );
}

const LISTENING = [
  ...['on', 'once', 'addListener', 'prependListener', 'prependOnceListener', 'off', 'removeListener', 'emit'],
];

/** @param {ts.ClassElement} member */
function nameOf(member) {
  if (ts.isConstructorDeclaration(member)) return 'new';
  return ts.isComputedPropertyName(member.name) ? member.name.getText() : member.name.text;
}

/**
 * The declaration without what is said of it as a whole; what is said of its parts stays.
 *
 * @param {...ts.Node} declarations
 */
function code(...declarations) {
  const texts = declarations.map((declaration) => {
    const indent = ' '.repeat(
      declaration.getSourceFile().getLineAndCharacterOfPosition(declaration.getStart()).character,
    );
    const lines = declaration.getText().split('\n');
    const own = lines.filter((line) => !/^\s*\/\/ biome-ignore/.test(line));
    return own.map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line)).join('\n');
  });
  // Nothing is a link in a block of code.
  const text = texts.join('\n').replace(/\{@link (?:Redlock\.)?([\w.]+)\s*\}/g, '`$1`');
  return `\`\`\`typescript\n${text}\n\`\`\`\n`;
}

const DEPRECATED = '**Deprecated**';

/** What the tags of a comment are called here, and in which order. */
const TAGS = { deprecated: DEPRECATED, throws: 'Throws', returns: 'Returns', example: 'Example' };

/**
 * What a comment says, as Markdown.
 *
 * @param {ts.Node} node
 * @param {Linker} link
 */
function describe(node, link) {
  const comment = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc).at(-1);
  if (!comment) return '';
  const tags = [...(comment.tags ?? [])];
  const parameters = tags.filter(ts.isJSDocParameterTag).map((tag) => {
    return `- \`${tag.name.getText()}\`: ${link(textOf(tag.comment))}`;
  });
  const others = Object.entries(TAGS).flatMap(([name, title]) =>
    tags
      .filter((tag) => tag.tagName.text === name)
      .map((tag) => {
        const said = textOf(tag.comment);
        if (name === 'example') return `\`\`\`typescript\n${said}\n\`\`\``;
        const type = name === 'throws' && tag.typeExpression?.getText().slice(1, -1);
        return `${title}${type ? ` \`${type}\`` : ''}: ${link(said)}`;
      }),
  );
  const isOld = others[0]?.startsWith(DEPRECATED);
  const said = link(textOf(comment.comment));
  const all = [...(isOld ? others.splice(0, 1) : []), said, parameters.join('\n'), ...others];
  return `${all.filter(Boolean).join('\n\n')}\n`;
}

/** @param {string | ts.NodeArray<ts.JSDocComment> | undefined} comment */
function textOf(comment) {
  return (ts.getTextOfJSDocComment(comment) ?? '').trim();
}

/**
 * @callback Linker
 * @param {string} text
 * @returns {string} the same with its links to names as Markdown's
 */

/**
 * @param {string[]} names
 * @param {(heading: string) => string} slug
 * @returns {Linker}
 */
function linker(names, slug) {
  return (text) =>
    text.replace(/\{@link ([\w.]+)\s*\}(?=([(\w])?)/g, (_, target, next) => {
      const path = target.split('.');
      // In the class's comments a type is named from outside of its namespace.
      if (path[0] === 'Redlock' && names.includes(path[1])) path.shift();
      const [owner, member] = path;
      if (!names.includes(owner)) throw new Error(`index.d.ts links to ${target}, which isn't there`);
      // Reading a comment, TypeScript drops the end of the line after a link.
      const space = next === undefined ? '' : ' ';
      const heading = BY_MEMBER.includes(owner) && member ? `${lower(owner)}.${member}` : owner;
      return `[${path.join('.')}](#${slug(heading)})${space}`;
    });
}

/** @param {string} name */
function lower(name) {
  return name[0].toLowerCase() + name.slice(1);
}

if (require.main === module) page().then((text) => fs.writeFileSync(FILE, text));

module.exports = { FILE, page };
