// How an attempt to sync ends: level, failed or given up; which peer is penalized, and which one is next.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { peer } from '../../fakes/ban-parts.ts';
import { MINUTE, pass, SECOND, setUp } from './harness.ts';
import { hashOf, row } from './rows.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe('a catch-up (RUNNING, CATCHINGBLOCKS, RUNNING)', () => {
  test('that brings us level clears the sync peer and penalizes nobody', async () => {
    const { started, blockchain, who, penalized, endings, metrics } = setUp([row('p', 200)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    await pass(MINUTE);
    expect(metrics.gaugeValue('teranode_p2p_sync_peer')).toBe(1);
    blockchain.height = 200;
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), penalized, endings('level')]).toEqual([undefined, [], 1]);
  });

  test('that leaves us behind penalizes the peer once, starts its cool-down, and the next peer is asked', async () => {
    const liar = peer(1);
    const { started, blockchain, who, penalized, published, endings } = setUp([row(liar, 1_000_000), row('p', 200)]);
    await started();
    expect(who()).toBe(liar);
    blockchain.move('CATCHINGBLOCKS');
    await pass(5 * SECOND);
    blockchain.height = 120;
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), penalized, endings('failed')]).toEqual(['p', [liar], 1]);
    expect(published.map(({ peerId }) => peerId)).toEqual([liar, 'p']);
    blockchain.peerFailure(liar);
    await pass(MINUTE);
    expect(penalized).toEqual([liar]);
  });

  test('is noticed without notifications', async () => {
    const { started, blockchain, penalized } = setUp([row('p', 200)]);
    await started();
    blockchain.state = 'CATCHINGBLOCKS';
    await pass(2 * SECOND);
    blockchain.state = 'RUNNING';
    await pass(30 * SECOND);
    expect(penalized).toEqual(['p']);
  });

  test('is noticed when it takes only a moment and another follows at once', async () => {
    const { started, blockchain, penalized } = setUp([row('p', 200)]);
    await started();
    for (const state of ['CATCHINGBLOCKS', 'RUNNING', 'CATCHINGBLOCKS'] as const) blockchain.move(state);
    await pass(SECOND);
    expect(penalized).toEqual(['p']);
  });

  test('reaches the requested height although the peer has moved on meanwhile, and the rest is requested', async () => {
    const { started, blockchain, set, who, penalized, published } = setUp([row('p', 200)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    set(row('p', 203));
    await pass(MINUTE);
    blockchain.height = 200;
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), penalized]).toEqual(['p', []]);
    expect(published.map(({ hash }) => hash)).toEqual([hashOf('p200'), hashOf('p203')]);
    await pass(MINUTE);
    expect([who(), penalized]).toEqual(['p', []]);
  });

  test('is checked against the first of two triggers, and the next one against the second', async () => {
    const { started, blockchain, set, penalized, who } = setUp([row('p', 200)]);
    await started();
    set(row('p', 201));
    await pass(10 * SECOND);
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    blockchain.height = 200;
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), penalized]).toEqual(['p', []]);
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect(penalized).toEqual(['p']);
  });

  test('is not checked with a height that was read before it ended', async () => {
    const { started, blockchain, penalized, who } = setUp([row('p', 200)]);
    await started();
    let answer = () => {};
    blockchain.move('CATCHINGBLOCKS');
    blockchain.gate = new Promise((resolve) => {
      answer = resolve;
    });
    await pass(SECOND);
    blockchain.height = 200;
    blockchain.move('RUNNING');
    blockchain.gate = undefined;
    answer();
    await pass(SECOND);
    expect([who(), penalized]).toEqual([undefined, []]);
  });

  test.each([SECOND, MINUTE])(
    'is not attributed to a peer that was chosen after it began, %d ms before its end',
    async (ms) => {
      const { started, blockchain, penalized, who } = setUp([row('p', 200)]);
      blockchain.state = 'CATCHINGBLOCKS';
      await started();
      await pass(ms);
      blockchain.move('RUNNING');
      await pass(SECOND);
      expect([who(), penalized]).toEqual(['p', []]);
      blockchain.move('CATCHINGBLOCKS');
      await pass(SECOND);
      blockchain.move('RUNNING');
      await pass(SECOND);
      expect([who(), penalized]).toEqual([undefined, ['p']]);
    },
  );

  test('is not ended by an answer that is older than a notification', async () => {
    const { started, blockchain, penalized, who } = setUp([row('p', 200)]);
    await started();
    let answer = () => {};
    blockchain.stateGate = new Promise((resolve) => {
      answer = resolve;
    });
    await pass(2 * SECOND);
    blockchain.move('CATCHINGBLOCKS');
    blockchain.stateGate = undefined;
    answer();
    await pass(MINUTE);
    expect([who(), penalized]).toEqual(['p', []]);
  });

  test('is not what LEGACYSYNCING is', async () => {
    const { started, blockchain, penalized, who } = setUp([row('p', 200)]);
    await started();
    blockchain.move('LEGACYSYNCING');
    await pass(MINUTE);
    blockchain.move('RUNNING');
    await pass(MINUTE);
    expect([who(), penalized]).toEqual(['p', []]);
  });

  test('penalizes a dishonest peer that withdraws its claim', async () => {
    const { started, blockchain, penalized, set } = setUp([row('liar', 1_000_000)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    set(row('liar', 100));
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect(penalized).toEqual(['liar']);
  });
});

