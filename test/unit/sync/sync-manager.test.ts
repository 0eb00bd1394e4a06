// The sync manager: when it evaluates, which peer it chooses and what it triggers, by FSM state, peers and settings.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import { MINUTE, pass, SECOND, setUp } from './harness.ts';
import { hashOf, OWN_HEIGHT, row } from './rows.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe('the sync is evaluated', () => {
  test('every 15 s while level and every 2 s while behind', async () => {
    const { asked, blockchain, started, set, who } = setUp([row('p', OWN_HEIGHT)]);
    await started();
    await pass(MINUTE);
    expect(asked.best).toBe(5);
    set(row('p', 200));
    await pass(15 * SECOND);
    expect(who()).toBe('p');
    const before = asked.best;
    await pass(20 * SECOND);
    expect(asked.best).toBe(before + 10);
    blockchain.height = 200;
    await pass(2 * SECOND);
    expect(who()).toBeUndefined();
    await pass(14 * SECOND);
    expect(asked.best).toBe(before + 11);
  });

  test.each([
    ['no peer ahead is usable', {}],
    ['the forced peer is not usable', { forcedPeer: 'p' as PeerId }],
  ])('every 2 s while behind and %s, and every 15 s when no peer is ahead', async (_what, options) => {
    const { asked, started, set } = setUp([row('p', 200, { dataHubHealth: 'unhealthy' })], options);
    await started();
    await pass(MINUTE);
    expect(asked.best).toBe(31);
    set(row('p', OWN_HEIGHT));
    await pass(2 * SECOND);
    const before = asked.best;
    await pass(MINUTE);
    expect(asked.best).toBe(before + 4);
  });

  test.each(['CATCHINGBLOCKS', 'LEGACYSYNCING'] as const)('every 30 s at %s', async (state) => {
    const { asked, blockchain, started, who } = setUp([row('p', 200)]);
    blockchain.state = state;
    await started();
    expect(who()).toBe('p');
    await pass(2 * MINUTE);
    expect(asked.best).toBe(5);
  });

  test('without a header read at IDLE, where there is no sync peer, and at once when IDLE is left', async () => {
    const { asked, blockchain, started, who, published, endings } = setUp([row('p', 200)]);
    blockchain.state = 'IDLE';
    await started();
    await pass(10 * MINUTE + SECOND);
    expect(asked.best).toBe(0);
    expect(who()).toBeUndefined();
    blockchain.move('RUNNING');
    await pass(0);
    expect(who()).toBe('p');
    blockchain.move('IDLE');
    await pass(SECOND);
    expect(who()).toBeUndefined();
    expect(endings('idle')).toBe(1);
    expect(published).toHaveLength(1);
  });

  test('at most four times per second when the FSM state keeps changing', async () => {
    const { asked, blockchain, started } = setUp([row('p', 200)]);
    await started();
    const before = asked.best;
    for (let i = 0; i < 400; i += 1) {
      blockchain.move(i % 2 === 0 ? 'LEGACYSYNCING' : 'RUNNING');
      await pass(5);
    }
    expect(asked.best - before).toBeLessThanOrEqual(9);
    expect(asked.best - before).toBeGreaterThanOrEqual(7);
  });

  test('without overlap, however slow the service', async () => {
    const { asked, blockchain, started, manager } = setUp([row('p', 200)], { hasBootstrap: false });
    let answer = () => {};
    blockchain.gate = new Promise((resolve) => {
      answer = resolve;
    });
    await started();
    for (let i = 0; i < 20; i += 1) {
      manager.peerAhead('p' as PeerId);
      await pass(3 * SECOND);
    }
    expect(asked.best).toBe(1);
    answer();
    await pass(0);
    expect(manager.syncPeer()?.peerId).toBe('p');
  });
});

