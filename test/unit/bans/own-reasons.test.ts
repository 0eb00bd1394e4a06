// Which reasons of validation reports are our own.
import { describe, expect, test } from 'vitest';
import { ownReasons } from '../../../src/bans/reports/own-reasons.ts';
import { P2P_SETTINGS } from '../../../src/settings/schema-p2p.ts';

describe('the reasons of the default setting', () => {
  const isOwn = ownReasons(P2P_SETTINGS.p2p_report_own_reasons.default);

  test.each([
    'block already exists as invalid',
    'BLOCK_EXISTS (35): block is known',
    'invalidated by operator',
    'context canceled',
    'rpc error: code = Canceled desc = cancelled',
    'storage error',
    'STORAGE_ERROR (59): failed to write',
    'context deadline exceeded',
    'request timed out',
    'SUBTREE_NOT_FOUND (43)',
  ])('include %j', (reason) => {
    expect(isOwn(reason)).toBe(true);
  });

  test.each([
    '',
    'invalid',
    'BLOCK_INVALID (11): merkle root mismatch',
    'bad-txns-in-belowout',
    // A peer chooses the names in its URL.
    'invalid subtree from https://timeout.example/storage/operator',
    'script failed: nostorage timeouts',
  ])('do not include %j', (reason) => {
    expect(isOwn(reason)).toBe(false);
  });
});

test('an empty list, and a text without a letter or digit, match nothing', () => {
  for (const texts of [[], ['', ' - ']]) expect(ownReasons(texts)('timeout')).toBe(false);
});
