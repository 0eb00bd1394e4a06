// How many announcements of the same hash are passed to Kafka.
import { describe, expect, test } from 'vitest';
import type { BlockAnnouncement } from '../../../src/domain/announcement.ts';
import type { Hash } from '../../../src/domain/ids.ts';
import type { Effect } from '../../../src/gossip/effects.ts';
import { type ExecutorDependencies, executor } from '../../../src/gossip/executor.ts';
import { SeenHashes } from '../../../src/gossip/limits/seen-hashes.ts';
import { Attribution } from '../../../src/peers/attribution.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

const HASH = 'ab'.repeat(32) as Hash;
const OTHER = 'cd'.repeat(32) as Hash;
const SECOND = 1000;

function setUp(options: Partial<ConstructorParameters<typeof SeenHashes>[1]> = {}) {
  const clock = new FakeClock();
  const sizes = new Map<string, readonly [size: () => number, bound: number]>();
  const seen = new SeenHashes(
    clock,
    { maxPublishers: 3, ttlMs: 120 * SECOND, maxSize: 10_000, ...options },
    (kind, size, bound) => sizes.set(kind, [size, bound]),
  );
  const passed = (from: number, to: number, hash = HASH) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i).filter((n) => seen.take('block', hash, peer(n)));
  return { clock, seen, passed, sizes };
}

describe('a hash', () => {
  test('is passed for the first three authors within 15 s, and for three more afterwards', () => {
    const { clock, passed } = setUp();
    expect(passed(1, 10)).toEqual([1, 2, 3]);
    clock.advance(15 * SECOND - 1);
    expect(passed(1, 10)).toEqual([]);
    clock.advance(1);
    expect(passed(1, 10)).toEqual([4, 5, 6]);
    expect(passed(1, 10, OTHER)).toEqual([1, 2, 3]);
  });

  test('is passed once for the same author, until it is forgotten', () => {
    const { clock, passed } = setUp({ maxPublishers: 1000 });
    expect(passed(1, 1)).toEqual([1]);
    for (let windows = 0; windows < 7; windows += 1) {
      clock.advance(15 * SECOND);
      expect(passed(1, 1)).toEqual([]);
    }
    clock.advance(15 * SECOND);
    expect(passed(1, 1)).toEqual([1]);
  });

  test('as a subtree does not use up the turns of a block with the same hash', () => {
    const { seen, passed } = setUp();
    for (let n = 1; n <= 3; n += 1) seen.take('subtree', HASH, peer(n));
    expect(passed(1, 3)).toEqual([1, 2, 3]);
  });

  test('is passed again for the author, or for another one, when its turn is returned', () => {
    const { seen, passed } = setUp();
    expect(passed(1, 4)).toEqual([1, 2, 3]);
    seen.giveBack('block', HASH, peer(2));
    seen.giveBack('block', HASH, peer(9));
    seen.giveBack('block', OTHER, peer(2));
    expect(passed(4, 5)).toEqual([4]);
    seen.giveBack('block', HASH, peer(4));
    expect(passed(2, 2)).toEqual([2]);
    expect(passed(6, 6)).toEqual([]);
  });
});

test('remembers no more hashes than its bound, and reports how many', () => {
  const { passed, sizes } = setUp({ maxSize: 100 });
  for (let n = 0; n < 1000; n += 1) passed(1, 4, n.toString(16).padStart(64, '0') as Hash);
  const [size, bound] = sizes.get('seen_hashes') ?? [];
  expect([size?.(), bound]).toEqual([100, 100]);
});

describe('the executor', () => {
  function run(isDropped: (peerId: string) => boolean = () => false) {
    const clock = new FakeClock();
    const metrics = new RecordedMetrics();
    const blocks = new Attribution({ clock, metrics }, { kind: 'block', maxAnnouncements: 100, ttlMs: 60_000 });
    const records: BlockAnnouncement[] = [];
    const execute = executor({
      blocks,
      subtrees: blocks,
      seenHashes: new SeenHashes(clock, { maxPublishers: 3, ttlMs: 120_000, maxSize: 10 }),
      blockProducer: {
        publish: (value: BlockAnnouncement, onDropped?: () => void) => {
          if (isDropped(value.peerId)) onDropped?.();
          else records.push(value);
        },
      },
      clock,
      metrics,
    } as unknown as ExecutorDependencies);
    const announce = (n: number): readonly Effect[] => [
      {
        ...{ type: 'attribute_block', hash: HASH, author: peer(n), receivedFrom: peer(n), dataHubUrl: `http://${n}` },
        ...{ height: 1, headerTime: undefined },
      },
      { type: 'publish_block', hash: HASH, author: peer(n), dataHubUrl: `http://${n}` },
    ];
    for (let n = 1; n <= 5; n += 1) execute(announce(n));
    return { records, blocks, metrics };
  }

  test('passes the announcements of three authors to Kafka, counts the others, and attributes all', () => {
    const { records, blocks, metrics } = run();
    expect(records).toEqual([1, 2, 3].map((n) => ({ hash: HASH, url: `http://${n}`, peerId: peer(n) })));
    expect(blocks.announcementsOf(HASH).map(({ author }) => author)).toEqual([1, 2, 3, 4, 5].map(peer));
    expect(metrics.count('teranode_p2p_seen_hash_skipped_total', { topic: 'block' })).toBe(2);
  });

  test('gives the turn of an announcement that the queue dropped to the next author', () => {
    const { records, metrics } = run((peerId) => peerId === peer(1) || peerId === peer(3));
    expect(records.map(({ peerId }) => peerId)).toEqual([2, 4, 5].map(peer));
    expect(metrics.count('teranode_p2p_gossip_kafka_publish_dropped_total', { topic: 'block' })).toBe(2);
  });
});
