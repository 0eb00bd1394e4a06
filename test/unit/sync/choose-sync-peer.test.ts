// The choice of the sync peer: a table for each rule, and properties that hold for any set of peers.
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
  throw new Error('the choice must not be random');
};

function chosen(candidates: readonly SyncCandidate[], changes: Partial<SyncSnapshot> = {}, random = () => 0) {
  const choice = chooseSyncPeer(snapshot(candidates, changes), random);
  return choice.outcome === 'chosen' ? choice.peer.peerId : choice.why;
}

describe('fitness of a peer to sync from', () => {
  const high = 500;
  const at = { height: high, hash: hashOf('claim') };
  test.each<[string, Partial<SyncCandidate>, string]>([
    ['a peer ahead without offences', {}, 'fit'],
    ['a peer whose DataHub was not checked yet', { dataHubHealth: 'unknown' }, 'fit'],
    ['a disconnected peer', { isConnected: false }, 'not_connected'],
    ['a banned peer', { isBanned: true }, 'banned'],
    ['a peer without a claim', { claimed: undefined }, 'no_best_hash'],
    ['a peer without a best hash', { claimed: { height: high, hash: undefined } }, 'no_best_hash'],
    ['a peer at our height', { claimed: { height: OWN_HEIGHT, hash: hashOf('x') } }, 'not_ahead'],
    ['a peer below our height', { claimed: { height: 3, hash: hashOf('x') } }, 'not_ahead'],
    ['a peer without a DataHub', { dataHubUrl: undefined }, 'no_datahub'],
    ['a peer with an empty DataHub URL', { dataHubUrl: '' }, 'no_datahub'],
    ['a peer whose DataHub does not answer', { dataHubHealth: 'unhealthy' }, 'datahub_unhealthy'],
    ['a claim that our chain disproves', { claimed: at, proven: { height: 42, hash: at.hash } }, 'not_ahead'],
    ['a claimed block that builds on our tip', { claimed: at, proven: { height: 101, hash: at.hash } }, 'fit'],
    ['a claim far ahead of an old proven block', { claimed: at, proven: { height: 42, hash: hashOf('old') } }, 'fit'],
    ['a claim far ahead with nothing proven', { claimed: at, proven: undefined }, 'fit'],
    [
      'a claim below our height, whatever is proven',
      { claimed: { height: 50, hash: at.hash }, proven: { height: 101, hash: at.hash } },
      'not_ahead',
    ],
  ])('%s', (_what, changes, expected) => {
    const fitness = fitnessOf(candidate('p', high, changes), { ownHeight: OWN_HEIGHT, nowMs: NOW_MS });
    expect(fitness.isFit ? 'fit' : fitness.why).toBe(expected);
  });

  test('a claimed block that our chain has counts with its true height', () => {
    const hash = hashOf('next');
    const proven = candidate('proven', 0, { claimed: { height: 1_000_000, hash }, proven: { height: 101, hash } });
    expect(chosen([proven, candidate('other', 102)], {}, never)).toBe('other');
  });

  test('a peer does not qualify until its cool-down has ended, to the millisecond', () => {
    const coolingDown = candidate('p', 500, { attempts: { failed: 1, coolDownUntilMs: NOW_MS + 1 } });
    expect(chosen([coolingDown])).toBe('none_usable');
    expect(chosen([{ ...coolingDown, attempts: { failed: 1, coolDownUntilMs: NOW_MS } }])).toBe('p');
  });
});

const attempted = (failed: number) => ({ attempts: { failed, coolDownUntilMs: 0 } });

