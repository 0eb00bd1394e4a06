// docs/parity.md tells the truth: each symbol and each test that it names is there.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { REPO } from '../support/repo.ts';

const rows = readFileSync(join(REPO, 'docs/parity.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| item ') && !line.startsWith('|---'))
  .map((line) => line.split('|').map((cell) => cell.trim()));

function text(file: string): string {
  return existsSync(join(REPO, file)) ? readFileSync(join(REPO, file), 'utf8') : '';
}

test('there is a row for every method of NodeI', () => {
  const items = rows.map(([, item]) => item).join(' ');
  for (const name of ['SetTopicHandler', 'GetTopic', 'CurrentlyConnectedPeers', 'SendToPeer', 'UpdateBytesReceived'])
    expect(items).toContain(name);
  expect(rows.length).toBeGreaterThan(70);
});

test.each(rows.map((cells) => [cells[1], cells[2], cells[3]] as const))('%s', (_item, symbol = '', named = '') => {
  if (symbol === '*open*') {
    expect(named).toBe('*open*');
    return;
  }
  const [, file = '', name = ''] = /^`([^#]+)#(\w+)`$/.exec(symbol) ?? [];
  expect(text(file)).toMatch(new RegExp(`\\b${name}\\b`));
  const [, testFile = '', part = ''] = /^`([^ ]+) › (.+)`$/.exec(named) ?? [];
  // A test's name, or its suite's.
  expect(text(testFile).replaceAll('’', "'")).toContain(part);
});
