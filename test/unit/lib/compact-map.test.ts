import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CompactMap } from '../../../src/lib/compact-map.ts';
import { Rows } from '../../../src/lib/rows.ts';

const MAX = 300;
/** Few different keys, so that they meet again. */
const key = fc.nat({ max: 400 });
const step = fc.oneof(
  { weight: 200, arbitrary: fc.record({ type: fc.constant('set' as const), key, value: fc.integer() }) },
  { weight: 100, arbitrary: fc.record({ type: fc.constant('delete' as const), key }) },
  { weight: 50, arbitrary: fc.record({ type: fc.constant('get' as const), key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('clear' as const) }) },
);

test.each([
  ['keys that it hashes', false, (n: number) => Int32Array.of(n, 7, -n)],
  ['keys that are hashed', true, (n: number) => Int32Array.of(Math.imul(n, 0x9e3779b1), n, 0)],
  ['hashed keys that all collide', true, (n: number) => Int32Array.of(5, n, 0)],
])('does what a Map does, with %s', (_, hasHashedKeys, wordsOf) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 1500, size: 'max' }), (steps) => {
      const model = new Map<number, number>();
      const map = new CompactMap({ keyWords: 3, valueWords: 1, maxEntries: MAX, hasHashedKeys });
      for (const each of steps) {
        if (each.type === 'clear') {
          model.clear();
          map.clear();
        } else {
          const words = wordsOf(each.key);
          const row = map.find(words);
          expect(row >= 0 ? map.value(row, 0) : undefined).toBe(model.get(each.key));
          if (each.type === 'delete' && row >= 0) {
            map.delete(row);
            model.delete(each.key);
          }
          if (each.type === 'set' && (row >= 0 || map.size < MAX)) {
            map.setValue(row >= 0 ? row : map.add(words), 0, each.value);
            model.set(each.key, each.value);
          }
        }
        expect(map.size).toBe(model.size);
      }
      for (let n = 0; n <= 400; n += 1) {
        const row = map.find(wordsOf(n));
        expect(row >= 0 ? map.value(row, 0) : undefined).toBe(model.get(n));
      }
    }),
    { numRuns: 40 },
  );
});

test('an added entry has a value of zeros, also in a row that was used before', () => {
  const map = new CompactMap({ keyWords: 1, valueWords: 1, maxEntries: 1 });
  const row = map.add(Int32Array.of(1));
  map.setValue(row, 0, 9);
  map.delete(row);
  expect(map.value(map.add(Int32Array.of(2)), 0)).toBe(0);
  expect(map.find(Int32Array.of(1))).toBe(-1);
});

test('refuses more entries than its bound', () => {
  const map = new CompactMap({ keyWords: 1, valueWords: 0, maxEntries: 100 });
  for (let n = 0; n < 100; n += 1) map.add(Int32Array.of(n));
  expect(() => map.add(Int32Array.of(100))).toThrow(RangeError);
  expect(map.size).toBe(100);
  expect(map.find(Int32Array.of(100))).toBe(-1);
  expect(map.find(Int32Array.of(99))).toBeGreaterThanOrEqual(0);
});

test('keys that differ in few bits are found after few steps', () => {
  const map = new CompactMap({ keyWords: 8, valueWords: 0, maxEntries: 100_000 });
  const words = new Int32Array(8);
  // With a hash that keeps order or drops words, these fill one run of slots, and this takes minutes.
  for (let n = 0; n < 100_000; n += 1) {
    words[7] = n << 15;
    words[0] = n >>> 17;
    expect(map.find(words)).toBe(-1);
    map.add(words);
  }
  expect(map.size).toBe(100_000);
});

test('rows that were released are used again, and memory grows to the bound and no further', () => {
  const rows = new Rows({ width: 2, maxRows: 100 });
  const all = Array.from({ length: 100 }, () => rows.take());
  expect(new Set(all).size).toBe(100);
  expect(rows.capacity).toBe(100);
  expect(() => rows.take()).toThrow(RangeError);
  for (const row of [17, 40, 3]) rows.release(row);
  expect(rows.size).toBe(97);
  expect([rows.take(), rows.take(), rows.take()].sort((a, b) => a - b)).toEqual([3, 17, 40]);
  rows.clear();
  expect(rows.size).toBe(0);
  expect(rows.take()).toBe(0);
});