describe('the sync peer', () => {
  test('is shown with the claimed height and hash and the time of the choice', async () => {
    const { started, set, manager } = setUp([row('low', 150), row('high', 200)]);
    await started();
    const sinceMs = Date.now();
    expect(manager.syncPeer()).toEqual({ peerId: 'high', height: 200, hash: hashOf('high200'), sinceMs });
    set(row('high', 201), row('low', 999));
    await pass(2 * SECOND);
    expect(manager.syncPeer()).toEqual({ peerId: 'high', height: 201, hash: hashOf('high201'), sinceMs });
  });

  test('keeps the time at which it was first chosen until it disconnects', async () => {
    const { started, set, manager, blockchain, leave, metrics } = setUp([row('p', 150)]);
    await started();
    const firstMs = Date.now();
    blockchain.height = 150;
    await pass(2 * SECOND);
    expect(manager.syncPeer()).toBeUndefined();
    set(row('p', 151));
    await pass(15 * SECOND);
    expect(manager.syncPeer()?.sinceMs).toBe(firstMs);
    leave('p');
    await pass(SECOND);
    set(row('p', 152));
    await pass(15 * SECOND);
    expect(manager.syncPeer()?.sinceMs).toBeGreaterThan(firstMs);
    expect(metrics.gaugeValue('teranode_p2p_sync_blocks_behind')).toBe(2);
  });

  test('is replaced by a higher peer when our chain has passed it', async () => {
    const { started, set, blockchain, who, endings } = setUp([row('p', 150)]);
    await started();
    set(row('further', 300));
    blockchain.height = 160;
    await pass(2 * SECOND);
    expect(who()).toBe('further');
    expect(endings('level')).toBe(1);
  });

  test('is missing for reasons that are counted', async () => {
    const { started, set, choices } = setUp();
    await started();
    set(row('p', OWN_HEIGHT));
    await pass(15 * SECOND);
    set(row('q', 200, { dataHubHealth: 'unhealthy' }));
    await pass(15 * SECOND);
    expect([choices('no_peers'), choices('level'), choices('none_usable'), choices('chosen')]).toEqual([1, 1, 1, 0]);
  });
});

describe('the minimum number of peers', () => {
  test('is awaited, and then the best peer is chosen', async () => {
    const { started, set, who, choices } = setUp([row('first', 150)], { minPeers: 3 });
    await started();
    await pass(4 * SECOND);
    expect(who()).toBeUndefined();
    set(row('second', 300), row('third', 200));
    await pass(2 * SECOND);
    expect(who()).toBe('second');
    expect(choices('awaiting_peers')).toBe(3);
  });

  test.each(['RUNNING', 'CATCHINGBLOCKS', 'LEGACYSYNCING'] as const)('is noticed within 2 s at %s', async (state) => {
    const { blockchain, started, set, who } = setUp([row('first', 150)], { minPeers: 2 });
    blockchain.state = state;
    await started();
    set(row('first', 150), row('second', 300));
    await pass(2 * SECOND);
    expect(who()).toBe('second');
  });

  test.each(['RUNNING', 'CATCHINGBLOCKS', 'LEGACYSYNCING'] as const)(
    'is awaited for exactly as long as the setting says at %s',
    async (state) => {
      const { blockchain, started, who } = setUp([row('only', 150)], { minPeers: 3, maxWaitMs: 5000 });
      blockchain.state = state;
      await started();
      await pass(4999);
      expect(who()).toBeUndefined();
      await pass(1);
      expect(who()).toBe('only');
    },
  );

  test('is not awaited again when peers disconnect later', async () => {
    const { started, leave, set, who } = setUp([row('a', 150), row('b', 140)], { minPeers: 2, maxWaitMs: MINUTE });
    await started();
    expect(who()).toBe('a');
    leave('a');
    await pass(SECOND);
    expect(who()).toBe('b');
    leave('b');
    set(row('c', 150));
    await pass(SECOND);
    expect(who()).toBe('c');
  });
});

describe('a version or verack', () => {
  test('of a peer ahead triggers at once, without waiting for others, when no bootstrap node is configured', async () => {
    const { started, set, leave, manager, published, who } = setUp([], { minPeers: 5, hasBootstrap: false });
    await started();
    await pass(SECOND);
    set(row('p', 200));
    manager.peerAhead('p' as PeerId);
    await pass(0);
    expect(published).toEqual([{ hash: hashOf('p200'), url: 'http://p', peerId: 'p' }]);
    leave('p');
    set(row('q', 200));
    await pass(SECOND);
    expect(who()).toBe('q');
  });

  test('of a peer that is not ahead or not usable changes nothing', async () => {
    const peers = [row('level', OWN_HEIGHT), row('banned', 200, { isBanned: true }), row('fit', 150)];
    const { asked, started, manager, who } = setUp(peers, { minPeers: 5, hasBootstrap: false });
    await started();
    await pass(SECOND);
    const before = asked.best;
    for (const name of ['level', 'banned', 'unknown']) manager.peerAhead(name as PeerId);
    await pass(500);
    expect(asked.best).toBe(before);
    expect(who()).toBeUndefined();
  });

  test('of a peer ahead does not end the wait for others when there are bootstrap nodes', async () => {
    const { asked, started, manager, who } = setUp([row('p', 200)], { minPeers: 5, hasBootstrap: true });
    await started();
    manager.peerAhead('p' as PeerId);
    await pass(SECOND);
    expect(who()).toBeUndefined();
    expect(asked.best).toBe(1);
  });
});

