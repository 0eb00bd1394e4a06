import { describe, expect, test } from 'vitest';
import type { Hash, PeerId } from '../../../src/domain/ids.ts';
import {
  FirstDeliveries,
  HALF_LIFE_MS,
  MAX_DELAY_MS,
  MAX_NEIGHBOURS,
  MIN_EVIDENCE,
  MIN_SHARE,
} from '../../../src/peers/first-deliveries.ts';
import { Propagation } from '../../../src/peers/propagation.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

const AUTHOR = 'author' as PeerId;
const [NEAR, FAR, EVIL] = ['near', 'far', 'evil'] as [PeerId, PeerId, PeerId] & string[];

const announcement = (receivedFrom: PeerId, author: PeerId) =>
  ({ type: 'attribute_subtree', hash: 'ab'.repeat(32) as Hash, author, receivedFrom }) as const;

function setUp(penalized: readonly PeerId[] = []) {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const propagation = new Propagation({ clock, metrics });
  const league = new FirstDeliveries({ clock, metrics, propagation, isPenalized: (id) => penalized.includes(id) });
  const deliver = (neighbour: PeerId, times: number, author = AUTHOR) => {
    for (let i = 0; i < times; i += 1) league.deliveredFirst(announcement(neighbour, author));
  };
  const deliverLater = (neighbour: PeerId, delayMs: number, isByAuthor = false) =>
    league.deliveredLater(neighbour, delayMs, isByAuthor, 1, 2);
  return { propagation, deliverLater, league, clock, metrics, deliver };
}

