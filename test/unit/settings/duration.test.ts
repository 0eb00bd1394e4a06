import { expect, test } from 'vitest';
import { formatDuration, parseDuration } from '../../../src/settings/duration.ts';

test.each([
  ['24h', 86_400_000],
  ['1m30s', 90_000],
  ['250ms', 250],
  ['1.5h', 5_400_000],
  ['720h', 2_592_000_000],
  ['0', 0],
  ['0s', 0],
])('%s', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
  expect(parseDuration(formatDuration(ms))).toBe(ms);
});

test.each(['', '5', 'h', '1x', '1h ', '-1s', '1h30', 's1', '1..5s'])('rejects %j', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});
