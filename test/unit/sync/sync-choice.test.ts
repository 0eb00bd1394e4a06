// Why a sync peer was chosen or passed over, as operators see it: by either rules, in words, and over time.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import { CRITERIA, MAX_CONSIDERED } from '../../../src/ports/sync-status.ts';
import { chooseByWork, type WorkCandidate, type WorkSnapshot } from '../../../src/sync/choose-by-work.ts';
import { type SyncCandidate, type SyncSnapshot, weighedChoice } from '../../../src/sync/choose-sync-peer.ts';
import type { Weighed } from '../../../src/sync/weighed.ts';
import { weighedByWork } from '../../../src/sync/weighed-by-work.ts';
import { MINUTE, pass, SECOND, setUp } from './harness.ts';
import { candidate, NOW_MS, OWN_HEIGHT, row, snapshot } from './rows.ts';
import { previously, validated, workCandidate, workSnapshot } from './work-rows.ts';

const id = (name: string) => name as PeerId;
const coolDown = (failed: number, leftMs: number) => ({ attempts: { failed, coolDownUntilMs: NOW_MS + leftMs } });
const failed = (times: number) => ({ attempts: { failed: times, coolDownUntilMs: 0 } });

/** Why each peer was passed over, by its name; the chosen one is undefined. */
function reasons(weighed: Weighed | undefined): Record<string, string | undefined> {
  return Object.fromEntries((weighed?.considered ?? []).map(({ peerId, why }) => [peerId, why]));
}

function byClaims(candidates: readonly SyncCandidate[], changes: Partial<SyncSnapshot> = {}): Weighed | undefined {
  return weighedChoice(snapshot(candidates, changes), () => 0).weighed;
}

function byWork(candidates: readonly WorkCandidate[], changes: Partial<WorkSnapshot> = {}): Weighed {
  const all = workSnapshot(candidates, changes);
  const choice = chooseByWork(all, () => 0);
  return weighedByWork(all, choice.outcome === 'chosen' ? choice.peer.peerId : undefined);
}

describe('a choice by claims', () => {
  test('names the rule that each unusable peer breaks', () => {
    const weighed = byClaims([
      candidate('best', 200),
      candidate('banned', 300, { isBanned: true }),
      candidate('hashless', 300, { claimed: { height: 300, hash: undefined } }),
      candidate('level', OWN_HEIGHT),
      candidate('tried', 300, coolDown(2, 90_000)),
      candidate('nowhere', 300, { dataHubUrl: undefined }),
      candidate('down', 300, { dataHubHealth: 'unhealthy' }),
    ]);
    expect(reasons(weighed)).toEqual({
      ...{ best: undefined, banned: 'banned', hashless: 'no_best_hash', level: 'not_ahead' },
      ...{ tried: 'cooling_down', nowhere: 'no_datahub', down: 'datahub_unhealthy' },
    });
    expect(weighed).toMatchObject({ known: 7, usable: 1, decidedBy: 'only_one' });
    expect(weighed?.considered.find(({ peerId }) => peerId === 'tried')).toMatchObject({
      ...{ coolDownMs: 90_000, failedAttempts: 2, height: 300, isChosen: false },
    });
  });

  test('names the criterion by which each usable peer lost, and the last one as what decided', () => {
    const all = [
      candidate('first', 200, { deliveryShare: 0.8 }),
      candidate('previous', 200, { deliveryShare: 0.8 }),
      candidate('failed', 900, failed(1)),
      candidate('scored', 900, { score: 1 }),
      candidate('lower', 199),
      candidate('far', 200, { deliveryShare: 0.1 }),
    ];
    const previousPeer = id('previous');
    const weighed = byClaims(all, { previousPeer });
    expect(reasons(weighed)).toEqual({
      ...{ first: undefined, previous: 'previous_sync_peer', failed: 'failed_attempts', scored: 'ban_score' },
      ...{ lower: 'height', far: 'first_deliveries' },
    });
    expect(weighed?.decidedBy).toBe('first_deliveries');
    expect(byClaims(all.slice(0, 5), { previousPeer })?.decidedBy).toBe('height');
    const equal = byClaims([candidate('a', 200), candidate('b', 200)]);
    expect(equal).toMatchObject({ decidedBy: 'random', usable: 2 });
    expect(byClaims(all, { forcedPeer: id('lower') })).toMatchObject({ decidedBy: 'forced' });
  });

  test('lists the chosen peer and those nearest to it, however many there are', () => {
    const level = Array.from({ length: 500 }, (_each, i) => candidate(`level${i}`, OWN_HEIGHT));
    const weighed = byClaims([
      ...level,
      candidate('lower', 150),
      candidate('tried', 300, coolDown(1, 1)),
      candidate('best', 200),
    ]);
    expect(weighed?.considered).toHaveLength(MAX_CONSIDERED);
    expect(weighed?.considered.slice(0, 3).map(({ peerId }) => peerId)).toEqual(['best', 'lower', 'tried']);
    expect(weighed?.passedOver).toEqual([
      { why: 'height', peers: 1 },
      { why: 'cooling_down', peers: 1 },
      { why: 'not_ahead', peers: 500 },
    ]);
    expect(weighed?.known).toBe(503);
  });
});

