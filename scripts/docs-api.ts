// Writes docs/api.md, the reference of the listening part of the library, from the declarations that TypeScript makes of
// its sources.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Files whose exports are the API, with the names that the package exports where those are not all. */
const FILES: readonly (readonly [title: string, file: string, names?: readonly string[]])[] = [
  ['Listening', 'library/listener', ['listen', 'Listener', 'ListenerReady', 'ListenerStats']],
  ['Options', 'library/options', ['ListenOptions', 'ChainOptions']],
  ['Events', 'library/events'],
  ['Headers', 'library/headers'],
  ['Anchor and counts', 'library/header-follower', ['Anchor', 'FollowCounts']],
  ['Events of a chain', 'domain/chain-event'],
  ['Endpoints', 'library/endpoints'],
  ['What an endpoint has', 'domain/endpoint'],
];

const HEADING = `# Reference of the library

What \`teranode-p2p/listen\` exports; \`teranode-p2p\` exports it too. [The guide](library.md) explains it. Made from the
sources by \`npm run docs:api\`.
`;

interface Declaration {
  readonly name: string;
  readonly doc: string;
  readonly code: string;
}

export function apiDocument(): string {
  const folder = mkdtempSync(join(tmpdir(), 'teranode-p2p-api-'));
  try {
    const args = ['-p', join(root, 'tsconfig.build.json'), '--emitDeclarationOnly', '--outDir', folder];
    execFileSync('tsc', args, { cwd: root, stdio: 'inherit' });
    const parts = FILES.map(([title, file, names]) => {
      const all = declarations(readFileSync(join(folder, `${file}.d.ts`), 'utf8'));
      const wanted = all.filter(({ name }) => (names === undefined ? name !== 'eventOf' : names.includes(name)));
      return `\n## ${title}\n${wanted.map(shown).join('')}`;
    });
    return HEADING + parts.join('');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function shown({ name, doc, code }: Declaration): string {
  return `\n### ${name}\n\n${doc === '' ? '' : `${doc}\n\n`}\`\`\`typescript\n${code}\n\`\`\`\n`;
}

/** Top-level exports with the comment before each. */
function declarations(text: string): Declaration[] {
  const found: Declaration[] = [];
  const pattern =
    /^(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n)?export (?:declare )?((?:interface|class) \w+[\s\S]*?^\}$|(?:type|function) \w+[\s\S]*?;$)/gm;
  for (const [, doc = '', code = ''] of text.matchAll(pattern))
    found.push({ name: code.split(/\W/)[1] ?? '', doc: plain(doc), code: publicPart(code) });
  return found;
}

/** A comment as prose. */
function plain(doc: string): string {
  return doc
    .split('\n')
    .map((line) => line.replace(/^\s*\*? ?/, '').trimEnd())
    .join('\n')
    .trim();
}

function publicPart(code: string): string {
  return code
    .replaceAll(/(?:^ {4}\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n)?^ {4}private .*\n/gm, '')
    .replaceAll(/^( +)/gm, (all) => ' '.repeat(Math.ceil(all.length / 2)));
}

if (import.meta.main) writeFileSync(join(root, 'docs/api.md'), apiDocument());
