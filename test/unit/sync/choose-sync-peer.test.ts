// Each rule of the choice by a table, and what must hold for whatever peers there are.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import {
  chooseSyncPeer,
  fitnessOf,
  type SyncCandidate,
  type SyncSnapshot,
} from '../../../src/sync/choose-sync-peer.ts';
import { candidate, hashOf, NOW_MS, OWN_HEIGHT, snapshot } from './rows.ts';

const never = () => {
  throw new Error('not by chance');
};

function chosen(candidates: readonly SyncCandidate[], changes: Partial<SyncSnapshot> = {}, random = () => 0) {
  const choice = chooseSyncPeer(snapshot(candidates, changes), random);
  return choice.outcome === 'chosen' ? choice.peer.peerId : choice.why;
}

describe('who qualifies', () => {
  const high = 500;
  const at = { height: high, hash: hashOf('claim') };
  test.each<[string, Partial<SyncCandidate>, string]>([
    ['a spotless peer ahead', {}, 'fit'],
    ['one whose DataHub was not asked yet', { dataHubHealth: 'unknown' }, 'fit'],
    ['one that is gone', { isConnected: false }, 'not_connected'],
    ['a banned one', { isBanned: true }, 'banned'],
    ['one that claims nothing', { claimed: undefined }, 'no_best_hash'],
    ['one without a best hash', { claimed: { height: high, hash: undefined } }, 'no_best_hash'],
    ['one at our height', { claimed: { height: OWN_HEIGHT, hash: hashOf('x') } }, 'not_ahead'],
    ['one below us', { claimed: { height: 3, hash: hashOf('x') } }, 'not_ahead'],
    ['one without a DataHub', { dataHubUrl: undefined }, 'no_datahub'],
    ['one with an empty URL', { dataHubUrl: '' }, 'no_datahub'],
    ['one whose DataHub does not answer', { dataHubHealth: 'unhealthy' }, 'datahub_unhealthy'],
    ['a claim that our chain disproves', { claimed: at, proven: { height: 42, hash: at.hash } }, 'not_ahead'],
    ['a claimed block that builds on our tip', { claimed: at, proven: { height: 101, hash: at.hash } }, 'fit'],
    ['a proven point of old, far ahead since', { claimed: at, proven: { height: 42, hash: hashOf('old') } }, 'fit'],
    ['nothing proven, far ahead', { claimed: at, proven: undefined }, 'fit'],
    [
      'a claim below us, whatever is proven',
      { claimed: { height: 50, hash: at.hash }, proven: { height: 101, hash: at.hash } },
      'not_ahead',
    ],
  ])('%s', (_what, changes, expected) => {
    const fitness = fitnessOf(candidate('p', high, changes), { ownHeight: OWN_HEIGHT, nowMs: NOW_MS });
    expect(fitness.isFit ? 'fit' : fitness.why).toBe(expected);
  });

  test('a claimed block whose height our chain tells counts with that height', () => {
    const hash = hashOf('next');
    const proven = candidate('proven', 0, { claimed: { height: 1_000_000, hash }, proven: { height: 101, hash } });
    expect(chosen([proven, candidate('other', 102)], {}, never)).toBe('other');
  });

  test('one that rests does not, to the moment', () => {
    const resting = candidate('p', 500, { misses: { count: 1, restsUntilMs: NOW_MS + 1 } });
    expect(chosen([resting])).toBe('none_usable');
    expect(chosen([{ ...resting, misses: { count: 1, restsUntilMs: NOW_MS } }])).toBe('p');
  });
});

const missed = (count: number) => ({ misses: { count, restsUntilMs: 0 } });

describe('who of those is chosen', () => {
  test.each<[string, SyncCandidate[], string]>([
    [
      'of whom fewest choices came to nothing, whatever their score and height',
      [
        candidate('liar', 1_000_000, missed(1)),
        candidate('honest', 101, { score: 90 }),
        candidate('x', 999, missed(2)),
      ],
      'honest',
    ],
    [
      'of all that missed, who did least often',
      [candidate('twice', 1_000_000, missed(2)), candidate('once', 101, { ...missed(1), score: 9 })],
      'once',
    ],
    ['the lowest score', [candidate('low', 101), candidate('high', 900, { score: 1 })], 'low'],
    ['of equal scores the highest', [candidate('a', 200), candidate('b', 300), candidate('c', 299)], 'b'],
  ])('%s', (_what, candidates, expected) => {
    expect(chosen(candidates, {}, () => 0.5)).toBe(expected);
    expect(chosen(candidates.toReversed(), {}, () => 0.99)).toBe(expected);
  });

  test('chance decides among equals, and reaches each of them', () => {
    const equals = [candidate('c', 200), candidate('a', 200), candidate('b', 200), candidate('lower', 199)];
    expect([0, 0.34, 0.67, 0.999, 1].map((number) => chosen(equals, {}, () => number))).toEqual([
      'a',
      'b',
      'c',
      'c',
      'c',
    ]);
  });

  test('the previous peer is passed over while another qualifies, even a worse one', () => {
    const previousPeer = 'best' as PeerId;
    const best = candidate('best', 900);
    expect(chosen([best, candidate('worse', 101, { score: 50 })], { previousPeer })).toBe('worse');
    expect(chosen([best, candidate('level', OWN_HEIGHT)], { previousPeer })).toBe('best');
    expect(chosen([best, candidate('liar', 1_000_000, missed(1))], { previousPeer })).toBe('best');
  });
});

