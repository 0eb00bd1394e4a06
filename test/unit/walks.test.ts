// docs/walks.md leads a newcomer through the code, so its steps must lead somewhere.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { REPO } from '../support/repo.ts';

const MAX_STEPS = 9;
const [, ...walks] = readFileSync(join(REPO, 'docs/walks.md'), 'utf8').split(/^## /m);

test('docs/walks.md follows a message, a ban, a block notification, a sync and a setting', () => {
  expect(walks.map((walk) => walk.split('\n')[0])).toEqual([
    'A message',
    'A ban',
    'A block notification',
    'A sync without a blockchain service',
    'A setting',
  ]);
});

describe.each(walks.map((walk) => [walk.split('\n')[0] ?? '', walk] as const))('walk "%s"', (_title, walk) => {
  const steps = [...walk.matchAll(/^\d+\. `(src\/[^`]+)`: \S/gm)].map(([, file = '']) => file);

  test('has under ten steps, and each names a file first', () => {
    expect(steps.length).toBe([...walk.matchAll(/^\d+\. /gm)].length);
    expect(steps.length).toBeGreaterThan(3);
    expect(steps.length).toBeLessThanOrEqual(MAX_STEPS);
  });

  test('names only files that exist', () => {
    expect(steps.filter((file) => !existsSync(join(REPO, file)))).toEqual([]);
  });
});
