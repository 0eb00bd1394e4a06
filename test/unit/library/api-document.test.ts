import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { apiDocument } from '../../../scripts/docs-api.ts';
import { REPO } from '../../support/repo.ts';

test('docs/api.md is what npm run docs:api makes of the sources', () => {
  const document = apiDocument();
  expect(document).toContain('### listen');
  expect(readFileSync(join(REPO, 'docs/api.md'), 'utf8')).toBe(document);
});