describe('a choice by validated work', () => {
  test('passes over peers whose height is not proven, pruned ones, and those with less work', () => {
    const weighed = byWork([
      workCandidate('most', 200, validated('most', 3000n, 200)),
      workCandidate('less', 200, validated('less', 2000n, 200)),
      workCandidate('pruned', 200, { storage: 'pruned', ...validated('pruned', 3000n, 200) }),
      workCandidate('claims', 900),
      workCandidate('tried', 900, { triedMs: NOW_MS - 20_000 }),
    ]);
    expect(reasons(weighed)).toEqual({
      ...{ most: undefined, less: 'validated_work', pruned: 'storage', claims: 'proven_height', tried: 'cooling_down' },
    });
    expect(weighed.decidedBy).toBe('validated_work');
    expect(weighed.considered.find(({ peerId }) => peerId === 'tried')?.coolDownMs).toBe(40_000);
  });

  test('says by what equally proven peers differ', () => {
    const rated = (name: string, reputation: number, avgResponseMs = 0) =>
      validated(name, 3000n, 200, { reputation, avgResponseMs });
    expect(
      reasons(
        byWork([
          workCandidate('good', 200, { deliveryShare: 0.5, ...rated('good', 80, 100) }),
          workCandidate('poor', 200, rated('poor', 60, 100)),
          workCandidate('slow', 200, rated('slow', 80, 900)),
          workCandidate('scored', 200, { score: 20, ...rated('scored', 80, 100) }),
          workCandidate('far', 200, rated('far', 80, 100)),
        ]),
      ),
    ).toEqual({
      ...{ good: undefined, poor: 'reputation', slow: 'response_time', scored: 'ban_score', far: 'first_deliveries' },
    });
    const kept = byWork(
      ['a', 'b'].map((name) => workCandidate(name, 200, rated(name, 80, 100))),
      previously('b'),
    );
    expect([reasons(kept), kept.decidedBy]).toEqual([{ b: undefined, a: 'kept' }, 'kept']);
  });

  test('says why nobody was chosen although peers are usable', () => {
    expect(reasons(byWork([workCandidate('a', 200)], { probesLeft: 0 }))).toEqual({ a: 'probe_limit' });
    const cooling = workCandidate('proven', 200, { triedMs: NOW_MS - 1, ...validated('proven', 3000n, 200) });
    expect(reasons(byWork([cooling, workCandidate('a', 200)]))).toEqual({ a: 'proven_height', proven: 'cooling_down' });
    const unchecked = workCandidate('a', 200, { dataHubHealth: 'unknown' });
    expect(reasons(byWork([unchecked]))).toEqual({ a: 'datahub_checked' });
    expect(reasons(byWork([unchecked], { awaitsChecks: false }))).toEqual({ a: 'datahub_checked' });
    const pruned = workCandidate('a', 200, { storage: 'pruned' });
    expect(reasons(byWork([pruned], { allowsPruned: false }))).toEqual({ a: 'storage' });
    const others = [workCandidate('a', 200), workCandidate('b', 200)];
    expect(reasons(byWork(others, previously('a', true)))).toEqual({ b: undefined, a: 'previous_attempt_failed' });
  });

  test('explains each draw of random candidates by a criterion, and names the same winner', () => {
    let seed = 7;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const pick = <T>(...of: readonly T[]) => of[Math.floor(random() * of.length)] as T;
    for (let round = 0; round < 500; round += 1) {
      const candidates = Array.from({ length: 6 }, (_each, i) =>
        workCandidate(`p${i}`, pick(90, 150, 200), {
          ...(random() < 0.5 ? validated(`p${i}`, pick(500n, 2000n, 3000n), 180) : {}),
          ...{ storage: pick('full', 'pruned', undefined), dataHubHealth: pick('healthy', 'healthy', 'unknown') },
          ...{ failedAttempts: pick(0, 0, 1), isConnected: random() < 0.7, deliveryShare: pick(0, 0.3) },
          triedMs: random() < 0.2 ? NOW_MS - 1 : undefined,
        }),
      );
      const all = workSnapshot(candidates, { probesLeft: pick(0, 3), awaitsChecks: random() < 0.5 });
      const choice = chooseByWork(all, random);
      const winner = choice.outcome === 'chosen' ? choice.peer.peerId : undefined;
      const weighed = weighedByWork(all, winner);
      expect(weighed.considered.filter(({ isChosen }) => isChosen).map(({ peerId }) => peerId)).toEqual(
        winner === undefined ? [] : [winner],
      );
      const lost = weighed.considered.filter(({ why }) => CRITERIA.some((each) => each === why));
      expect(lost).toHaveLength(weighed.usable - (winner === undefined ? 0 : 1));
      if (winner !== undefined && lost.length === 0) expect(weighed.decidedBy).toBe('only_one');
    }
  });
});

