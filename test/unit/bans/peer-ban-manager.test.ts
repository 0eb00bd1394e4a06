// Scores: points, decay, roles, threshold, store.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Hash } from '../../../src/domain/ids.ts';
import type { BanReason, OffenceFacts, ScoreRole } from '../../../src/domain/offence.ts';
import { banParts, DAY_MS, peer } from '../../fakes/ban-parts.ts';
import { managed } from '../../fakes/managed-scores.ts';

const MINUTE_MS = 60_000;
const HASH = 'ab'.repeat(32) as Hash;
const [bad, other] = [peer(1), peer(2)];

const FACTS: OffenceFacts = { role: 'author', rule: 'r', topic: 't', hash: HASH };
const as = (role: ScoreRole, rule = 'r'): OffenceFacts => ({ ...FACTS, role, rule });

describe('points', () => {
  test.each<[BanReason, number]>([
    ['invalid_subtree', 10],
    ['protocol_violation', 20],
    ['spam', 50],
    ['invalid_block', 10],
    ['catch_up_failure', 30],
    ['catch_up_malicious', 50],
    ['unknown', 1],
  ])('%s costs %i', async (reason, points) => {
    const { manager, metrics } = await managed();
    expect(manager.addScore(bad, reason, FACTS)).toMatchObject({
      score: points,
      reachedThreshold: false,
      isShadow: false,
    });
    expect(manager.getBanScore(bad)).toBe(points);
    expect(manager.getBanScore(other)).toBe(0);
    expect(manager.reasons(bad)).toMatchObject([{ subject: bad, reason, points, ...FACTS }]);
    expect(metrics.count('teranode_p2p_offences_total', { reason, role: 'author', rule: 'r', mode: 'enforce' })).toBe(
      1,
    );
  });

  test('roles have separate scores: an author’s offences do not count for the propagation source', async () => {
    const { manager, bans } = await managed({ threshold: 60 });
    manager.addScore(bad, 'spam', as('author'));
    manager.addScore(bad, 'protocol_violation', as('relay'));
    manager.addScore('hub.example:80', 'spam', as('datahub'));
    expect(manager.getBanScore(bad)).toBe(50);
    expect(manager.list()).toEqual([
      { subject: bad, role: 'author', score: 50 },
      { subject: bad, role: 'relay', score: 20 },
      { subject: 'hub.example:80', role: 'datahub', score: 50 },
    ]);
    expect(bans).toEqual([]);
  });

  test('a DataHub host is never banned as if it were a peer', async () => {
    const { manager, bans } = await managed();
    for (let i = 0; i < 10; i += 1)
      expect(manager.addScore('hub.example', 'spam', as('datahub')).reachedThreshold).toBe(false);
    expect(bans).toEqual([]);
  });
});

