import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorsDocument } from '../../../scripts/docs-errors.ts';
import { serializeError } from '../../../src/adapters/logging/logger.ts';
import { ERROR_CODES, P2PError } from '../../../src/lib/errors.ts';
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

test.each([
  ['INPUT_INVALID', 400, 'INPUT_INVALID', 'INVALID_ARGUMENT'],
  ['ADDRESS_INVALID', 400, 'INPUT_INVALID', 'INVALID_ARGUMENT'],
  ['PEER_UNREACHABLE', 502, 'PEER_UNREACHABLE', 'INTERNAL'],
  ['NODE_NOT_STARTED', 503, 'NOT_READY', 'UNAVAILABLE'],
  ['STORE_UNAVAILABLE', 503, 'STORE_UNAVAILABLE', 'UNAVAILABLE'],
  ['TIMEOUT', 504, 'TIMEOUT', 'DEADLINE_EXCEEDED'],
] as const)('%s answers a request with HTTP %i %s and gRPC %s', (code, httpStatus, problem, grpc) => {
  expect(ERROR_CODES[code]).toMatchObject({ http: { status: httpStatus, code: problem }, grpc });
});

test('every other code answers a request with an internal error, whose text stays in the log', () => {
  const answered = [
    'INPUT_INVALID',
    'ADDRESS_INVALID',
    'PEER_UNREACHABLE',
    'NODE_NOT_STARTED',
    'STORE_UNAVAILABLE',
    'TIMEOUT',
    'ANSWER_TOO_LARGE',
    'HISTORY_OFF',
  ];
  const others = Object.entries(ERROR_CODES).filter(([code]) => !answered.includes(code));
  expect(others).toHaveLength(17);
  for (const [code, { http, grpc }] of others) expect([code, http, grpc]).toEqual([code, undefined, 'INTERNAL']);
});
