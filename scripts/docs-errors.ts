// Writes docs/errors.md from the table of codes.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ERROR_CODES } from '../src/lib/errors.ts';

export function errorsDocument(): string {
  const rows = Object.entries(ERROR_CODES).map(([code, text]) => `| \`${code}\` | ${text} |`);
  return `# Errors\n\nEvery error that this program throws has one of these codes. Made by \`npm run docs:errors\`.\n\n| code | meaning |\n|---|---|\n${rows.join('\n')}\n`;
}

if (import.meta.main) writeFileSync(fileURLToPath(new URL('../docs/errors.md', import.meta.url)), errorsDocument());
