import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { unverifiedMessageId } from '../../../src/adapters/libp2p/gossipsub/options.ts';
import { SeenMessages } from '../../../src/adapters/libp2p/gossipsub/seen-messages.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

const KEEP_MS = 120_000;

function setUp(maxIds = 1_000_000) {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const seen = new SeenMessages({ clock, metrics }, { keepMs: KEEP_MS, maxIds });
  const pass = (ms: number) => {
    for (let rest = ms; rest > 0; rest -= 1000) {
      clock.advance(Math.min(1000, rest));
      seen.prune();
    }
  };
  return { seen, metrics, pass };
}

test('a message ID is kept for its time and forgotten soon after', () => {
  const { seen, pass } = setUp();
  pass(17_000);
  seen.put('a');
  pass(KEEP_MS);
  expect(seen.has('a')).toBe(true);
  expect(seen.has('b')).toBe(false);
  pass(KEEP_MS / 3);
  expect(seen.has('a')).toBe(false);
});

test('IDs of steady traffic are forgotten in time', () => {
  const { seen, pass } = setUp();
  for (let i = 0; i < 600; i += 1) {
    seen.put(`${i}`);
    pass(1000);
  }
  expect(seen.size).toBeGreaterThanOrEqual(120);
  expect(seen.size).toBeLessThanOrEqual(161);
  expect(seen.has('590')).toBe(true);
});

test('a flood evicts the oldest IDs, counts them, and never exceeds the bound', () => {
  const { seen, metrics } = setUp(1000);
  for (let i = 0; i < 10_000; i += 1) {
    seen.put(`${i}`);
    expect(seen.size).toBeLessThanOrEqual(1000);
  }
  expect(seen.has('9999')).toBe(true);
  expect(seen.has('9300')).toBe(true);
  expect(seen.has('0')).toBe(false);
  expect(metrics.count('teranode_p2p_seen_evicted_total')).toBe(9000);
  seen.clear();
  expect(seen.size).toBe(0);
});

test('the text of an ID and its two parts are the same ID', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 0, maxLength: 100, size: 'max' }),
      fc.uint8Array({ minLength: 0, maxLength: 28 }),
      fc.boolean(),
      (from, seqno, isText) => {
        const { seen } = setUp();
        const id = unverifiedMessageId({ from, seqno });
        expect([seen.has(id), seen.hasId(from, seqno)]).toEqual([false, false]);
        if (isText) seen.put(id);
        else seen.putId(from, seqno);
        expect([seen.has(id), seen.hasId(from, seqno)]).toEqual([true, true]);
      },
    ),
  );
});

test('IDs that differ in any byte, or in their length only, are different', () => {
  const { seen } = setUp();
  const id = Buffer.alloc(46, 1);
  seen.put(id.toString('latin1'));
  for (let i = 0; i < id.length; i += 1) {
    const other = Buffer.from(id);
    other[i] = 2;
    expect(seen.has(other.toString('latin1'))).toBe(false);
  }
  for (const bytes of [0, 3, 4, 45, 47, 48, 128])
    expect(seen.has(Buffer.alloc(bytes, 1).toString('latin1'))).toBe(false);
  seen.put('\0\0');
  expect([seen.has(''), seen.has('\0'), seen.has('\0\0\0')]).toEqual([false, false, false]);
});

test('remembers what sets of texts would, through floods and pauses', () => {
  const MAX = 40;
  const step = fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 60 }) }, { weight: 1, arbitrary: fc.constant('pause') });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: 'max' }), (steps) => {
      const { seen, pass } = setUp(MAX);
      let generations = [new Set<string>()];
      const begin = () => {
        generations = [new Set<string>(), ...generations.slice(0, 3)];
      };
      for (const each of steps) {
        if (each === 'pause') {
          pass(KEEP_MS / 3);
          begin();
        } else {
          const id = `author ${each} `.padEnd(46);
          expect(seen.has(id)).toBe(generations.some((generation) => generation.has(id)));
          seen.put(id);
          if (!generations[0]?.has(id) && generations[0]?.size === MAX / 4) begin();
          generations[0]?.add(id);
        }
        expect(seen.size).toBe(generations.reduce((sum, { size }) => sum + size, 0));
      }
    }),
  );
});

test('a million IDs take less than 40 bytes each', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const bytes = () => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const { seen } = setUp();
  const author = Buffer.alloc(38, 7);
  const seqno = Buffer.alloc(8);
  const before = bytes();
  for (let i = 0; i < 1_000_000; i += 1) {
    seqno.writeUInt32BE(i, 4);
    seen.putId(author, seqno);
  }
  expect(bytes() - before).toBeLessThan(40e6);
  expect(seen.size).toBe(1_000_000);
});

test('the age of a delivery that counts is known when the message comes again, and of no other', () => {
  const { seen, pass } = setUp();
  const author = new Uint8Array(38).fill(7);
  const [counts, other] = [new Uint8Array(8).fill(1), new Uint8Array(8).fill(2)];
  seen.putId(author, counts);
  seen.noteDelivery(author, counts, false);
  seen.putId(author, other);
  pass(250);
  expect(seen.hasId(author, counts)).toBe(true);
  expect(seen.deliveryAgeMs).toBe(250);
  expect(seen.hasId(author, other)).toBe(true);
  expect(seen.deliveryAgeMs).toBeUndefined();
  pass(60_000);
  seen.hasId(author, counts);
  expect(seen.deliveryAgeMs).toBe(60_250);
  expect(seen.isByAuthor).toBe(false);
  const hash = [seen.hashLow, seen.hashHigh];
  seen.putId(author, other);
  seen.noteDelivery(author, other, true);
  pass(7);
  expect([seen.hasId(author, other), seen.deliveryAgeMs, seen.isByAuthor]).toEqual([true, 7, true]);
  expect([seen.hashLow, seen.hashHigh]).not.toEqual(hash);
  seen.hasId(author, counts);
  expect([seen.hashLow, seen.hashHigh]).toEqual(hash);
});

test('no delivery is noted for a message that is not remembered', () => {
  const { seen } = setUp();
  const [author, seqno] = [new Uint8Array(38), new Uint8Array(8)];
  seen.noteDelivery(author, seqno, false);
  expect(seen.hasId(author, seqno)).toBe(false);
  seen.clear();
  expect(seen.deliveryAgeMs).toBeUndefined();
});
