// docs/settings.md, generated from the schema.
import type { Row } from './row.ts';
import { ROWS } from './schema.ts';

const HEAD = `# Settings

Generated from the schema by \`npm run docs:settings\`. The comments in the shipped \`settings.conf\` explain files,
contexts and \`\${NAME}\`. Every setting can also be given as an environment variable of the same name.
\`teranode-p2p settings\` prints every setting in force and where its value comes from.

Settings marked **ours** belong to this project; the others are those of the Go service. Secrets are masked wherever
settings are shown.

| name | type or allowed values | default | description |
|---|---|---|---|
`;

export function settingsDocument(): string {
  return (
    HEAD +
    ROWS.map(
      ([key, row]) => `| ${[name(key, row), cell(row.type.expects), fallback(row), description(row)].join(' | ')} |\n`,
    ).join('')
  );
}

function name(key: string, row: Row<unknown, unknown>): string {
  return [key, ...row.also].map((spelling) => `\`${spelling}\``).join(', ');
}

function fallback(row: Row<unknown, unknown>): string {
  if (row.isRequired) return '**required**';
  if (row.default === undefined) return '';
  const text = row.type.format(row.default);
  return text === '' ? 'empty' : `\`${cell(text)}\``;
}

function description(row: Row<unknown, unknown>): string {
  const marks = [row.isOurs ? '**ours**' : '', row.isSecret ? 'secret' : ''].filter((mark) => mark !== '');
  return cell([row.doc, ...marks].join(' · '));
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
