// What gossipsub remembers of what peers say is bounded, whatever they say.
import { expect, test } from 'vitest';
import { BackoffLimits, SeenCaches } from '../../../src/adapters/libp2p/gossipsub/memory.ts';
import { goMessageId, gossipOptions, unverifiedMessageId } from '../../../src/adapters/libp2p/gossipsub/options.ts';
import { SeenMessages } from '../../../src/adapters/libp2p/gossipsub/seen-messages.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

const TOPIC = 'prefix-block';
const HOUR_MS = 3_600_000;

/** As gossipsub notes a back-off, at time 0. */
function setUp() {
  const backoffs = new Map<string, Map<string, number>>([[TOPIC, new Map()]]);
  const doAddBackoff = new BackoffLimits(backoffs).doAddBackoff((id, topic, intervalMs) => {
    backoffs.get(topic)?.set(id, intervalMs);
  });
  return { doAddBackoff, peers: backoffs.get(TOPIC) as Map<string, number> };
}

test('a back-off of thousands of years ends after an hour, a short one as announced', () => {
  const { doAddBackoff, peers } = setUp();
  doAddBackoff('one', TOPIC, Number.MAX_SAFE_INTEGER * 1000);
  doAddBackoff('two', TOPIC, 60_000);
  expect([...peers]).toEqual([
    ['one', HOUR_MS],
    ['two', 60_000],
  ]);
});

test('remembers the back-offs of the last 10,000 peers that pruned us', () => {
  const { doAddBackoff, peers } = setUp();
  for (let i = 0; i < 30_000; i += 1) doAddBackoff(String(i), TOPIC, 60_000);
  expect(peers.size).toBe(10_000);
  expect([...peers.keys()].at(-1)).toBe('29999');
});

test('cuts a message ID of 1 MiB to 128 bytes, and keeps a real one whole', () => {
  const text = gossipOptions([TOPIC]).msgIdToStrFn ?? (() => '');
  expect(text(new Uint8Array(1024 * 1024))).toHaveLength(128);
  const id = goMessageId(new Uint8Array(38).fill(7), 5n);
  expect(Buffer.from(text(id), 'latin1')).toEqual(Buffer.from(id));
});

test('a message put into the seen cache is found before its verification too, under the same ID', () => {
  const seen = new SeenMessages({ clock: new FakeClock(), metrics: new RecordedMetrics() }, { keepMs: 1, maxIds: 4 });
  const caches = new SeenCaches(seen);
  const [fast, slow] = [caches.fastMsgIdCache(), caches.seenCache()];
  const author = new Uint8Array(38).fill(7);
  const seqno = Buffer.from('0000000000000005', 'hex');
  const unverified = unverifiedMessageId({ from: author, seqno });
  const verified = gossipOptions([TOPIC]).msgIdToStrFn?.(goMessageId(author, 5n)) ?? '';
  expect(fast.get?.(unverified)).toBeUndefined();
  expect(fast.put(unverified, verified)).toBe(false);
  expect(slow.has?.(verified)).toBe(false);
  slow.put(verified);
  expect(slow.has?.(verified)).toBe(true);
  expect(fast.get?.(unverified)).toBe(verified);
});
