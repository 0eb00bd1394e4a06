// docs/settings.md, made from the schema.
import type { Row } from './row.ts';
import { ROWS } from './schema.ts';

const HEAD = `# Settings

Made from the schema by \`npm run docs:settings\`. Files, contexts and \`\${NAME}\` are explained in the shipped \`settings.conf\`; any setting
can be given as an environment variable of its own name. \`teranode-p2p settings\` prints what is in force and where it came from.

- **ours**: a setting of this project; the others are those of the Go service.

| setting | default | what is right | what it does |
|---|---|---|---|
`;

export function settingsDocument(): string {
  return (
    HEAD +
    ROWS.map(
      ([key, row]) => `| ${[name(key, row), fallback(row), cell(row.type.expects), effect(row)].join(' | ')} |\n`,
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

function effect(row: Row<unknown, unknown>): string {
  const marks = [row.isOurs ? '**ours**' : '', row.isSecret ? 'secret' : ''].filter((mark) => mark !== '');
  return cell([row.doc, ...marks].join(' · '));
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
