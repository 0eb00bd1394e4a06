// docs/parity.md is whole and tells the truth: it has a row for every item of the specification
// (test/data/specification.md), and each symbol and test that it names is there.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { REPO } from '../support/repo.ts';

/** Sections of ours by the Go type whose fields, methods or values they list. */
const SECTION_OF_TYPE: Readonly<Record<string, string>> = {
  Server: 'Server structure',
  NodeI: 'p2p.NodeI',
  BanListI: 'BanListI',
  BanEventHandler: 'PeerBanManager',
  PeerBanManager: 'PeerBanManager',
  BanReason: 'PeerBanManager',
};

/**
 * What begins the item of a row, by the line above a list of the specification; without one, what the list says stands
 * in other rows already.
 */
const PREFIXES: readonly (readonly [line: RegExp, prefix: string | undefined])[] = [
  [/^The server manages several key components/, undefined],
  [/^1\. \*\*Version Message/, undefined],
  [/^This function establishes the server/, 'NewServer: '],
  [/^For readiness checks/, 'Health: '],
  [/^It begins:/, 'Start: '],
  [/^3\. \*\*Topic Prefix Validation/, 'topic prefix validation: '],
  [/^4\. \*\*Dynamic Version/, 'dynamic version: '],
  [/^- `ChainCfgParams/, 'ChainCfgParams.TopicPrefix: '],
  [/^The P2P Server depends on/, ''],
  [/^The use of the public go-p2p package/, ''],
];

interface Row {
  readonly section: string;
  readonly item: string;
  readonly symbol: string;
  readonly test: string;
}

const rows = rowsOf(readFileSync(join(REPO, 'docs/parity.md'), 'utf8'));
const specification = readFileSync(join(REPO, 'test/data/specification.md'), 'utf8');

function rowsOf(document: string): Row[] {
  return document.split(/^## /m).flatMap((part) => {
    const [section = ''] = part.split('\n');
    return part
      .split('\n')
      .filter((line) => line.startsWith('| ') && !line.startsWith('| item '))
      .map((line) => line.split('|').map((cell) => cell.trim()))
      .map(([, item = '', symbol = '', named = '']) => ({ section, item, symbol, test: named }));
  });
}

function text(file: string): string {
  return existsSync(join(REPO, file)) ? readFileSync(join(REPO, file), 'utf8') : '';
}

const TEST_CALL = /\b(?:test|describe)((?:\.\w+)*)\(/g;
const LEFT_OUT = /\.(?:skip|todo|fails|skipIf|runIf)\b/;

/**
 * Titles of a file's tests and suites, templates of `each` as they are written. What is skipped or commented out is
 * none.
 */
function titles(file: string): string[] {
  return titlesIn(text(file));
}

function titlesIn(code: string): string[] {
  const source = code.replaceAll(/^\s*\/\/.*$/gm, '').replaceAll(/^\s*\/\*[\s\S]*?\*\//gm, '');
  return [...source.matchAll(TEST_CALL)].flatMap(({ index, 0: call, 1: chain = '' }) => {
    if (LEFT_OUT.test(chain)) return [];
    let at = index + call.length;
    if (/\.(?:each|for)$/.test(chain)) at = endOfParameters(source, at) + 1;
    const [, , title = ''] = /^\s*(['"`])((?:\\.|(?!\1).)*)\1/.exec(source.slice(at, at + 400)) ?? [];
    return title === '' ? [] : [title.replaceAll("\\'", "'").replaceAll('’', "'")];
  });
}

