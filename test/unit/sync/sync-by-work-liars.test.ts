// Peers that claim great heights and deliver nothing, with the rules of validated work: few of them are tried in a
// back-off window, none twice before all others, and honest peers win.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { WorkPeerRow } from '../../../src/sync/choose-by-work.ts';
import { historyWith } from '../../fakes/peer-histories.ts';
import { MINUTE, pass, SECOND } from './harness.ts';
import { ahead, setUpByWork } from './work-harness.ts';
import { workRow } from './work-rows.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

const MILLION = 1_000_000;
const liars = (count: number, changes: Partial<WorkPeerRow> = {}) =>
  Array.from({ length: count }, (_, i) => workRow(`liar${i}`, MILLION, changes));

/** A pseudo-random sequence of its own, so that a test can be repeated. */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

test.each([1, 3])('at most %d liars are tried in a back-off window, however many there are', async (maxProbes) => {
  const { started, published, histories } = setUpByWork(liars(30), { maxProbes, random: sequence(1) });
  const triedAtEnd = [0];
  histories.onCleared = () => triedAtEnd.push(published.length);
  await started();
  await pass(2 * 60 * MINUTE);
  const perWindow = triedAtEnd.slice(1).map((tried, i) => tried - (triedAtEnd[i] ?? 0));
  expect(perWindow.length).toBeGreaterThan(5);
  expect(new Set(perWindow)).toEqual(new Set([maxProbes]));
});

test('another liar is tried without a wait when our chain has grown', async () => {
  const { started, published, histories, grows } = setUpByWork(liars(3), { maxProbes: 1 });
  await started();
  grows(1);
  await pass(5.5 * MINUTE);
  expect([published.length, histories.cleared]).toEqual([2, 0]);
});

describe('an honest peer that was never heard before', () => {
  test.each<[string, Partial<WorkPeerRow>, Partial<WorkPeerRow>]>([
    ['a full node', {}, {}],
    ['a pruned node', {}, { storage: 'pruned' }],
  ])('(%s) is found before a liar is tried twice', async (_what, ofLiars, ofHonest) => {
    const honest = workRow('honest', 200, ofHonest);
    const { started, who, published } = setUpByWork([...liars(8, ofLiars), honest], { random: sequence(7) });
    await started();
    for (let i = 0; i < 8 * 6 * 2 && who() !== 'honest'; i += 1) await pass(30 * SECOND);
    expect(who()).toBe('honest');
    const tried = published.map(({ peerId }) => peerId as string);
    expect(new Set(tried).size).toBe(tried.length);
  });

  test('is tried first when it is connected and the liars are not', async () => {
    const { started, who } = setUpByWork([...liars(500, { isConnected: false }), workRow('honest', 200)]);
    await started();
    expect(who()).toBe('honest');
  });
});

describe('an honest peer that has delivered', () => {
  test('validated work is chosen before any liar', async () => {
    const { started, who } = setUpByWork([...liars(100), ahead('honest', 200, 1)], { random: sequence(3) });
    await started();
    expect(who()).toBe('honest');
  });

  test('a validated block lately is chosen before any liar, also when no probe is left', async () => {
    const { started, who, set } = setUpByWork(liars(100), { random: sequence(3) });
    await started();
    for (let i = 0; i < 31; i += 1) await pass(30 * SECOND);
    const history = historyWith('honest', { blocksReceived: 1, lastBlockMs: Date.now() });
    set(workRow('honest', 200, { history }));
    for (let i = 0; i < 12 && who() !== 'honest'; i += 1) await pass(30 * SECOND);
    expect(who()).toBe('honest');
  });

  test('takes over from a liar after half of the time without progress', async () => {
    const { started, who, set } = setUpByWork(liars(1));
    await started();
    expect(who()).toBe('liar0');
    set(ahead('honest', 200, 1));
    await pass(2.5 * MINUTE + 31 * SECOND);
    expect(who()).toBe('honest');
  });
});

test('a liar that was reported is not tried again while its reputation is low', async () => {
  const { started, blockchain, set, published, who } = setUpByWork([workRow('liar', MILLION)]);
  await started();
  blockchain.move('CATCHINGBLOCKS');
  await pass(SECOND);
  blockchain.peerFailure('liar');
  set(workRow('liar', MILLION, { history: historyWith('liar', { reputation: 5, failures: 1 }) }));
  blockchain.move('RUNNING');
  await pass(30 * MINUTE);
  expect([who(), published.length]).toEqual([undefined, 1]);
});

test('peers that all keep claiming cannot make us ask more often than the trigger rate allows', async () => {
  const { started, set, leave, published } = setUpByWork([], { maxProbes: 1000 });
  await started();
  for (let i = 0; i < 600; i += 1) {
    set(workRow(`p${i}`, 200 + i));
    await pass(100);
    leave(`p${i}`);
  }
  expect(published.length).toBeLessThanOrEqual(5 + 6);
});