describe('decay', () => {
  test('a point decays with each whole minute, without another offence, down to zero', async () => {
    const { manager, clock } = await managed();
    manager.addScore(bad, 'invalid_block', FACTS);
    clock.advance(MINUTE_MS - 1);
    expect(manager.getBanScore(bad)).toBe(10);
    clock.advance(1);
    expect(manager.getBanScore(bad)).toBe(9);
    clock.advance(9 * MINUTE_MS - 1);
    expect(manager.getBanScore(bad)).toBe(1);
    clock.advance(1);
    expect(manager.getBanScore(bad)).toBe(0);
    expect(manager.list()).toEqual([]);
    clock.advance(1000 * MINUTE_MS);
    expect(manager.addScore(bad, 'unknown', FACTS).score).toBe(1);
  });

  test('an offence does not restart the minute', async () => {
    const { manager, clock } = await managed();
    manager.addScore(bad, 'invalid_block', FACTS);
    clock.advance(MINUTE_MS / 2);
    manager.addScore(bad, 'invalid_block', FACTS);
    clock.advance(MINUTE_MS / 2);
    expect(manager.getBanScore(bad)).toBe(19);
  });

  test('a clock that goes back neither adds nor removes points', async () => {
    const { manager, clock } = await managed();
    manager.addScore(bad, 'invalid_block', FACTS);
    clock.advance(-10 * MINUTE_MS);
    expect(manager.getBanScore(bad)).toBe(10);
    expect(manager.addScore(bad, 'invalid_block', FACTS).score).toBe(20);
    clock.advance(11 * MINUTE_MS);
    expect(manager.getBanScore(bad)).toBe(19);
  });

  test('equals a count minute by minute, in memory and in the store, whenever it is read', async () => {
    const reasons = fc.constantFrom<BanReason>('unknown', 'invalid_block', 'spam');
    const steps = fc.array(fc.record({ ms: fc.nat(20 * MINUTE_MS), reason: reasons, looks: fc.boolean() }), {
      minLength: 1,
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(steps, async (taken) => {
        const { manager, clock, store, settled } = await managed({ threshold: 1e9 });
        let hand = { score: 0, leftMs: 0 };
        for (const { ms, reason, looks } of taken) {
          clock.advance(ms);
          for (hand.leftMs += ms; hand.leftMs >= MINUTE_MS && hand.score > 0; hand.leftMs -= MINUTE_MS) hand.score -= 1;
          if (hand.score === 0) hand = { score: 0, leftMs: 0 };
          if (looks) expect(manager.getBanScore(bad)).toBe(hand.score);
          hand.score += { unknown: 1, invalid_block: 10, spam: 50 }[reason as 'spam'];
          expect(manager.addScore(bad, reason, FACTS).score).toBe(hand.score);
        }
        await settled();
        expect((await store.inner.loadScoresOf(bad)).scores).toMatchObject([{ score: hand.score }]);
        expect(manager.getBanScore(bad)).toBe(hand.score);
      }),
      { numRuns: 50 },
    );
  });
});

describe('the threshold', () => {
  test('bans once, when it is reached and not before, for the configured time, with the reason', async () => {
    const { manager, clock, bans, settled } = await managed();
    const outcomes = [1, 2, 3, 4].map(() => manager.addScore(bad, 'spam', FACTS).reachedThreshold);
    expect(outcomes).toEqual([false, true, false, false]);
    await settled();
    expect(bans).toHaveLength(1);
    expect(bans[0]).toMatchObject({
      peerId: bad,
      untilMs: clock.now() + DAY_MS,
      offence: { reason: 'spam', hash: HASH },
    });
    expect(bans[0]?.reason).toMatch(/100.*author.*spam/);
    expect(manager.getBanScore(bad)).toBe(200);
  });

  test('99 points are not 100', async () => {
    const { manager, bans } = await managed();
    for (let i = 0; i < 99; i += 1) manager.addScore(bad, 'unknown', FACTS);
    expect(bans).toEqual([]);
    manager.addScore(bad, 'unknown', as('relay'));
    expect(bans).toEqual([]);
    expect(manager.addScore(bad, 'unknown', FACTS).reachedThreshold).toBe(true);
  });

  test('applies to propagation sources too', async () => {
    const { manager, bans } = await managed({ threshold: 20 });
    manager.addScore(bad, 'protocol_violation', as('relay'));
    expect(bans[0]?.reason).toContain('relay');
  });

  test('a decision to ban is returned when nothing is being changed: whoever applies it may read, reset and score', async () => {
    const { manager, hooks, settled } = await managed({ threshold: 50 });
    const seen: unknown[] = [];
    hooks.onBan = ({ peerId }) => {
      seen.push(manager.getBanScore(peerId), manager.reasons(peerId).length, manager.isBanned(peerId));
      manager.addScore(other, 'unknown', FACTS);
      void manager.reset(peerId);
    };
    manager.addScore(bad, 'spam', FACTS);
    expect(seen).toEqual([50, 1, true]);
    expect(manager.getBanScore(bad)).toBe(0);
    await settled();
    expect(manager.getBanScore(bad)).toBe(0);
    expect(manager.getBanScore(other)).toBe(1);
  });

  test('whitelisted peers have scores and are never banned', async () => {
    const { manager, bans, settled } = await managed({ isWhitelisted: (peerId) => peerId === bad });
    for (let i = 0; i < 5; i += 1) manager.addScore(bad, 'spam', FACTS);
    await settled();
    expect(bans).toEqual([]);
    expect(manager.getBanScore(bad)).toBe(250);
  });

  test('after the ban has ended, the next offence above the threshold bans anew', async () => {
    const { manager, clock, bans } = await managed({ durationMs: MINUTE_MS });
    for (let i = 0; i < 3; i += 1) manager.addScore(bad, 'spam', FACTS);
    clock.advance(MINUTE_MS);
    manager.addScore(bad, 'unknown', FACTS);
    expect(bans).toHaveLength(2);
  });
});

describe('the store', () => {
  test('keeps scores, their minutes and their offences across restarts', async () => {
    const before = await managed();
    before.manager.addScore(bad, 'spam', FACTS);
    before.clock.advance(MINUTE_MS / 2);
    before.manager.addScore(bad, 'invalid_block', as('relay', 'other rule'));
    await before.settled();
    before.clock.advance(MINUTE_MS / 2);
    const after = await managed({}, banParts(before.store, before.clock));
    const sorted = ({ manager }: typeof after) => manager.list().toSorted((a, b) => a.role.localeCompare(b.role));
    expect(sorted(after)).toEqual(sorted(before));
    expect(after.manager.reasons(bad)).toEqual(before.manager.reasons(bad));
    expect(after.manager.getBanScore(bad)).toBe(49);
    expect(after.manager.addScore(bad, 'spam', FACTS).score).toBe(99);
  });

  test('gets scores later, which count and ban while it is unavailable', async () => {
    const { manager, store, bans, settled } = await managed();
    store.isDown = true;
    for (let i = 0; i < 3; i += 1) manager.addScore(bad, 'spam', FACTS);
    expect(bans).toHaveLength(1);
    store.isDown = false;
    await settled();
    expect((await store.inner.loadScoresOf(bad)).scores).toMatchObject([{ score: 150 }]);
    expect(manager.getBanScore(bad)).toBe(150);
  });

  test('loses scores with a reset, as memory does, also those of pending writes', async () => {
    const { manager, store, settled } = await managed();
    manager.addScore(bad, 'spam', FACTS);
    manager.addScore(other, 'spam', FACTS);
    await manager.reset(bad);
    await settled();
    expect(manager.getBanScore(bad)).toBe(0);
    expect(manager.reasons(bad)).toEqual([]);
    expect(await store.inner.loadScoresOf(bad)).toEqual({ scores: [], offences: [] });
    expect(manager.getBanScore(other)).toBe(50);
  });
});
