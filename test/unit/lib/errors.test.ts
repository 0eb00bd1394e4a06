import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorsDocument } from '../../../scripts/docs-errors.ts';
import { serializeError } from '../../../src/adapters/logging/logger.ts';
import { P2PError } from '../../../src/lib/errors.ts';
import { REPO } from '../../support/repo.ts';

test('docs/errors.md is the table of codes', () => {
  expect(readFileSync(join(REPO, 'docs/errors.md'), 'utf8')).toBe(errorsDocument());
});

test('an error is logged with its code, details and causes, texts cut', () => {
  const cause = new Error('x'.repeat(5000), { cause: new TypeError('deep') });
  const logged = serializeError(new P2PError('TIMEOUT', 'too late', { details: { ms: 5 }, cause })) as Record<
    string,
    never
  >;
  expect(logged).toMatchObject({ name: 'P2PError', code: 'TIMEOUT', message: 'too late', details: { ms: 5 } });
  expect(JSON.stringify(logged).length).toBeLessThan(3000);
  expect(JSON.stringify(logged)).toContain('deep');
});
