// Checks the documents: every ```ts block compiles against the package, every `npm run` script, linked file, metric, alert
// and setting exists, and lines end at 120 columns.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { trackedFiles } from './tracked-files.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

function documents(): string[] {
  return trackedFiles(root)
    .filter((name) => /^(docs\/.+|[^/]+)\.md$/.test(name))
    .map((name) => join(root, name));
}

function blocks(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, code]) => code ?? '');
}

function checkCommands(file: string, text: string): string[] {
  const scripts = new Set(Object.keys(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts));
  const named = [...text.matchAll(/npm run (?:-s )?([a-z:-]+)/g)].map(([, name]) => name ?? '');
  return named
    .filter((name) => !scripts.has(name))
    .map((name) => `${relative(root, file)}: there is no script ${name}`);
}

function checkLinks(file: string, text: string): string[] {
  const targets = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target]) => target ?? '');
  return targets
    .filter((target) => !/^[a-z]+:/.test(target) && !existsSync(join(dirname(file), target)))
    .map((target) => `${relative(root, file)}: ${target} does not exist`);
}

/** Names of things that exist elsewhere: the expression that finds them, and the files of which one must have them. */
const NAMES: readonly { readonly what: string; readonly form: RegExp; readonly files: readonly string[] }[] = [
  { what: 'metric', form: /\bteranode_p2p_[a-z0-9_]*[a-z0-9]\b/g, files: ['docs/metrics.md'] },
  { what: 'alert', form: /\bTeranodeP2P[A-Z]\w+/g, files: ['docs/alerts.yml'] },
  {
    what: 'setting',
    form: /(?<![\w.-])(?:p2p|kafka|asset|blockchain|blockvalidation|grpc|embedded_chain)_[A-Za-z0-9_]*[A-Za-z0-9](?![\w(.-])/g,
    files: ['docs/settings.md', 'src/settings/without-effect.ts', 'proto/p2p_api.proto', 'src/app/health/health.ts'],
  },
];
/** What a document says of other programs or of the past. */
const OTHERS = /^(?:docs\/(?:parity|metrics|walks|from-teranode-listener)\.md|docs\/adr\/.*|CHANGELOG\.md)$/;

function checkNames(file: string, text: string): string[] {
  const name = relative(root, file);
  if (OTHERS.test(name)) return [];
  return NAMES.flatMap(({ what, form, files: places }) => {
    const known = places.map((place) => readFileSync(join(root, place), 'utf8')).join('\n');
    const used = new Set([...text.matchAll(form)].map(([found]) => found));
    return [...used].filter((each) => !known.includes(each)).map((each) => `${name}: there is no ${what} ${each}`);
  });
}

const MAX_COLUMNS = 120;

/** Tables, code and links may be wider. */
function checkColumns(file: string, text: string): string[] {
  const prose = text.replaceAll(/^```[\s\S]*?^```/gm, (code) => code.replaceAll(/[^\n]/g, ''));
  return prose
    .split('\n')
    .map((line, index) => ({ line, at: `${relative(root, file)}:${index + 1}` }))
    .filter(({ line }) => line.length > MAX_COLUMNS && !line.startsWith('|') && !line.includes('http'))
    .map(({ line, at }) => `${at}: ${line.length} columns, at most ${MAX_COLUMNS}`);
}

/** Compiles all snippets at once, each as a module beside the sources. */
function checkSnippets(files: readonly string[]): void {
  const folder = mkdtempSync(join(root, '.docs-'));
  try {
    for (const [i, file] of files.entries()) {
      for (const [k, code] of blocks(readFileSync(file, 'utf8'), 'ts').entries()) {
        writeFileSync(join(folder, `snippet-${i}-${k}.ts`), `// ${relative(root, file)}\nexport {};\n${code}`);
      }
    }
    const config = {
      extends: '../tsconfig.json',
      compilerOptions: { noUnusedLocals: false, paths: { 'teranode-p2p': ['../src/index.ts'] } },
      include: ['*.ts'],
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    execFileSync('tsc', ['-p', folder], { stdio: 'inherit' });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const files = documents();
const problems = files.flatMap((file) => {
  const text = readFileSync(file, 'utf8');
  return [
    ...checkCommands(file, text),
    ...checkLinks(file, text),
    ...checkColumns(file, text),
    ...checkNames(file, text),
  ];
});
for (const problem of problems) process.stderr.write(`${problem}\n`);
if (problems.length > 0) process.exit(1);
checkSnippets(files);