describe('the chosen sync peer', () => {
  test.each<[string, SyncCandidate[], string]>([
    [
      'has the fewest failed attempts, whatever its score and height',
      [
        candidate('liar', 1_000_000, attempted(1)),
        candidate('honest', 101, { score: 90 }),
        candidate('x', 999, attempted(2)),
      ],
      'honest',
    ],
    [
      'has the fewest failed attempts when all peers have some',
      [candidate('twice', 1_000_000, attempted(2)), candidate('once', 101, { ...attempted(1), score: 9 })],
      'once',
    ],
    ['has the lowest score', [candidate('low', 101), candidate('high', 900, { score: 1 })], 'low'],
    [
      'has the greatest height of those with equal scores',
      [candidate('a', 200), candidate('b', 300), candidate('c', 299)],
      'b',
    ],
  ])('%s', (_what, candidates, expected) => {
    expect(chosen(candidates, {}, () => 0.5)).toBe(expected);
    expect(chosen(candidates.toReversed(), {}, () => 0.99)).toBe(expected);
  });

  test('is chosen at random among equals, and each of them can be chosen', () => {
    const equals = [candidate('c', 200), candidate('a', 200), candidate('b', 200), candidate('lower', 199)];
    expect([0, 0.34, 0.67, 0.999, 1].map((number) => chosen(equals, {}, () => number))).toEqual([
      'a',
      'b',
      'c',
      'c',
      'c',
    ]);
  });

  test('is not the previous one while another peer qualifies, even a worse one', () => {
    const previousPeer = 'best' as PeerId;
    const best = candidate('best', 900);
    expect(chosen([best, candidate('worse', 101, { score: 50 })], { previousPeer })).toBe('worse');
    expect(chosen([best, candidate('level', OWN_HEIGHT)], { previousPeer })).toBe('best');
    expect(chosen([best, candidate('liar', 1_000_000, attempted(1))], { previousPeer })).toBe('best');
  });
});

describe('no sync peer is chosen', () => {
  test.each<[string, SyncCandidate[], string]>([
    ['without candidates', [], 'no_peers'],
    ['when no peer has claimed a best block', [candidate('p', 0, { claimed: undefined })], 'no_peers'],
    ['when all peers are banned', [candidate('p', 900, { isBanned: true })], 'no_peers'],
    [
      'when no peer is ahead',
      [candidate('p', 99), candidate('q', 100), candidate('r', 9, { isBanned: true })],
      'level',
    ],
    [
      'when no peer that is ahead is usable',
      [candidate('p', 99), candidate('q', 200, { dataHubUrl: undefined })],
      'none_usable',
    ],
  ])('%s', (_what, candidates, why) => {
    expect(chooseSyncPeer(snapshot(candidates), never)).toEqual({ outcome: 'nobody', why });
  });
});

describe('a forced sync peer', () => {
  const forcedPeer = 'forced' as PeerId;
  const better = candidate('better', 900);
  test.each<[string, SyncCandidate[], string]>([
    ['is chosen before better peers', [better, candidate('forced', 101, { score: 99 })], 'forced'],
    ['is not replaced when absent', [better], 'forced_absent'],
    ['is not replaced when banned', [better, candidate('forced', 200, { isBanned: true })], 'forced_unusable'],
    ['is not replaced without a DataHub', [better, candidate('forced', 200, { dataHubUrl: '' })], 'forced_unusable'],
    ['is not replaced when level', [better, candidate('forced', OWN_HEIGHT)], 'level'],
  ])('%s', (_what, candidates, expected) => {
    expect(chosen(candidates, { forcedPeer, previousPeer: forcedPeer }, never)).toBe(expected);
  });
});

