// docs/doctor.md lists the checks that there are, and its sample shows all of them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CHECKS } from '../../../src/app/doctor/finding.ts';
import { REPO } from '../../support/repo.ts';

const text = readFileSync(join(REPO, 'docs/doctor.md'), 'utf8');

test('docs/doctor.md has a row for each check, in the order of the report', () => {
  const rows = [...text.matchAll(/^\| `(\w+)` \| ([^|]+) \|/gm)].map(([, name, what]) => [name, what]);
  expect(rows).toEqual(Object.entries(CHECKS));
});

test('the sample in docs/doctor.md has a line for each check, and advice for what is not ok only', () => {
  const lines = [...text.matchAll(/^(ok|NOT OK|-) +(\w+) {2,}\S/gm)].map(([, state, name]) => ({ state, name }));
  expect(lines.map(({ name }) => name)).toEqual(Object.keys(CHECKS));
  const [, advice = ''] = /^What to do\n((?: {2}.+\n)+)/m.exec(text) ?? [];
  const failed = lines.filter(({ state }) => state === 'NOT OK').map(({ name }) => name);
  expect([...advice.matchAll(/^ {2}(\w+): /gm)].map(([, name]) => name)).toEqual(failed);
});
