// Which of the discovered peers are dialled, and which have a cool-down.
import { expect, test } from 'vitest';
import {
  DIALS_PER_MINUTE,
  DiscoveredPeers,
  MAX_DIALS_PER_GROUP,
} from '../../../src/adapters/libp2p/discovery/discovered-peers.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const named = (i: number) => `peer ${i}` as PeerId;

function setUp(isThere: (peerId: PeerId) => boolean = () => false) {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const dialled: PeerId[] = [];
  const addressesOf: (readonly string[])[] = [];
  const room = { count: Number.POSITIVE_INFINITY };
  const connected = new Set<PeerId>();
  const ends: (() => void)[] = [];
  const failure = { error: new Error('gone') };
  const discovered = new DiscoveredPeers({
    log: recordingLogger(),
    metrics,
    nowMs: () => clock.monotonic(),
    random: Math.random,
    isWanted: (peerId) => !connected.has(peerId),
    room: () => room.count,
    dial: (peerId, addresses) => {
      dialled.push(peerId);
      addressesOf.push(addresses);
      return new Promise<void>((resolve, reject) => {
        ends.push(() => {
          if (!isThere(peerId)) return reject(failure.error);
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
  return { clock, metrics, room, failure, addressesOf, discovered, dialled, connected, endAll, many, size };
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

test('dials of one IP are limited, at the same time and per minute, and those of others are not', async () => {
  const { clock, metrics, discovered, dialled, endAll } = setUp();
  for (let i = 0; i < 100; i += 1) discovered.discovered(named(i), [`/ip4/192.0.2.1/tcp/${i + 1}`]);
  for (let i = 100; i < 110; i += 1) discovered.discovered(named(i), [`/ip4/192.0.2.${i}/tcp/1`]);
  await new Promise(setImmediate);
  const victims = () => dialled.filter((id) => Number(id.slice(5)) < 100);
  expect(victims()).toHaveLength(MAX_DIALS_PER_GROUP);
  expect(dialled).toHaveLength(MAX_DIALS_PER_GROUP + 10);
  await endAll();
  expect(victims()).toHaveLength(DIALS_PER_MINUTE);
  expect(metrics.count('teranode_p2p_found_peers_limited_total')).toBe(100 - DIALS_PER_MINUTE);
  clock.advance(60_000);
  discovered.discovered(named(200), ['/ip4/192.0.2.1/tcp/1']);
  await endAll();
  expect(dialled).toContain(named(200));
});

test('names of one domain are limited like one IP, and one name of a peer is dialled at most', async () => {
  const { discovered, dialled, addressesOf } = setUp();
  const names = (i: number) => [`/dns4/a${i}.victim.example/tcp/1`, `/dns4/b${i}.victim.example/tcp/1`];
  for (let i = 0; i < 10; i += 1) discovered.discovered(named(i), names(i));
  await new Promise(setImmediate);
  expect(dialled).toHaveLength(MAX_DIALS_PER_GROUP);
  expect(addressesOf.every(({ length }) => length === 1)).toBe(true);
});

test('no more peers are dialled than are wanted, dials under way counted', async () => {
  const { many, room, dialled, endAll } = setUp(() => true);
  room.count = 3;
  many(10);
  await new Promise(setImmediate);
  expect(dialled).toHaveLength(3);
  room.count = 0;
  await endAll();
  expect(dialled).toHaveLength(3);
});

test('a peer that was not dialed because others use up the budget of its machine is not one that failed', async () => {
  const { clock, many, dialled, endAll, failure } = setUp();
  const refused = () => Object.assign(new Error('not dialed'), { code: 'EDIALREFUSED' });
  failure.error = new AggregateError([refused(), refused()]);
  for (let round = 1; round <= 5; round += 1) {
    many(1);
    await endAll();
    expect(dialled).toHaveLength(round);
    clock.advance(40_000);
  }
});