/** Numbers in [0, 1) that are the same in each run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('the league of first deliveries', () => {
  test('has each neighbour’s share of first deliveries and the mean delay of its later ones', () => {
    const { deliverLater, league, deliver, propagation } = setUp();
    deliver(NEAR, 30);
    deliver(FAR, 10);
    for (const delayMs of [10, 20, 60]) deliverLater(FAR, delayMs);
    expect(league.table()).toEqual([
      { peerId: NEAR, firstDeliveries: 30, laterDeliveries: 0, firstDeliveryShare: 0.75, meanDelayMs: undefined },
      { peerId: FAR, firstDeliveries: 10, laterDeliveries: 3, firstDeliveryShare: 0.25, meanDelayMs: 30 },
    ]);
    deliver(AUTHOR, 5);
    deliverLater(FAR, 500, true);
    expect([league.standingOf(AUTHOR), league.standingOf(FAR)?.laterDeliveries]).toEqual([undefined, 3]);
    expect(propagation.view().copies).toBe(4);
    expect(league.standingOf(FAR)).toMatchObject({ firstDeliveryShare: 0.25, meanDelayMs: 30 });
    expect(league.standingOf(EVIL)).toBeUndefined();
  });

  test('ranks neighbours as they really deliver, over random traffic', () => {
    const { league } = setUp();
    const random = seeded(7);
    for (let i = 0; i < 20_000; i += 1) league.deliveredFirst(announcement(random() < 0.7 ? NEAR : FAR, AUTHOR));
    expect(league.table().map(({ peerId }) => peerId)).toEqual([NEAR, FAR]);
    expect(league.standingOf(NEAR)?.firstDeliveryShare).toBeCloseTo(0.7, 1);
  });

  test('deliveries of a day and a half ago prefer nobody, although their sums are scaled down just now', () => {
    const { league, clock, deliver } = setUp();
    deliver(NEAR, 5 * MIN_EVIDENCE);
    clock.advance(32 * HALF_LIFE_MS);
    expect(league.preferenceOf(NEAR)).toBe(0);
  });

  test('a delivery counts half after an hour, and a newcomer overtakes an old champion', () => {
    const { league, clock, deliver } = setUp();
    deliver(FAR, 100);
    clock.advance(HALF_LIFE_MS);
    expect(league.standingOf(FAR)?.firstDeliveries).toBeCloseTo(50, 6);
    clock.advance(2 * HALF_LIFE_MS);
    deliver(NEAR, 20);
    expect(league.table().map(({ peerId }) => peerId)).toEqual([NEAR, FAR]);
  });

  test('keeps its sums exact over weeks', () => {
    const { deliverLater, league, clock, deliver } = setUp();
    for (let hour = 0; hour < 24 * 30; hour += 1) {
      deliver(NEAR, 3);
      deliver(FAR, 1);
      deliverLater(FAR, 40);
      clock.advance(HALF_LIFE_MS);
    }
    expect(league.standingOf(NEAR)?.firstDeliveryShare).toBeCloseTo(0.75, 6);
    expect(league.standingOf(NEAR)?.firstDeliveries).toBeCloseTo(3, 3);
    expect(league.standingOf(FAR)?.meanDelayMs).toBeCloseTo(40, 6);
  });

  test('a delay of more than ten seconds, or of less than none, counts as the bound', () => {
    const { deliverLater, league } = setUp();
    deliverLater(FAR, 1e9);
    deliverLater(NEAR, -5);
    expect(league.standingOf(FAR)?.meanDelayMs).toBe(MAX_DELAY_MS);
    expect(league.standingOf(NEAR)?.meanDelayMs).toBe(0);
  });

  test('remembers a bounded number of neighbours and forgets the one with the fewest deliveries', () => {
    const { league, metrics, deliver } = setUp();
    deliver(NEAR, 50);
    for (let i = 0; i < MAX_NEIGHBOURS + 10; i += 1) deliver(`peer${i}` as PeerId, 2);
    expect(league.table()).toHaveLength(MAX_NEIGHBOURS);
    expect(league.table()[0]?.peerId).toBe(NEAR);
    expect(metrics.count('teranode_p2p_delivering_neighbours_evicted_total')).toBe(11);
    const shares = league.table().reduce((sum, { firstDeliveryShare }) => sum + firstDeliveryShare, 0);
    expect(shares).toBeCloseTo(1, 6);
  });
});

describe('whom the league prefers', () => {
  test('nobody before there is evidence, then by share, and never more than 1', () => {
    const { league, deliver } = setUp();
    deliver(NEAR, MIN_EVIDENCE - 1);
    expect(league.preferenceOf(NEAR)).toBe(0);
    deliver(NEAR, 1000);
    expect(league.preferenceOf(NEAR)).toBe(1);
    expect(league.preferenceOf(FAR)).toBe(0);
  });

  test('not a neighbour with a smaller share than one in twenty', () => {
    const { league, deliver } = setUp();
    deliver(NEAR, 96);
    deliver(FAR, 4);
    expect(league.standingOf(FAR)?.firstDeliveryShare).toBeLessThan(MIN_SHARE);
    expect(league.preferenceOf(FAR)).toBe(0);
  });

  test('not a neighbour that floods announcements of its own', () => {
    const { league, deliver } = setUp();
    deliver(EVIL, 10_000, EVIL);
    deliver(NEAR, MIN_EVIDENCE);
    expect(league.standingOf(EVIL)).toBeUndefined();
    expect([league.preferenceOf(EVIL), league.preferenceOf(NEAR)]).toEqual([0, 1]);
  });

  test('not a neighbour whose first deliveries proved invalid', () => {
    const { league, deliver } = setUp();
    deliver(EVIL, 50);
    deliver(NEAR, MIN_EVIDENCE);
    for (let i = 0; i < 60; i += 1) league.takeBack(EVIL);
    expect(league.standingOf(EVIL)?.firstDeliveryShare).toBe(0);
    expect([league.preferenceOf(EVIL), league.preferenceOf(NEAR)]).toEqual([0, 1]);
  });

  test('not a neighbour with a ban score, however well it delivers', () => {
    const { league, deliver } = setUp([EVIL]);
    deliver(EVIL, 1000);
    expect(league.standingOf(EVIL)?.firstDeliveryShare).toBe(1);
    expect(league.preferenceOf(EVIL)).toBe(0);
  });
});