describe('the sync manager', () => {
  beforeEach(() => void vi.useFakeTimers({ now: 1_700_000_000_000 }));
  afterEach(() => void vi.useRealTimers());

  test('shows the choice, when it changed, and how the last sync ended', async () => {
    const { manager, started, set, blockchain } = setUp([row('a', OWN_HEIGHT)]);
    expect(manager.choice()).toBeUndefined();
    await started();
    const startedMs = Date.now();
    expect(manager.choice()).toMatchObject({
      ...{ outcome: 'level', peerId: undefined, known: 1, usable: 0, sinceMs: startedMs },
      explanation: 'No sync peer is needed: no known peer is ahead of this node.',
    });
    await pass(15 * SECOND);
    expect(manager.choice()).toMatchObject({ sinceMs: startedMs, comparedAtMs: startedMs + 15 * SECOND });
    set(row('b', 180), row('c', 190), row('d', 190, { isBanned: true }));
    await pass(15 * SECOND);
    expect(manager.choice()).toMatchObject({
      ...{ outcome: 'chosen', peerId: 'c', decidedBy: 'height', sinceMs: startedMs + 30 * SECOND, known: 4, usable: 2 },
      explanation:
        'Of 2 usable peers, it was chosen because it claims the highest block (4 known). Not usable: 1 × banned.',
    });
    expect(manager.lastEnd()).toBeUndefined();
    blockchain.peerFailure('c');
    await pass(SECOND);
    expect(manager.lastEnd()).toMatchObject({ peerId: 'c', reason: 'failed', failedAttempts: 1 });
    expect(manager.choice()).toMatchObject({ peerId: 'b', decidedBy: 'only_one' });
    const tried = manager.choice()?.considered.find(({ peerId }) => peerId === 'c');
    expect(tried).toMatchObject({ why: 'cooling_down', explanation: 'cooling down after a failed attempt' });
    expect(tried?.coolDownUntilMs).toBeGreaterThan(Date.now() + 9 * MINUTE);
    blockchain.move('IDLE');
    await pass(SECOND);
    expect(manager.choice()).toMatchObject({ outcome: 'idle', peerId: undefined, considered: [] });
    manager.stop();
  });

  test('says what it waits for, and why no peer that is ahead can be used', async () => {
    const waiting = setUp([row('a', 200)], { minPeers: 2 });
    await waiting.started();
    expect(waiting.manager.choice()).toMatchObject({ outcome: 'awaiting_peers', peerId: undefined });
    waiting.manager.stop();
    const { manager, started } = setUp([row('a', 200, { dataHubUrl: undefined }), row('b', 100)]);
    await started();
    expect(manager.choice()?.explanation).toBe(
      'Peers are ahead of this node, but none of them can be used now. Not usable: 1 × no usable DataHub.',
    );
    manager.stop();
  });
});
