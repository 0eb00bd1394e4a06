// Which connections are closed when there are too many.
import { describe, expect, test } from 'vitest';
import {
  CROWD,
  chooseToTrim,
  crowdedAt,
  type TrimCandidate,
} from '../../../src/adapters/libp2p/connections/trimming.ts';
import type { PeerId } from '../../../src/domain/ids.ts';

const MARKS = { lowWater: 3, highWater: 5, graceMs: 60_000 };
const NOW_MS = 1_000_000;

function candidate(peerId: string, fields: Partial<TrimCandidate> = {}): TrimCandidate {
  return {
    peerId: peerId as PeerId,
    connectedAtMs: 0,
    isProtected: false,
    meshTopics: 0,
    subscribes: false,
    direction: 'inbound',
    group: undefined,
    ...fields,
  };
}

describe('trimming', () => {
  const names = (count: number) => Array.from({ length: count }, (_each, i) => `p${i}`);

  test('closes nothing up to the high-water mark, and closes down to the low-water mark above it', () => {
    expect(
      chooseToTrim(
        names(5).map((name) => candidate(name)),
        MARKS,
        NOW_MS,
      ),
    ).toEqual([]);
    expect(
      chooseToTrim(
        names(6).map((name) => candidate(name)),
        MARKS,
        NOW_MS,
      ),
    ).toHaveLength(3);
  });

  test('keeps young and protected connections, even when that leaves too many', () => {
    const all = names(8).map((name, i) =>
      candidate(name, i < 4 ? { isProtected: true } : { connectedAtMs: NOW_MS - 1000 }),
    );
    expect(chooseToTrim(all, MARKS, NOW_MS)).toEqual([]);
  });

  test('closes strangers before subscribers of our topics, whoever dialled', () => {
    const strangers = names(3).map((name) => candidate(name, { direction: 'outbound' }));
    const subscribers = ['s0', 's1', 's2'].map((name) => candidate(name, { subscribes: true }));
    expect(new Set(chooseToTrim([...subscribers, ...strangers], MARKS, NOW_MS))).toEqual(new Set(names(3)));
  });

  test('closes the least useful first: without a mesh, inbound, young', () => {
    const all = [
      candidate('mesh', { meshTopics: 2 }),
      candidate('outbound', { direction: 'outbound' }),
      candidate('old'),
      candidate('younger', { connectedAtMs: 1000 }),
      candidate('static', { isProtected: true }),
      candidate('mesh and outbound', { meshTopics: 1, direction: 'outbound' }),
    ];
    expect(chooseToTrim(all, { ...MARKS, lowWater: 1 }, NOW_MS)).toEqual([
      'younger',
      'old',
      'outbound',
      'mesh and outbound',
      'mesh',
    ]);
  });

  const LARGE = { lowWater: 20, highWater: 40, graceMs: 60_000 };
  const old = (count: number) => names(count).map((name, i) => candidate(name, { group: `192.0.2.${i}` }));
  const young = (count: number, group: (i: number) => string, fields: Partial<TrimCandidate> = {}) =>
    names(count).map((name, i) =>
      candidate(`young ${name}`, { connectedAtMs: NOW_MS - 1000, group: group(i), ...fields }),
    );

  test('on a crowded node closes connections of a crowded address first, however young, and keeps a few of them', () => {
    const others = crowdedAt(LARGE.highWater) - 20;
    const chosen = chooseToTrim([...old(20), ...young(others, () => '198.51.100.1')], LARGE, NOW_MS);
    expect(chosen).toHaveLength(others - CROWD);
    expect(chosen.every((peerId) => peerId.startsWith('young'))).toBe(true);
  });

  test('below that mark spares young connections of a crowded address, and closes no others for them', () => {
    const all = [...old(30), ...young(60, () => '198.51.100.1')];
    expect(chooseToTrim(all, LARGE, NOW_MS)).toEqual([]);
    const later = chooseToTrim(all, LARGE, NOW_MS + LARGE.graceMs);
    expect(later.every((peerId) => peerId.startsWith('young'))).toBe(true);
    expect(later).toHaveLength(60);
  });

  test('trims twenty connections of one address like any others', () => {
    const all = young(20, () => '127.0.0.1');
    const marks = { lowWater: 5, highWater: 10 };
    expect(chooseToTrim(all, { ...marks, graceMs: 0 }, NOW_MS)).toHaveLength(15);
    expect(chooseToTrim(all, { ...marks, graceMs: 60_000 }, NOW_MS)).toEqual([]);
  });

  test('does not count protected peers and mesh peers as a crowd', () => {
    const one = () => '198.51.100.1';
    const all = [
      ...old(20),
      ...young(30, one, { isProtected: true }),
      ...young(5, one, { meshTopics: 1 }).map((each) => ({ ...each, peerId: `mesh ${each.peerId}` as PeerId })),
    ];
    expect(chooseToTrim(all, LARGE, NOW_MS)).toEqual([]);
  });

  test('young connections of many addresses evict none that were there, and compete once they are old', () => {
    const all = [...old(20), ...young(60, (i) => `198.51.100.${i}`)];
    expect(chooseToTrim(all, LARGE, NOW_MS)).toEqual([]);
    const later = chooseToTrim(all, LARGE, NOW_MS + LARGE.graceMs);
    expect(later).toHaveLength(60);
    expect(later.every((peerId) => peerId.startsWith('young'))).toBe(true);
  });
});
