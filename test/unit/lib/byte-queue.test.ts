import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteQueue } from '../../../src/lib/byte-queue.ts';

const OVERHEAD = 10;
const textOf = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('latin1');

test('holds what an array of the latest records would, within both bounds', () => {
  const length = fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 400 }) }, { weight: 1, arbitrary: fc.nat(70_000) });
  const lengths = fc.array(length, { maxLength: 300, size: 'max' });
  fc.assert(
    fc.property(lengths, fc.integer({ min: 1, max: 200 }), fc.nat(200_000), (records, maxRecords, maxBytes) => {
      let dropped = 0;
      const onDrop = () => {
        dropped += 1;
      };
      const queue = new ByteQueue({ maxRecords, maxBytes, overheadBytes: OVERHEAD, onDrop });
      const kept: Uint8Array[] = [];
      const bytes = () => kept.reduce((sum, each) => sum + each.length + OVERHEAD, 0);
      for (const [i, each] of records.entries()) {
        const record = new Uint8Array(each).fill(i);
        queue.push(record);
        kept.push(record.slice());
        // The queue has a copy.
        record.fill(255);
        while (kept.length > maxRecords || bytes() > maxBytes) kept.shift();
        expect([queue.length, queue.bytes, dropped]).toEqual([kept.length, bytes(), i + 1 - kept.length]);
        for (const at of [0, kept.length - 1]) expect(textOf(queue.at(at))).toBe(textOf(kept[at]));
      }
      for (const [i, each] of kept.entries()) expect(textOf(queue.at(i))).toBe(textOf(each));
      expect([queue.at(-1), queue.at(kept.length)]).toEqual([undefined, undefined]);
    }),
    { numRuns: 30 },
  );
});
