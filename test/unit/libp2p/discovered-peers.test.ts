// Which of the discovered peers are dialled, and which have a cool-down.
import { expect, test } from 'vitest';
import { DiscoveredPeers } from '../../../src/adapters/libp2p/discovery/discovered-peers.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const named = (i: number) => `peer ${i}` as PeerId;

function setUp(isThere: (peerId: PeerId) => boolean = () => false) {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const dialled: PeerId[] = [];
  const connected = new Set<PeerId>();
  const ends: (() => void)[] = [];
  const discovered = new DiscoveredPeers({
    log: recordingLogger(),
    metrics,
    nowMs: () => clock.monotonic(),
    random: Math.random,
    isWanted: (peerId) => !connected.has(peerId),
    dial: (peerId) => {
      dialled.push(peerId);
      return new Promise<void>((resolve, reject) => {
        ends.push(() => {
          if (!isThere(peerId)) return reject(new Error('gone'));
          connected.add(peerId);
          resolve();
        });
      });
    },
  });
  /** Ends all dials, and those that begin then. */
  const endAll = async () => {
    await new Promise(setImmediate);
    while (ends.length > 0) {
      for (const end of ends.splice(0)) end();
      await new Promise(setImmediate);
    }
  };
  const many = (count: number) => {
    for (let i = 0; i < count; i += 1) discovered.discovered(named(i), []);
  };
  const size = (kind: string) => metrics.gaugeValue('teranode_p2p_found_peers', { kind });
  return { clock, discovered, dialled, connected, endAll, many, size };
}

test('every peer of an answer is dialled, however many of them are gone', async () => {
  const last = named(499);
  const { many, dialled, connected, endAll, size } = setUp((peerId) => peerId === last);
  many(500);
  await new Promise(setImmediate);
  expect(dialled).toHaveLength(32);
  expect(size('waiting')).toBe(468);
  await endAll();
  expect(new Set(dialled).size).toBe(500);
  expect([...connected]).toEqual([last]);
});

test('peers that are gone have a cool-down, longer each time', async () => {
  const { clock, many, dialled, endAll } = setUp();
  const dialsAfter = async (ms: number) => {
    clock.advance(ms);
    dialled.length = 0;
    many(1);
    await endAll();
    return dialled.length;
  };
  expect(await dialsAfter(0)).toBe(1);
  expect(await dialsAfter(20_000)).toBe(0);
  expect(await dialsAfter(20_000)).toBe(1);
  expect(await dialsAfter(40_000)).toBe(0);
  expect(await dialsAfter(40_000)).toBe(1);
});

test('the queue is limited, and nothing is dialled after a stop', async () => {
  const { discovered, many, dialled, endAll, size } = setUp();
  many(20_000);
  await new Promise(setImmediate);
  expect(size('waiting') ?? 0).toBeLessThanOrEqual(1000);
  discovered.stop();
  const before = dialled.length;
  await endAll();
  many(10);
  await endAll();
  expect(dialled).toHaveLength(before);
});