describe('a forced sync peer', () => {
  const forced = { forcedPeer: 'forced' as PeerId, minPeers: 10 };

  test('is chosen before better peers, without waiting for others', async () => {
    const { started, who } = setUp([row('better', 900), row('forced', 150, { score: 50 })], forced);
    await started();
    expect(who()).toBe('forced');
  });

  test('is not replaced when it disconnects, and is chosen again when it reconnects', async () => {
    const { started, who, leave, set, published, choices } = setUp([row('better', 900), row('forced', 150)], forced);
    await started();
    leave('forced');
    await pass(20 * SECOND);
    expect(who()).toBeUndefined();
    expect(choices('forced_absent')).toBeGreaterThan(0);
    set(row('forced', 160));
    await pass(15 * SECOND);
    expect(who()).toBe('forced');
    expect(published.map(({ hash }) => hash)).toEqual([hashOf('forced150'), hashOf('forced160')]);
  });
});

describe('the trigger for block validation', () => {
  test('is published once per choice', async () => {
    const { started, published } = setUp([row('p', 200)]);
    await started();
    await pass(4 * MINUTE);
    expect(published).toEqual([{ hash: hashOf('p200'), url: 'http://p', peerId: 'p' }]);
  });

  test('is never published without a best hash', async () => {
    const { started, published } = setUp([row('p', 200, { claimed: { height: 200, hash: undefined } })]);
    await started();
    await pass(MINUTE);
    expect(published).toEqual([]);
  });

  test('is published again at RUNNING when the peer’s best block has changed, at most every 10 s', async () => {
    const { started, set, published } = setUp([row('p', 200)]);
    await started();
    for (let height = 201; height <= 230; height += 1) {
      set(row('p', height));
      await pass(2 * SECOND);
    }
    expect(published.map(({ hash }) => hash)).toEqual(
      [200, 205, 210, 215, 220, 225, 230].map((height) => hashOf(`p${height}`)),
    );
  });

  test('is not published again during a catch-up', async () => {
    const { started, set, published, blockchain } = setUp([row('p', 200)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    set(row('p', 250));
    await pass(2 * MINUTE);
    expect(published).toHaveLength(1);
  });

  test('for a peer chosen during a catch-up is published again at RUNNING, because the first may have been lost', async () => {
    const { started, published, blockchain, penalized, who } = setUp([row('p', 200)]);
    blockchain.state = 'CATCHINGBLOCKS';
    await started();
    await pass(MINUTE);
    expect(published).toHaveLength(1);
    blockchain.move('RUNNING');
    await pass(MINUTE);
    expect(published).toHaveLength(2);
    expect([who(), penalized]).toEqual(['p', []]);
  });

  test('is rate-limited when peers keep connecting, claiming and leaving', async () => {
    const { started, set, leave, published, manager, metrics } = setUp([], { hasBootstrap: false });
    await started();
    for (let i = 0; i < 600; i += 1) {
      set(row(`p${i}`, 200 + i));
      manager.peerAhead(`p${i}` as PeerId);
      await pass(100);
      leave(`p${i}`);
    }
    expect(published.length).toBeGreaterThanOrEqual(5);
    expect(published.length).toBeLessThanOrEqual(5 + 6);
    expect(metrics.count('teranode_p2p_sync_triggers_total', { outcome: 'limited' })).toBeGreaterThan(0);
    set(row('stays', 900));
    manager.peerAhead('stays' as PeerId);
    await pass(12 * SECOND);
    expect(published.at(-1)?.peerId).toBe('stays');
  });
});