describe('for any set of peers', () => {
  const anyHash = fc.constantFrom(hashOf('x'), hashOf('y'), undefined);
  const anyHeight = fc.integer({ min: 95, max: 110 });
  const point = fc.option(fc.record({ height: anyHeight, hash: anyHash }), { nil: undefined });
  const anyCandidate = fc.record({
    peerId: fc.constant('' as PeerId),
    isConnected: fc.boolean(),
    isBanned: fc.boolean(),
    score: fc.integer({ min: 0, max: 3 }),
    deliveryShare: fc.constantFrom(0, 0.05, 0.4, 1),
    claimed: point,
    proven: point,
    dataHubUrl: fc.constantFrom(undefined, '', 'http://hub'),
    dataHubHealth: fc.constantFrom('unknown', 'healthy', 'unhealthy'),
    lastMessageMs: fc.constant(undefined),
    attempts: fc.record({
      failed: fc.integer({ min: 0, max: 3 }),
      coolDownUntilMs: fc.constantFrom(0, NOW_MS, NOW_MS + 1),
    }),
  });
  const anyCandidates = fc
    .array(anyCandidate, { maxLength: 12 })
    .map((all): SyncCandidate[] => all.map((each, i) => ({ ...each, peerId: `p${i}` as PeerId })));
  const chance = fc.double({ min: 0, max: 1, noNaN: true });
  const previous = fc.constantFrom('p0' as PeerId, 'p1' as PeerId, undefined);

  test('the choice is never a peer that is disconnected, banned, unhealthy, behind, or without hash or URL', () => {
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

  test('the choice has the fewest failed attempts, then the lowest score, then the greatest height', () => {
    fc.assert(
      fc.property(anyCandidates, chance, (candidates, number) => {
        const choice = chooseSyncPeer(snapshot(candidates), () => number);
        const fit = candidates.flatMap((each) => {
          const fitness = fitnessOf(each, { ownHeight: OWN_HEIGHT, nowMs: NOW_MS });
          return fitness.isFit ? [fitness.peer] : [];
        });
        expect(choice.outcome).toBe(fit.length > 0 ? 'chosen' : 'nobody');
        if (choice.outcome === 'nobody') return;
        const { failedAttempts, score, height } = choice.peer;
        expect(failedAttempts).toBe(Math.min(...fit.map((each) => each.failedAttempts)));
        const best = fit.filter((each) => each.failedAttempts === failedAttempts);
        expect(score).toBe(Math.min(...best.map((each) => each.score)));
        expect(height).toBe(Math.max(...best.filter((each) => each.score === score).map((each) => each.height)));
      }),
    );
  });

  test('the same random numbers give the same choice, whatever the order of the peers', () => {
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

  test('the previous peer is chosen only when no other peer with as few failed attempts qualifies', () => {
    fc.assert(
      fc.property(anyCandidates, chance, (candidates, number) => {
        const previousPeer = 'p0' as PeerId;
        const choice = chooseSyncPeer(snapshot(candidates, { previousPeer }), () => number);
        if (choice.outcome === 'nobody' || choice.peer.peerId !== previousPeer) return;
        const others = candidates.filter(({ peerId }) => peerId !== previousPeer);
        const other = chooseSyncPeer(snapshot(others), () => number);
        if (other.outcome === 'chosen') expect(other.peer.failedAttempts).toBeGreaterThan(choice.peer.failedAttempts);
      }),
    );
  });
});

describe('first deliveries decide among equal peers only', () => {
  const near = (name: string, deliveryShare: number, changes: Partial<SyncCandidate> = {}) =>
    candidate(name, 500, { deliveryShare, ...changes });

  test('of equal peers the one that delivers first is chosen, whatever the random number', () => {
    const peers = [near('a', 0), near('b', 0.6), near('c', 0.2)];
    for (const number of [0, 0.5, 0.99]) expect(chosen(peers, {}, () => number)).toBe('b');
  });

  test('among several that deliver about as much the choice stays random', () => {
    const peers = [near('a', 0.3), near('b', 0.5), near('c', 0.1)];
    expect([chosen(peers, {}, () => 0), chosen(peers, {}, () => 0.99)]).toEqual(['a', 'b']);
  });

  test('a lower score, a greater height and fewer failed attempts come before first deliveries', () => {
    expect(chosen([near('a', 1, { score: 1 }), near('b', 0)], {}, never)).toBe('b');
    expect(chosen([near('a', 1), candidate('b', 501)], {}, never)).toBe('b');
    const failed = { attempts: { failed: 1, coolDownUntilMs: 0 } };
    expect(chosen([near('a', 1, failed), near('b', 0)], {}, never)).toBe('b');
  });

  test('the choice shows the share that decided it', () => {
    expect(chooseSyncPeer(snapshot([near('a', 0.6)]), () => 0)).toMatchObject({ peer: { deliveryShare: 0.6 } });
  });
});
