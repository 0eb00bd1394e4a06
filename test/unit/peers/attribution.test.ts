import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import type { Hash, PeerId } from '../../../src/domain/ids.ts';
import { Attribution } from '../../../src/peers/attribution.ts';
import { urlKey } from '../../../src/wire/url-key.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

const TTL_MS = 1000;
const [first, second, third] = ['a', 'b', 'c'] as PeerId[] as [PeerId, PeerId, PeerId];

function setUp(maxAnnouncements = 100) {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const attribution = new Attribution({ clock, metrics }, { kind: 'block', maxAnnouncements, ttlMs: TTL_MS });
  const record = (hash: string, author: PeerId) =>
    attribution.record(hash as Hash, { author, receivedFrom: third, dataHubUrl: 'http://x' });
  return { clock, metrics, attribution, record };
}

describe('attribution of a hash', () => {
  test('keeps announcements in order, the first author first', () => {
    const { attribution, record } = setUp();
    record('h', first);
    record('h', second);
    expect(attribution.announcementsOf('h' as Hash).map(({ author }) => author)).toEqual([first, second]);
    expect(attribution.announcementsOf('h' as Hash)[0]).toMatchObject({ receivedFrom: third, urlKey: 'http://x' });
  });

  test('knows which author announced which hash', () => {
    const { attribution, record } = setUp();
    record('h', first);
    expect(attribution.knows('h' as Hash, first)).toBe(true);
    expect(attribution.knows('h' as Hash, second)).toBe(false);
    expect(attribution.knows('i' as Hash, first)).toBe(false);
  });

  test('expires at its TTL, at once for readers and at the next clean-up in memory', () => {
    const { attribution, record, clock, metrics } = setUp();
    record('h', first);
    clock.advance(TTL_MS + 1);
    expect(attribution.knows('h' as Hash, first)).toBe(false);
    expect(attribution.announcementsOf('h' as Hash)).toEqual([]);
    expect(attribution.size()).toBe(1);
    attribution.cleanUp();
    expect(attribution.size()).toBe(0);
    expect(metrics.count('teranode_p2p_attribution_evicted_total', { reason: 'expired' })).toBe(1);
  });

  test('starts anew when an expired hash is announced again', () => {
    const { attribution, record, clock } = setUp();
    record('h', first);
    clock.advance(TTL_MS + 1);
    record('h', second);
    expect(attribution.announcementsOf('h' as Hash).map(({ author }) => author)).toEqual([second]);
    expect(attribution.size()).toBe(1);
  });

  test('never holds more than its bound and evicts the oldest announcement first', () => {
    const { attribution, record, metrics } = setUp(5);
    for (let i = 0; i < 1000; i += 1) record(`h${i}`, first);
    expect(attribution.size()).toBe(5);
    expect(attribution.knows('h999' as Hash, first)).toBe(true);
    expect(attribution.knows('h994' as Hash, first)).toBe(false);
    expect(metrics.count('teranode_p2p_attribution_evicted_total', { reason: 'full' })).toBe(995);
    expect(metrics.gaugeValue('teranode_p2p_attribution_entries')).toBe(5);
  });

  test('expires each author’s announcement by its own age', () => {
    const { attribution, record, clock } = setUp();
    record('h', first);
    clock.advance(TTL_MS - 2);
    record('h', second);
    clock.advance(3);
    expect(attribution.knows('h' as Hash, first)).toBe(false);
    expect(attribution.knows('h' as Hash, second)).toBe(true);
    expect(attribution.announcementsOf('h' as Hash).map(({ author }) => author)).toEqual([second]);
    attribution.cleanUp();
    expect(attribution.size()).toBe(1);
    record('h', first);
    expect(attribution.announcementsOf('h' as Hash).map(({ author }) => author)).toEqual([second, first]);
    clock.advance(TTL_MS + 1);
    attribution.cleanUp();
    expect(attribution.size()).toBe(0);
  });

  test.each(['expired', 'full'])(
    'that there were others is known until the last has left, when the first has %s',
    (how) => {
      const { attribution, record, clock } = setUp(3);
      const hasForgotten = () => attribution.hasForgotten('h' as Hash);
      record('h', first);
      expect(hasForgotten()).toBe(false);
      if (how === 'expired') clock.advance(TTL_MS);
      record('h', second);
      expect(hasForgotten()).toBe(false);
      if (how === 'expired') clock.advance(1);
      else for (const hash of ['i', 'j']) record(hash, first);
      expect(attribution.announcementsOf('h' as Hash).map(({ author }) => author)).toEqual([second]);
      expect(hasForgotten()).toBe(true);
      attribution.cleanUp();
      expect(hasForgotten()).toBe(true);
      record('h', second);
      expect(hasForgotten()).toBe(true);
      clock.advance(TTL_MS + 1);
      attribution.cleanUp();
      expect(hasForgotten()).toBe(false);
      record('h', second);
      expect(hasForgotten()).toBe(false);
    },
  );

  test('does not count an author’s own earlier announcement as one of another author', () => {
    const { attribution, record, clock } = setUp();
    record('h', first);
    clock.advance(TTL_MS - 1);
    record('h', first);
    clock.advance(2);
    expect(attribution.hasForgotten('h' as Hash)).toBe(false);
    attribution.cleanUp();
    expect(attribution.hasForgotten('h' as Hash)).toBe(false);
  });

  test('removes expired announcements before it evicts live ones', () => {
    const { attribution, record, clock, metrics } = setUp(2);
    record('h', first);
    record('i', first);
    clock.advance(TTL_MS + 1);
    record('j', first);
    record('k', first);
    expect(attribution.size()).toBe(2);
    expect(metrics.count('teranode_p2p_attribution_evicted_total', { reason: 'full' })).toBe(0);
  });

  test('bounds the authors of one hash too', () => {
    const { attribution, record } = setUp(5);
    for (let i = 0; i < 50; i += 1) record('h', `author${i}` as PeerId);
    expect(attribution.size()).toBeLessThanOrEqual(5);
  });
});

test('100,000 announcements with long URLs of their own stay below 60 MiB, and each is still told by its URL', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heap = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const { attribution } = setUp(100_000);
  const urlOf = (i: number) => `https://hub.example/${i}/${'x'.repeat(2000)}`;
  const hashOf = (i: number) => i.toString(16).padStart(64, '0') as Hash;
  const before = heap();
  for (let i = 0; i < 100_000; i += 1)
    attribution.record(hashOf(i), { author: first, receivedFrom: third, dataHubUrl: Buffer.from(urlOf(i)).toString() });
  expect(heap() - before).toBeLessThan(60 * 1024 * 1024);
  expect(attribution.announcementsOf(hashOf(5))[0]?.urlKey).toBe(urlKey(`${urlOf(5)}/`));
  expect(attribution.announcementsOf(hashOf(5))[0]?.urlKey).not.toBe(urlKey(urlOf(6)));
});

test('announcements of one author with one URL share its text', () => {
  const { attribution, record } = setUp();
  record('h', first);
  record('i', first);
  record('i', second);
  const keys = ['h', 'i'].flatMap((hash) => attribution.announcementsOf(hash as Hash).map(({ urlKey: key }) => key));
  expect(keys).toEqual(['http://x', 'http://x', 'http://x']);
});
