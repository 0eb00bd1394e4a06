// The packages that bring Node to a clone must not be in the published package: there they would take over their user's
// `node`. Neither may its scripts, whose files are not packed: npm runs `prepare` where somebody installs the unpacked
// folder. `strip` takes both out of package.json before packing and keeps the original beside it; `restore` puts it back.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const manifest = fileURLToPath(new URL('../package.json', import.meta.url));
const original = `${manifest}.original`;

function strip(): void {
  if (existsSync(original)) renameSync(original, manifest);
  const text = readFileSync(manifest, 'utf8');
  const {
    optionalDependencies,
    devDependencies: _dev,
    scripts,
    ...others
  } = JSON.parse(text) as Record<string, unknown>;
  // npm reads the name of the script that restores the original after it has packed.
  const rest = { ...others, scripts: { postpack: (scripts as Record<string, string>).postpack } };
  const kept = Object.entries((optionalDependencies ?? {}) as Record<string, string>).filter(
    ([name]) => !/^node-linux-/.test(name),
  );
  writeFileSync(original, text);
  const published = kept.length > 0 ? { ...rest, optionalDependencies: Object.fromEntries(kept) } : rest;
  writeFileSync(manifest, `${JSON.stringify(published, null, 2)}\n`);
}

function restore(): void {
  if (existsSync(original)) renameSync(original, manifest);
}

if (process.argv[2] === 'strip') strip();
else restore();