describe('nobody, and why', () => {
  test.each<[string, SyncCandidate[], string]>([
    ['there is nobody', [], 'no_peers'],
    ['nobody told a best block', [candidate('p', 0, { claimed: undefined })], 'no_peers'],
    ['all are banned', [candidate('p', 900, { isBanned: true })], 'no_peers'],
    ['nobody is ahead', [candidate('p', 99), candidate('q', 100), candidate('r', 9, { isBanned: true })], 'level'],
    ['who is ahead is of no use', [candidate('p', 99), candidate('q', 200, { dataHubUrl: undefined })], 'none_usable'],
  ])('%s', (_what, candidates, why) => {
    expect(chooseSyncPeer(snapshot(candidates), never)).toEqual({ outcome: 'nobody', why });
  });
});

describe('a forced peer', () => {
  const forcedPeer = 'forced' as PeerId;
  const better = candidate('better', 900);
  test.each<[string, SyncCandidate[], string]>([
    ['is taken before better ones', [better, candidate('forced', 101, { score: 99 })], 'forced'],
    ['is not replaced when absent', [better], 'forced_absent'],
    ['is not replaced when banned', [better, candidate('forced', 200, { isBanned: true })], 'forced_unusable'],
    ['is not replaced without a DataHub', [better, candidate('forced', 200, { dataHubUrl: '' })], 'forced_unusable'],
    ['is not replaced when level', [better, candidate('forced', OWN_HEIGHT)], 'level'],
  ])('%s', (_what, candidates, expected) => {
    expect(chosen(candidates, { forcedPeer, previousPeer: forcedPeer }, never)).toBe(expected);
  });
});

describe('whatever peers there are', () => {
  const anyHash = fc.constantFrom(hashOf('x'), hashOf('y'), undefined);
  const anyHeight = fc.integer({ min: 95, max: 110 });
  const point = fc.option(fc.record({ height: anyHeight, hash: anyHash }), { nil: undefined });
  const anyCandidate = fc.record({
    peerId: fc.constant('' as PeerId),
    isConnected: fc.boolean(),
    isBanned: fc.boolean(),
    score: fc.integer({ min: 0, max: 3 }),
    claimed: point,
    proven: point,
    dataHubUrl: fc.constantFrom(undefined, '', 'http://hub'),
    dataHubHealth: fc.constantFrom('unknown', 'healthy', 'unhealthy'),
    lastMessageMs: fc.constant(undefined),
    misses: fc.record({
      count: fc.integer({ min: 0, max: 3 }),
      restsUntilMs: fc.constantFrom(0, NOW_MS, NOW_MS + 1),
    }),
  });
  const anyCandidates = fc
    .array(anyCandidate, { maxLength: 12 })
    .map((all): SyncCandidate[] => all.map((each, i) => ({ ...each, peerId: `p${i}` as PeerId })));
  const chance = fc.double({ min: 0, max: 1, noNaN: true });
  const previous = fc.constantFrom('p0' as PeerId, 'p1' as PeerId, undefined);

  test('never a peer that is gone, banned, unhealthy, behind, or without hash or URL', () => {
    fc.assert(
      fc.property(anyCandidates, chance, previous, (candidates, number, previousPeer) => {
        const choice = chooseSyncPeer(snapshot(candidates, { previousPeer }), () => number);
        if (choice.outcome === 'nobody') return;
        const peer = candidates.find(({ peerId }) => peerId === choice.peer.peerId);
        expect(peer).toMatchObject({ isConnected: true, isBanned: false, dataHubUrl: 'http://hub' });
        expect(peer?.dataHubHealth).not.toBe('unhealthy');
        expect(peer?.claimed?.hash).toBe(choice.peer.hash);
        expect(peer?.claimed?.height).toBeGreaterThan(OWN_HEIGHT);
        if (peer?.proven?.hash === peer?.claimed?.hash) expect(peer?.proven?.height).toBeGreaterThan(OWN_HEIGHT);
      }),
    );
  });

  test('nobody has fewer misses; of those with as few, nobody a lower score; of those, nobody is higher', () => {
    fc.assert(
      fc.property(anyCandidates, chance, (candidates, number) => {
        const choice = chooseSyncPeer(snapshot(candidates), () => number);
        const fit = candidates.flatMap((each) => {
          const fitness = fitnessOf(each, { ownHeight: OWN_HEIGHT, nowMs: NOW_MS });
          return fitness.isFit ? [fitness.peer] : [];
        });
        expect(choice.outcome).toBe(fit.length > 0 ? 'chosen' : 'nobody');
        if (choice.outcome === 'nobody') return;
        const { misses, score, height } = choice.peer;
        expect(misses).toBe(Math.min(...fit.map((each) => each.misses)));
        const best = fit.filter((each) => each.misses === misses);
        expect(score).toBe(Math.min(...best.map((each) => each.score)));
        expect(height).toBe(Math.max(...best.filter((each) => each.score === score).map((each) => each.height)));
      }),
    );
  });

  test('the same numbers give the same choice, in whatever order the peers stand', () => {
    const shuffled = anyCandidates.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
    );
    fc.assert(
      fc.property(shuffled, chance, previous, ([candidates, other], number, previousPeer) => {
        const choose = (all: SyncCandidate[]) => chooseSyncPeer(snapshot(all, { previousPeer }), () => number);
        expect(choose(other)).toEqual(choose(candidates));
      }),
    );
  });

  test('the previous peer only when nobody else with as few misses qualifies', () => {
    fc.assert(
      fc.property(anyCandidates, chance, (candidates, number) => {
        const previousPeer = 'p0' as PeerId;
        const choice = chooseSyncPeer(snapshot(candidates, { previousPeer }), () => number);
        if (choice.outcome === 'nobody' || choice.peer.peerId !== previousPeer) return;
        const others = candidates.filter(({ peerId }) => peerId !== previousPeer);
        const other = chooseSyncPeer(snapshot(others), () => number);
        if (other.outcome === 'chosen') expect(other.peer.misses).toBeGreaterThan(choice.peer.misses);
      }),
    );
  });
});