/** True when the source declares the name, or a member of that name; a mere use does not count. */
function declares(source: string, name: string): boolean {
  const declaration = `\\b(?:class|interface|type|function\\*?|const|let|enum)\\s+${name}\\b`;
  const modifiers = '(?:(?:private|protected|public|static|readonly|override|async|declare|get|set)\\s+)*\\*?';
  const field = `^\\s+${modifiers}${name}[?!]?\\s*(?::|=(?!=))`;
  if (new RegExp(`${declaration}|${field}`, 'm').test(source)) return true;
  const heads = source.matchAll(new RegExp(`^\\s+${modifiers}${name}(?:<[^>]*>)?\\(`, 'gm'));
  return [...heads].some(({ index, 0: head }) => {
    const end = endOfParameters(source, index + head.length);
    return /^\s*[:{]/.test(source.slice(end, end + 20));
  });
}

/** Just behind the parenthesis that closes the one opened just before. */
function endOfParameters(source: string, start: number): number {
  let depth = 1;
  let at = start;
  for (; at < source.length && depth > 0; at += 1) {
    if (source[at] === '(') depth += 1;
    else if (source[at] === ')') depth -= 1;
  }
  return at;
}

/** Every file of src that people write. */
const sources = readdirSync(join(REPO, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.startsWith('gen/'))
  .map((name) => text(`src/${name}`));

/** Code blocks of a language. */
function blocks(language: string): string[] {
  return [...specification.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(
    ([, code = '']) => code,
  );
}

/** Go's types, and what is in each: fields of a struct, methods of an interface, values of an enumeration. */
function goTypes(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const code of blocks('go')) {
    for (const [, name = '', body = ''] of code.matchAll(/^type (\w+) (?:struct|interface) \{\n([\s\S]*?)^\}/gm))
      found.set(
        name,
        [...body.matchAll(/^ {4}(?:\w+\.)?(\w+)/gm)].map(([, member = '']) => member),
      );
    for (const [, name = '', body = ''] of code.matchAll(/^type (\w+) int\n\s*const \(\n([\s\S]*?)^\)/gm))
      found.set(
        name,
        [...body.matchAll(/^ {4}(\w+)/gm)].map(([, member = '']) => member),
      );
  }
  return found;
}

/** Types that the specification uses without writing them out: of this service, so without a package in front. */
function otherTypes(): string[] {
  const [code] = [blocks('go').join('\n')];
  const used = [
    ...code.matchAll(
      /(?:\*|chan (?:\*)?|\]\*?|\s)(?<![.\w])((?:Ban|SyncM|PeerBan|notification|peerMap)\w+)(?=[\s)]|$)/gm,
    ),
  ];
  return [...new Set(used.map(([, name = '']) => name))].filter((name) => /^[A-Z]|Msg$|Entry$/.test(name));
}

