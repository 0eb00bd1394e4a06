// What gossipsub remembers of what neighbours say is bounded, whatever they say.
import type { GossipSub } from '@libp2p/gossipsub';
import { expect, test } from 'vitest';
import { boundGossipMemory } from '../../../src/adapters/libp2p/gossipsub/memory.ts';
import { goMessageId, gossipOptions } from '../../../src/adapters/libp2p/gossipsub/options.ts';
import { SeenMessages } from '../../../src/adapters/libp2p/gossipsub/seen-messages.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

const TOPIC = 'prefix-block';
const HOUR_MS = 3_600_000;

/** As gossipsub notes a back-off, at time 0. */
function setUp() {
  const score = Object.fromEntries(
    ['validateMessage', 'deliverMessage', 'rejectMessage', 'rejectInvalidMessage', 'duplicateMessage'].map((name) => [
      name,
      () => {},
    ]),
  );
  const backoff = new Map<string, Map<string, number>>([[TOPIC, new Map()]]);
  const library = {
    seenCache: {},
    fastMsgIdCache: {},
    score,
    backoff,
    doAddBackoff: (id: string, topic: string, intervalMs: number) => {
      backoff.get(topic)?.set(id, intervalMs);
    },
  };
  const seen = new SeenMessages({ clock: new FakeClock(), metrics: new RecordedMetrics() }, { keepMs: 1, maxIds: 4 });
  boundGossipMemory(library as unknown as GossipSub, seen);
  return { library, peers: backoff.get(TOPIC) as Map<string, number> };
}

test('a back-off of thousands of years ends after an hour, a short one when it says', () => {
  const { library, peers } = setUp();
  library.doAddBackoff('one', TOPIC, Number.MAX_SAFE_INTEGER * 1000);
  library.doAddBackoff('two', TOPIC, 60_000);
  expect([...peers]).toEqual([
    ['one', HOUR_MS],
    ['two', 60_000],
  ]);
});

test('of identities without end that prune us, the last 10,000 are remembered', () => {
  const { library, peers } = setUp();
  for (let i = 0; i < 30_000; i += 1) library.doAddBackoff(String(i), TOPIC, 60_000);
  expect(peers.size).toBe(10_000);
  expect([...peers.keys()].at(-1)).toBe('29999');
});

test('an id of a MiB is remembered as one of 128 bytes, one of a message as it is', () => {
  const text = gossipOptions([TOPIC]).msgIdToStrFn ?? (() => '');
  expect(text(new Uint8Array(1024 * 1024))).toHaveLength(128);
  const id = goMessageId(new Uint8Array(38).fill(7), 5n);
  expect(Buffer.from(text(id), 'latin1')).toEqual(Buffer.from(id));
});
