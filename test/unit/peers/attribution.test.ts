import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
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

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heap(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test('100,000 announcements with long URLs of their own stay below 60 MiB, and each is still told by its URL', () => {
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

test('100,000 announcements of one author with one URL take 90 bytes each', () => {
  const { attribution } = setUp(100_000);
  const hashOf = (i: number) => i.toString(16).padStart(64, '0') as Hash;
  const before = heap();
  for (let i = 0; i < 100_000; i += 1)
    attribution.record(hashOf(i), { author: first, receivedFrom: third, dataHubUrl: 'http://x' });
  expect(heap() - before).toBeLessThan(10e6);
  expect(attribution.knows(hashOf(99_999), first)).toBe(true);
});

/** What the tables stand for, in plain objects. */
class PlainAttribution {
  private all: { hash: string; author: string; atMs: number }[] = [];
  private readonly forgot = new Set<string>();

  record(hash: string, author: string, nowMs: number, max: number): void {
    this.cleanUp(nowMs);
    this.all.push({ hash, author, atMs: nowMs });
    if (this.all.length > max) this.forget();
  }

  cleanUp(nowMs: number): void {
    while (this.all[0] !== undefined && nowMs - this.all[0].atMs > TTL_MS) this.forget();
  }

  authorsOf(hash: string, nowMs: number): string[] {
    return this.all.filter((each) => each.hash === hash && nowMs - each.atMs <= TTL_MS).map(({ author }) => author);
  }

  hasForgotten(hash: string, nowMs: number): boolean {
    const of = this.all.filter((each) => each.hash === hash);
    const last = of.at(-1)?.author;
    return this.forgot.has(hash) || of.some((each) => each.author !== last && nowMs - each.atMs > TTL_MS);
  }

  size(): number {
    return this.all.length;
  }

  private forget(): void {
    const oldest = this.all.shift();
    if (oldest === undefined) return;
    const rest = this.all.filter(({ hash }) => hash === oldest.hash);
    if (rest.length === 0) this.forgot.delete(oldest.hash);
    else if (rest.some(({ author }) => author !== oldest.author)) this.forgot.add(oldest.hash);
  }
}

test('answers as plain objects would, whatever is announced and forgotten', () => {
  const hashes = ['h', 'a'.repeat(64), 'b'.repeat(64), `${'a'.repeat(63)}b`, '0'.repeat(64)];
  const authors = [first, second, third];
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ hash: fc.constantFrom(...hashes), author: fc.constantFrom(...authors) }) },
    { weight: 1, arbitrary: fc.nat({ max: TTL_MS }) },
    { weight: 1, arbitrary: fc.constant('clean up' as const) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: 'max' }), fc.integer({ min: 1, max: 30 }), (steps, max) => {
      const { attribution, clock, record } = setUp(max);
      const plain = new PlainAttribution();
      for (const each of steps) {
        if (typeof each === 'number') clock.advance(each);
        else if (each === 'clean up') {
          attribution.cleanUp();
          plain.cleanUp(clock.monotonic());
        } else {
          record(each.hash, each.author);
          plain.record(each.hash, each.author, clock.monotonic(), max);
        }
        expect(attribution.size()).toBe(plain.size());
        for (const hash of hashes) {
          const known = plain.authorsOf(hash, clock.monotonic());
          expect(attribution.announcementsOf(hash as Hash).map(({ author }) => author)).toEqual(known);
          expect(authors.filter((author) => attribution.knows(hash as Hash, author)).sort()).toEqual(
            [...new Set(known)].sort(),
          );
          expect(attribution.hasForgotten(hash as Hash)).toBe(plain.hasForgotten(hash, clock.monotonic()));
        }
      }
    }),
    { numRuns: 50 },
  );
});
