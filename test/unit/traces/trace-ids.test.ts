import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isSampled, traceIdOf } from '../../../src/adapters/traces/trace-ids.ts';
import type { Hash } from '../../../src/domain/ids.ts';

const GENESIS = '000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f' as Hash;
const anyHash = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex') as Hash);

test('the trace ID of a block is the beginning of its hash as in a header, not the zeros that are displayed first', () => {
  expect(traceIdOf(GENESIS)).toBe('6fe28c0ab6f1b372c1a6a246ae63f74f');
});

test('a hash that would give the trace ID of zeros, which is invalid, has none', () => {
  expect(traceIdOf(`ff${'0'.repeat(62)}` as Hash)).toBeUndefined();
});

test('every block is sampled, whatever the rate', () => {
  fc.assert(fc.property(anyHash, (hash) => isSampled('block', hash, 0)));
});

test('a subtree that is sampled at a rate is sampled at every higher one: nodes with different rates share traces', () => {
  const rate = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(anyHash, rate, rate, (hash, a, b) => {
      const [low, high] = [Math.min(a, b), Math.max(a, b)];
      return !isSampled('subtree', hash, low) || isSampled('subtree', hash, high);
    }),
  );
  fc.assert(fc.property(anyHash, (hash) => isSampled('subtree', hash, 1) && !isSampled('subtree', hash, 0)));
});

test('about the given share of subtrees is sampled', () => {
  const hashes = Array.from({ length: 4000 }, (_, i) => {
    const bytes = Buffer.alloc(32);
    // Spread over the range in steps that do not divide it.
    bytes.writeUInt32LE(Math.imul(i, 2_654_435_761) >>> 0, 12);
    return bytes.toString('hex') as Hash;
  });
  const sampled = hashes.filter((hash) => isSampled('subtree', hash, 0.1)).length;
  expect(sampled).toBeGreaterThan(300);
  expect(sampled).toBeLessThan(500);
});