describe('a PeerFailure notification', () => {
  test('of the sync peer switches to another peer, penalizes once, and starts a cool-down', async () => {
    const best = peer(1);
    const { started, blockchain, who, penalized, published } = setUp([row(best, 300), row('next', 200)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    blockchain.peerFailure(best);
    blockchain.peerFailure(best);
    await pass(SECOND);
    expect([who(), penalized]).toEqual(['next', [best]]);
    expect(published.map(({ peerId }) => peerId)).toEqual([best, 'next']);
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), penalized]).toEqual(['next', [best]]);
  });

  test('of another peer penalizes nobody, and that peer is not chosen next', async () => {
    const bad = peer(1);
    const { started, blockchain, who, penalized, leave } = setUp([row('best', 300), row(bad, 250), row('next', 200)]);
    await started();
    blockchain.peerFailure(bad);
    await pass(SECOND);
    expect([who(), penalized]).toEqual(['best', []]);
    leave('best');
    await pass(SECOND);
    expect(who()).toBe('next');
  });
});

describe('the sync peer is replaced', () => {
  test('at once by the best of the others when it disconnects', async () => {
    const { started, who, leave, published, penalized } = setUp([row('best', 300), row('low', 150), row('next', 200)]);
    await started();
    await pass(SECOND);
    leave('best');
    await pass(0);
    expect([who(), penalized]).toEqual(['next', []]);
    expect(published.map(({ peerId }) => peerId)).toEqual(['best', 'next']);
  });

  test('when it disconnects during a catch-up, and the next peer is not penalized for that catch-up', async () => {
    const { started, who, leave, penalized, blockchain } = setUp([row('best', 300), row('next', 200)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    leave('best');
    await pass(0);
    expect(who()).toBe('next');
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), penalized]).toEqual(['next', []]);
  });

  test.each([
    ['banned', { isBanned: true }, 'banned'],
    ['disconnected without notice', { isConnected: false }, 'left'],
    ['without a DataHub that answers', { dataHubHealth: 'unhealthy' }, 'unusable'],
    ['without a DataHub', { dataHubUrl: undefined }, 'unusable'],
    ['without a claim', { claimed: undefined }, 'unusable'],
  ] as const)('when it is %s', async (_what, change, reason) => {
    const { started, who, set, endings, penalized } = setUp([row('best', 300), row('next', 200)]);
    await started();
    set(row('best', 300, change));
    await pass(2 * SECOND);
    expect([who(), endings(reason), penalized]).toEqual(['next', 1, []]);
  });

  test('and not chosen again while another peer qualifies', async () => {
    const { started, who, leave, set } = setUp([row('best', 300), row('next', 200)]);
    await started();
    leave('best');
    set(row('best', 300));
    await pass(SECOND);
    expect(who()).toBe('next');
    leave('next');
    await pass(SECOND);
    expect(who()).toBe('best');
  });
});

describe('a sync peer without progress', () => {
  test('is inactive after 5 min of catching up with 1 min of silence, and is replaced without a penalty', async () => {
    const { started, blockchain, who, penalized, endings } = setUp([row('best', 300), row('next', 200)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    await pass(4.5 * MINUTE);
    expect(who()).toBe('best');
    await pass(MINUTE);
    expect([who(), endings('inactive'), penalized]).toEqual(['next', 1, []]);
  });

  test('is active while our own chain grows', async () => {
    const { started, blockchain, who } = setUp([row('best', 300), row('next', 200)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    for (let i = 0; i < 20; i += 1) {
      await pass(30 * SECOND);
      blockchain.height += 1;
    }
    expect(who()).toBe('best');
    await pass(2 * MINUTE);
    expect(who()).toBe('next');
  });

  test('is active while it still sends messages', async () => {
    const { started, blockchain, set, who } = setUp([row('best', 300), row('next', 200)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    for (let i = 0; i < 20; i += 1) {
      set(row('best', 300, { lastMessageMs: Date.now() }));
      await pass(30 * SECOND);
    }
    expect(who()).toBe('best');
    await pass(2 * MINUTE);
    expect(who()).toBe('next');
  });

  test('has stalled when our chain did not grow within 5 min of RUNNING: a cool-down without a penalty', async () => {
    const { started, set, who, penalized, endings } = setUp([row('liar', 1_000_000)]);
    await started();
    const lie = async (ms: number) => {
      for (let i = 0; i < ms / SECOND; i += 1) {
        set(row('liar', 1_000_000 + i, { lastMessageMs: Date.now() }));
        await pass(SECOND);
      }
    };
    await lie(5 * MINUTE - 5 * SECOND);
    expect(who()).toBe('liar');
    await lie(10 * SECOND);
    expect([who(), endings('stalled'), penalized]).toEqual([undefined, 1, []]);
    await lie(9 * MINUTE);
    expect(who()).toBeUndefined();
  });

  test('has stalled when blocks arrive, but half an hour of RUNNING did not bring us level', async () => {
    const { started, blockchain, who, endings } = setUp([row('liar', 1_000_000)]);
    await started();
    for (let i = 0; i < 29; i += 1) {
      blockchain.height += 1;
      await pass(MINUTE);
    }
    expect(who()).toBe('liar');
    await pass(2 * MINUTE);
    expect([who(), endings('stalled')]).toEqual([undefined, 1]);
  });
});
