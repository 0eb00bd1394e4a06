// Finds the log events in the sources: the calls of a logger, with their level, their event and the names of their
// fields. What a call takes from variables is resolved as far as the document needs it; the rest is shown as it is.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { trackedFiles } from './tracked-files.ts';

export interface LogEvent {
  readonly event: string;
  /** Joined by "or" where the call chooses. */
  readonly level: string;
  /** Names; a variable that is spread or passed as a whole is resolved in its file, else left out. */
  readonly fields: readonly string[];
  readonly file: string;
}

/** `log.warn(`, `this.deps.log[condition ? 'debug' : 'warn'](` and `logUnfiltered(`. */
const CALL = /\b(?:[lL]og|filtersNoInfo)(?:\.(trace|debug|info|warn|error)|\[([^\]]+)\])\(|\blogUnfiltered\(/g;

/** The definition of the port, and the logger that wraps other programs' texts. */
const LEFT_OUT = new Set(['src/ports/log.ts', 'src/adapters/http/server/fastify-log.ts']);
/** Parameters: what callers pass on is listed where the document is made. */
const GIVEN: ReadonlySet<string> = new Set(['message', 'failure', 'event']);
/** Texts of a library's own logger. */
const OF_LIBRARIES = /\blog\.error\('error encrypting/;

export function logEvents(root: string): LogEvent[] {
  const files = trackedFiles(root).filter((name) => /^src\/.*\.ts$/.test(name) && !LEFT_OUT.has(name));
  return files.flatMap((file) => eventsOf(file, readFileSync(join(root, file), 'utf8')));
}

function eventsOf(file: string, text: string): LogEvent[] {
  return [...text.matchAll(CALL)]
    .filter(({ index }) => !OF_LIBRARIES.test(text.slice(index, index + 40)))
    .flatMap((call) => {
      const args = argumentsAt(text, (call.index ?? 0) + call[0].length);
      const isUnfiltered = call[0] === 'logUnfiltered(';
      const [fields = '', event = ''] = isUnfiltered ? args.slice(1) : args;
      const level = isUnfiltered ? 'info' : (call[1] ?? levelsOf(call[2] ?? '', text));
      const texts = textsOf(event, text);
      if (texts.length === 0 && !GIVEN.has(event)) throw new Error(`${file}: cannot find out the log event "${event}"`);
      return texts.map((each) => ({ event: each, level, fields: fieldsOf(fields, text), file }));
    });
}

/** The arguments of a call, from after its bracket. */
function argumentsAt(text: string, from: number): string[] {
  const found: string[] = [];
  let depth = 0;
  let quote = '';
  let start = from;
  for (let at = from; at < text.length; at += 1) {
    const c = text[at] ?? '';
    if (quote !== '') {
      if (c === '\\') at += 1;
      else if (c === quote) quote = '';
    } else if (`'"\``.includes(c)) quote = c;
    else if ('([{'.includes(c)) depth += 1;
    else if (c === ',' && depth === 0) {
      found.push(text.slice(start, at).trim());
      start = at + 1;
    } else if (')]}'.includes(c)) {
      depth -= 1;
      if (depth < 0) return [...found, text.slice(start, at).trim()].filter((each) => each !== '');
    }
  }
  return found;
}

function levelsOf(expression: string, text: string): string {
  const known = strings(expression);
  const all = known.length > 0 ? known : strings(definitionOf(expression, text));
  return [...new Set(all.filter((each) => /^(trace|debug|info|warn|error)$/.test(each)))].join(' or ');
}

/** What an event can be: a literal, a choice of literals, or a name that stands for those. */
function textsOf(expression: string, text: string): string[] {
  const own = strings(expression).filter((each) => each.includes(' ') || expression === `'${each}'`);
  if (own.length > 0) return own;
  return strings(definitionOf(expression, text)).filter((each) => each.includes(' '));
}

/** Keys of an object literal; of a name, those of the object that it was defined as. */
function fieldsOf(expression: string, text: string): string[] {
  const literal = expression.startsWith('{') ? expression : definitionOf(expression.replace(/^this\./, ''), text);
  if (!literal.startsWith('{'))
    return [...new Set([...expression.matchAll(/[{,] (\w+)/g)].map(([, name]) => name ?? ''))];
  const names = argumentsAt(`${literal.slice(1, literal.lastIndexOf('}'))})`, 0).flatMap((part) => {
    if (!part.startsWith('...')) return [/^\w+/.exec(part)?.[0] ?? ''];
    const spread = part.slice(3).trim();
    if (/^[\w.]+$/.test(spread)) return fieldsOf(spread.split('.').at(-1) ?? '', text);
    return [...spread.matchAll(/\{ *(\w+)/g)].map(([, name]) => name ?? '');
  });
  return [...new Set(names.filter((name) => name !== ''))];
}

/** `const name = …;`, or what a property of that name is set to. */
function definitionOf(name: string, text: string): string {
  if (!/^\w+$/.test(name)) return '';
  const found = new RegExp(`(?:const ${name}\\b[^=;]*=|this\\.${name} =) `).exec(text);
  if (found === null) return '';
  const from = found.index + found[0].length;
  return text.slice(from, text.indexOf(';\n', from)).trim();
}

function strings(text: string): string[] {
  return [...text.matchAll(/'((?:[^'\\]|\\.)*)'|`((?:[^`\\]|\\.)*)`|"((?:[^"\\]|\\.)*)"/g)].map(
    ([, single, back, double]) => single ?? double ?? back?.replaceAll(/\$\{[^}]*\}/g, '…') ?? '',
  );
}