/** Messages with their fields. */
function messages(): [string, string[]][] {
  const parts = specification.split(/^#### /m).slice(1);
  return parts.map((part) => {
    const [name = ''] = part.split('\n');
    const [, json = ''] = /```json\n([\s\S]*?)```/.exec(part) ?? [];
    return [name, [...json.matchAll(/^ *"(\w+)":/gm)].map(([, field = '']) => field)];
  });
}

/** Items of lists, as a row should begin: the names in code marks that stand first, else the text. */
function listed(): string[] {
  const prose = specification.replaceAll(/```[\s\S]*?```/g, '');
  let above = '';
  return prose.split('\n').flatMap((line) => {
    const [, bullet] = /^\s*- (.+)$/.exec(line) ?? [];
    const [, bold] = /^\d\. \*\*(.+?)\*\*/.exec(line) ?? [];
    if (bullet === undefined || /^- `[\w.]+`(?: and `\w+`)?:/.test(line)) {
      if (line.trim() !== '') above = line;
    }
    if (bold !== undefined) return [bold.toLowerCase()];
    if (bullet === undefined) return [];
    const [, first, second] = /^`([\w.]+)`(?: and `(\w+)`)?:/.exec(bullet) ?? [];
    if (first !== undefined) return second === undefined ? [first] : [first, second];
    const [, prefix] = PREFIXES.find(([pattern]) => pattern.test(above)) ?? ['', ''];
    return prefix === undefined ? [] : [`${prefix}${bullet}`];
  });
}

/** The row may say less than the text: its item begins it, or is the name that the text begins with. */
function covers(item: string, wanted: string): boolean {
  const [prefix = ''] = /^[\w. ]+: /.exec(wanted) ?? [];
  return wanted === item || (item.length >= prefix.length + 8 && wanted.startsWith(item));
}

describe('there is a row for every', () => {
  const items = rows.map(({ item }) => item);
  const missing = (wanted: readonly string[], among = items) =>
    wanted.filter((each) => !among.some((item) => covers(item, each)));

  test.each([...goTypes()])('part of the type %s', (type, parts) => {
    const section = SECTION_OF_TYPE[type] ?? '';
    const own = rows.filter((row) => row.section === section).map(({ item }) => item);
    expect(parts.length).toBeGreaterThan(0);
    expect(missing([type, ...parts], own)).toEqual([]);
  });

  test('type that is used', () => {
    expect(otherTypes()).toEqual(expect.arrayContaining(['SyncManager', 'BanEvent', 'BanScore', 'PeerBanManagerI']));
    expect(missing(otherTypes())).toEqual([]);
  });

  test('function', () => {
    const functions = [
      ...blocks('go')
        .join('\n')
        .matchAll(/^func (?:\(\w+ \*?\w+\) )?(\w+)\(/gm),
    ].map(([, name = '']) => name);
    expect(functions).toEqual(['NewServer', 'Health', 'Init', 'Start', 'Stop']);
    expect(missing(functions)).toEqual([]);
  });

  test.each(messages())('field of %s', (message, names) => {
    const fields = rows
      .filter(({ section, item }) => section === 'Message structures' && item.startsWith(`${message}: `))
      .flatMap(({ item }) => item.slice(message.length + 2).split(', '));
    expect(items).toContain(message);
    expect(fields.sort()).toEqual(names.toSorted());
  });

  test('item of a list: settings, handlers, duties, steps', () => {
    expect(listed().length).toBeGreaterThan(60);
    // The fields of a version are those of its message.
    const [, versionFields = ''] =
      /sends a version message containing:\n\n([\s\S]*?)\n\n2\. /.exec(specification) ?? [];
    const inMessage = [...versionFields.matchAll(/- `(\w+)`/g)].map(([, name = '']) => name);
    expect(missing(listed()).filter((name) => !inMessage.includes(name))).toEqual([]);
  });

  test('heading of a process', () => {
    const [, processes = ''] = /^## Key Processes\n([\s\S]*?)^## /m.exec(specification) ?? [];
    const headings = [...processes.matchAll(/^### (.+)$/gm)].map(([, heading = '']) => heading);
    expect(headings.length).toBeGreaterThan(2);
    expect(headings.filter((heading) => !items.some((item) => item.toLowerCase() === heading.toLowerCase()))).toEqual(
      [],
    );
  });

  test('item once', () => {
    const named = rows.map(({ section, item }) => `${section}: ${item}`);
    expect(named.filter((name, at) => named.indexOf(name) !== at)).toEqual([]);
  });
});

test('no test is skipped', () => {
  const files = readdirSync(join(REPO, 'test'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.test.ts'),
  );
  const skipped = files.filter((name) =>
    [...text(`test/${name}`).matchAll(TEST_CALL)].some(([, chain = '']) => LEFT_OUT.test(chain)),
  );
  expect(skipped.filter((name) => name !== 'unit/parity.test.ts')).toEqual([]);
});

describe('the checks', () => {
  test('tell a declaration or member from a use', () => {
    const source = 'class A {\n  private readonly b = 1;\n  async c<T>(d: T): Promise<T> {\n    e(d);\n  }\n}\nf(g);\n';
    expect(['A', 'b', 'c'].every((name) => declares(source, name))).toBe(true);
    expect(['d', 'e', 'f', 'g', 'T', 'Promise'].some((name) => declares(source, name))).toBe(false);
  });

  test('find titles, and nothing else', () => {
    expect(titles('test/unit/parity.test.ts')).toContain('find titles, and nothing else');
    expect(titles('test/unit/parity.test.ts')).toContain('field of %s');
    expect(titles('test/unit/parity.test.ts')).not.toContain('docs/parity.md');
    const code =
      "test.each([f(1)])('each', x);\n  // test('gone', x);\ntest.skip('skipped', x);\ntest.todo('later');\ng(h)('no test');\n";
    expect(titlesIn(code)).toEqual(['each']);
  });
});

test.each(rows.map((row) => [`${row.section}: ${row.item}`, row] as const))('%s', (_name, row) => {
  const [, name = ''] = /^`([\w$]+)`$/.exec(row.symbol) ?? [];
  expect(name, `${row.symbol} is a symbol in code marks`).not.toBe('');
  expect(
    sources.some((source) => declares(source, name)),
    `${row.symbol} is declared in src`,
  ).toBe(true);
  const [, testFile = '', part = ''] = /^`(test\/[^ ]+) › (.+)`$/.exec(row.test) ?? [];
  expect(part.length, `${row.test} names a test`).toBeGreaterThan(3);
  const found = titles(testFile).filter((title) => title.includes(part.replaceAll('’', "'")));
  expect(found.length, `${row.test} is a test`).toBeGreaterThan(0);
});
