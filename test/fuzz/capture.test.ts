// No bytes make the decoder of captures throw, and what it writes it reads again.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFrame, MAGIC, readFrames } from '../../src/capture/frame.ts';
import { type CaptureRecord, contentOf, recordOf } from '../../src/capture/records.ts';
import { INPUT_KINDS } from '../../src/capture/tap.ts';
import { fuzzSuite } from './engine/suite.ts';
import { CAPTURE_TARGETS } from './targets/captures.ts';

const RUNS = { numRuns: 100_000 };

function recordsIn(bytes: Uint8Array): readonly (CaptureRecord | undefined)[] {
  const source = Buffer.from(bytes);
  return [...readFrames((buffer, at) => source.copy(buffer, 0, at))].map(recordOf);
}

fuzzSuite(CAPTURE_TARGETS);

test('any JSON in a valid frame is a record or none', () => {
  const field = fc.constantFrom('t', 'n', 'm', 'k', 'v', 'd', 's', 'q', '$n', '$u', '__proto__', 'networks', 'part');
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom('head', 'state', 'input', 'late', 'gap', 'end', 'gossip', 0, 1, -1, [], {}),
  );
  fc.assert(
    fc.property(
      fc.dictionary(field, value),
      fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 3 }),
      (json, blobs) => {
        const frame = encodeFrame({ json: JSON.stringify(json), blobs });
        expect(recordsIn(Buffer.concat([MAGIC, frame ?? Buffer.alloc(0)]))).toHaveLength(1);
      },
    ),
    RUNS,
  );
});

test('a record is read as it was written', () => {
  const value = fc.dictionary(
    fc.stringMatching(/^[a-z]{1,9}$/),
    fc.oneof(fc.string(), fc.integer(), fc.bigInt(), fc.boolean(), fc.constant(undefined), fc.array(fc.string())),
  );
  const decisions = fc.array(fc.array(fc.oneof(fc.string(), fc.integer(), fc.boolean())));
  const input = fc.record({
    type: fc.constant('input' as const),
    nowMs: fc.nat(),
    monotonicMs: fc.nat(),
    kind: fc.constantFrom(...INPUT_KINDS),
    value,
    decisions,
    side: fc.array(fc.record({ kind: fc.constantFrom(...INPUT_KINDS), value })),
    dropped: fc.array(fc.string()),
    blobs: fc.array(fc.uint8Array()),
  });
  fc.assert(
    fc.property(input, (record) => {
      const [read] = recordsIn(Buffer.concat([MAGIC, encodeFrame(contentOf(record)) ?? Buffer.alloc(0)]));
      if (read?.type !== 'input') throw new Error('no input');
      expect({ ...read, blobs: [] }).toEqual({ ...record, blobs: [] });
      expect(read.blobs.map((blob) => [...blob])).toEqual(record.blobs.map((blob) => [...blob]));
    }),
    { numRuns: 5000 },
  );
});
