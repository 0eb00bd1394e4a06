// Failed attempts to sync: dishonest peers, whatever they do, are not tried again before all other peers were; honest
// peers are not penalized while our own block validation is down.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { SyncPeerRow } from '../../../src/sync/choose-sync-peer.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { MINUTE, pass, SECOND, setUp } from './harness.ts';
import { OWN_HEIGHT, row } from './rows.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

const HOUR = 60 * MINUTE;

describe('peers that lie about their height', () => {
  const liar = peer(1);
  /** Block validation may report the failure in both ways. */
  const fail = async (chain: ReturnType<typeof setUp>['blockchain']) => {
    chain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    chain.move('RUNNING');
    await pass(SECOND);
    chain.peerFailure(liar);
  };

  test('are not chosen twice, whichever peers fail afterwards, also not after they reconnect', async () => {
    const { started, blockchain, who, penalized, leave, set } = setUp([row(liar, 1_000_000), row('a', 300)]);
    await started();
    await fail(blockchain);
    expect(who()).toBe('a');
    leave(liar);
    set(row(liar, 2_000_000));
    leave('a');
    await pass(MINUTE);
    expect(who()).toBeUndefined();
    expect(penalized).toEqual([liar]);
  });

  test('have twice the cool-down each time when no other peer is ahead', async () => {
    const { started, blockchain, who, penalized } = setUp([row(liar, 1_000_000)]);
    await started();
    await fail(blockchain);
    for (const coolDownMs of [
      10 * MINUTE,
      20 * MINUTE,
      40 * MINUTE,
      80 * MINUTE,
      160 * MINUTE,
      320 * MINUTE,
      6 * HOUR,
    ]) {
      await pass(coolDownMs - 20 * SECOND);
      expect(who()).toBeUndefined();
      await pass(35 * SECOND);
      expect(who()).toBe(liar);
      await fail(blockchain);
    }
    expect(penalized).toHaveLength(8);
  });

  /** The peers send a message every second, as honest peers do and some dishonest ones. */
  const talk = async (set: ReturnType<typeof setUp>['set'], rows: readonly SyncPeerRow[], ms: number) => {
    for (let passed = 0; passed < ms; passed += SECOND) {
      set(...rows.map((each) => ({ ...each, lastMessageMs: Date.now() })));
      await pass(SECOND);
    }
  };

  test.each([
    [1, 'talk', 5],
    [3, 'talk', 15],
    [10, 'talk', 50],
    [10, 'are silent', 10],
  ])(
    '%d peers that %s and deliver nothing are chosen once each before the honest peer, within %d min',
    async (count, how, minutes) => {
      const liars = Array.from({ length: count }, (_, i) => row(`liar${i}`, 1_000_000));
      const honest = row('honest', 200);
      const { started, set, who, published, penalized } = setUp([...liars, honest]);
      await started();
      const rows = how === 'talk' ? [...liars, honest] : [honest];
      await talk(set, rows, minutes * MINUTE - 2 * SECOND);
      expect(who()).not.toBe('honest');
      await talk(set, rows, 30 * SECOND);
      expect(who()).toBe('honest');
      await talk(set, rows, 4 * MINUTE);
      const asked = published.map(({ peerId }) => peerId as string);
      expect(asked.toSorted()).toEqual([...liars, honest].map(({ peerId }) => peerId as string).toSorted());
      expect(penalized).toEqual([]);
    },
  );

  test('come after the honest peer when their cool-down has ended, whenever it is ahead again', async () => {
    const { started, blockchain, set, who, published } = setUp([row(liar, 1_000_000), row('honest', 200)]);
    await started();
    await fail(blockchain);
    for (let height = 200; height <= 1000; height += 100) {
      expect(who()).toBe('honest');
      blockchain.height = height;
      set(row(liar, 1_000_000, { dataHubHealth: 'unhealthy' }));
      await pass(HOUR);
      expect(who()).toBeUndefined();
      set(row('honest', height + 100), row(liar, 1_000_000));
      await pass(15 * SECOND);
    }
    expect(published.filter(({ peerId }) => peerId === liar)).toHaveLength(1);
  });

  test.each<[string, (peers: ReturnType<typeof setUp>, name: string) => void]>([
    [
      'reconnecting',
      ({ leave, set }, name) => {
        leave(name);
        set(row(name, 1_000_000));
      },
    ],
    ['withdrawing their claim for a moment', ({ set }, name) => set(row(name, OWN_HEIGHT))],
    [
      'having an unhealthy DataHub for a moment',
      ({ set }, name) => set(row(name, 1_000_000, { dataHubHealth: 'unhealthy' })),
    ],
  ])('cannot take turns by %s', async (_how, dodge) => {
    const peers = setUp([row('liar0', 1_000_000), row('liar1', 1_000_000), row('honest', 200)]);
    const { started, set, who } = peers;
    await started();
    for (const liar of ['liar0', 'liar1']) {
      expect(who()).toBe(liar);
      dodge(peers, liar);
      await pass(2 * SECOND);
      set(row(liar, 1_000_000));
    }
    await pass(4 * MINUTE);
    expect(who()).toBe('honest');
  });
});

describe('while our own block validation is down', () => {
  test.each([1, 2, 3])(
    'none of %d honest peers is penalized or cools down for hours, and one is asked soon after it is back',
    async (count) => {
      const rows = Array.from({ length: count }, (_, i) => row(`p${i}`, 200));
      const { started, blockchain, penalized, published, who, endings } = setUp(rows);
      await started();
      await pass(8 * HOUR);
      expect(endings('stalled')).toBeGreaterThan(20);
      expect(penalized).toEqual([]);
      const before = published.length;
      await pass((count === 1 ? 15 : 5) * MINUTE + 2 * SECOND);
      expect(published.length).toBeGreaterThan(before);
      expect(who()).toBeDefined();
      blockchain.height = 200;
      await pass(2 * SECOND);
      expect([who(), endings('level')]).toEqual([undefined, 1]);
    },
  );

  test('the failed attempts count for nothing once it is back', async () => {
    const { started, blockchain, set, who } = setUp([row('high', 300), row('low', 200), row('lower', 150)]);
    await started();
    await pass(8 * MINUTE);
    expect(who()).toBe('high');
    blockchain.height = 300;
    await pass(2 * SECOND);
    expect(who()).toBeUndefined();
    set(row('low', 500), row('fresh', 400));
    await pass(15 * SECOND);
    expect(who()).toBe('low');
  });

  test('a peer without progress that fails afterwards still gets its cool-down', async () => {
    const slow = peer(1);
    const { started, blockchain, who, penalized } = setUp([row(slow, 200)]);
    await started();
    await pass(5 * MINUTE);
    expect(who()).toBeUndefined();
    blockchain.peerFailure(slow);
    blockchain.peerFailure(slow);
    await pass(10 * MINUTE);
    expect([who(), penalized]).toEqual([slow, []]);
    blockchain.peerFailure(slow);
    expect(penalized).toEqual([slow]);
    await pass(19 * MINUTE);
    expect(who()).toBeUndefined();
  });
});
