// How a sync ends: level, failed, given up; who pays for it, who rests, and who comes next.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MINUTE, pass, SECOND, setUp } from './harness.ts';
import { hashOf, row } from './rows.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe('RUNNING, CATCHINGBLOCKS, RUNNING', () => {
  test('caught up: the sync peer is cleared, nobody pays', async () => {
    const { started, blockchain, who, charged, endings, metrics } = setUp([row('p', 200)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    await pass(MINUTE);
    expect(metrics.gaugeValue('teranode_p2p_sync_peer')).toBe(1);
    blockchain.height = 200;
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), charged, endings('level')]).toEqual([undefined, [], 1]);
  });

  test('still below: the peer is charged once and rests, the next one is asked', async () => {
    const { started, blockchain, who, charged, published, endings } = setUp([row('liar', 1_000_000), row('p', 200)]);
    await started();
    expect(who()).toBe('liar');
    blockchain.move('CATCHINGBLOCKS');
    await pass(5 * SECOND);
    blockchain.height = 120;
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), charged, endings('failed')]).toEqual(['p', ['liar'], 1]);
    expect(published.map(({ peerId }) => peerId)).toEqual(['liar', 'p']);
    blockchain.peerFailure('liar');
    await pass(MINUTE);
    expect(charged).toEqual(['liar']);
  });

  test('is noticed without notifications too', async () => {
    const { started, blockchain, charged } = setUp([row('p', 200)]);
    await started();
    blockchain.state = 'CATCHINGBLOCKS';
    await pass(2 * SECOND);
    blockchain.state = 'RUNNING';
    await pass(30 * SECOND);
    expect(charged).toEqual(['p']);
  });

  test('is noticed when it takes no longer than a moment, and when a catch-up follows at once', async () => {
    const { started, blockchain, charged } = setUp([row('p', 200)]);
    await started();
    for (const state of ['CATCHINGBLOCKS', 'RUNNING', 'CATCHINGBLOCKS'] as const) blockchain.move(state);
    await pass(SECOND);
    expect(charged).toEqual(['p']);
  });

  test('the peer moved on meanwhile: what was asked for has been reached, and the rest is asked for', async () => {
    const { started, blockchain, set, who, charged, published } = setUp([row('p', 200)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    set(row('p', 203));
    await pass(MINUTE);
    blockchain.height = 200;
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), charged]).toEqual(['p', []]);
    expect(published.map(({ hash }) => hash)).toEqual([hashOf('p200'), hashOf('p203')]);
    await pass(MINUTE);
    expect([who(), charged]).toEqual(['p', []]);
  });

  test('of two triggers the first is judged, the second afterwards', async () => {
    const { started, blockchain, set, charged, who } = setUp([row('p', 200)]);
    await started();
    set(row('p', 201));
    await pass(10 * SECOND);
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    blockchain.height = 200;
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), charged]).toEqual(['p', []]);
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect(charged).toEqual(['p']);
  });

  test('a height read before the catch-up ended proves nothing', async () => {
    const { started, blockchain, charged, who } = setUp([row('p', 200)]);
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
    expect([who(), charged]).toEqual([undefined, []]);
  });

  test.each([SECOND, MINUTE])('a catch-up that began before the choice is not the peer’s: %d ms', async (ms) => {
    const { started, blockchain, charged, who } = setUp([row('p', 200)]);
    blockchain.state = 'CATCHINGBLOCKS';
    await started();
    await pass(ms);
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), charged]).toEqual(['p', []]);
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), charged]).toEqual([undefined, ['p']]);
  });

  test('an answer older than a notification is not a state', async () => {
    const { started, blockchain, charged, who } = setUp([row('p', 200)]);
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
    expect([who(), charged]).toEqual(['p', []]);
  });

  test('LEGACYSYNCING is no catch-up of the peer', async () => {
    const { started, blockchain, charged, who } = setUp([row('p', 200)]);
    await started();
    blockchain.move('LEGACYSYNCING');
    await pass(MINUTE);
    blockchain.move('RUNNING');
    await pass(MINUTE);
    expect([who(), charged]).toEqual(['p', []]);
  });

  test('taking the claim back does not save the liar', async () => {
    const { started, blockchain, charged, set } = setUp([row('liar', 1_000_000)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    set(row('liar', 100));
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect(charged).toEqual(['liar']);
  });
});

describe('a PeerFailure', () => {
  test('of the sync peer switches, charges once, and lets it rest', async () => {
    const { started, blockchain, who, charged, published } = setUp([row('best', 300), row('next', 200)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    blockchain.peerFailure('best');
    blockchain.peerFailure('best');
    await pass(SECOND);
    expect([who(), charged]).toEqual(['next', ['best']]);
    expect(published.map(({ peerId }) => peerId)).toEqual(['best', 'next']);
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), charged]).toEqual(['next', ['best']]);
  });

  test('of another peer charges nobody, and that peer is not chosen next', async () => {
    const { started, blockchain, who, charged, leave } = setUp([row('best', 300), row('bad', 250), row('next', 200)]);
    await started();
    blockchain.peerFailure('bad');
    await pass(SECOND);
    expect([who(), charged]).toEqual(['best', []]);
    leave('best');
    await pass(SECOND);
    expect(who()).toBe('next');
  });
});

describe('the sync peer is given up', () => {
  test('when it leaves, at once and for the best of the others', async () => {
    const { started, who, leave, published, charged } = setUp([row('best', 300), row('low', 150), row('next', 200)]);
    await started();
    await pass(SECOND);
    leave('best');
    await pass(0);
    expect([who(), charged]).toEqual(['next', []]);
    expect(published.map(({ peerId }) => peerId)).toEqual(['best', 'next']);
  });

  test('when it leaves during a catch-up too; who follows does not pay for that one', async () => {
    const { started, who, leave, charged, blockchain } = setUp([row('best', 300), row('next', 200)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    leave('best');
    await pass(0);
    expect(who()).toBe('next');
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), charged]).toEqual(['next', []]);
  });

  test.each([
    ['banned', { isBanned: true }, 'banned'],
    ['gone without a word', { isConnected: false }, 'left'],
    ['without a DataHub that answers', { dataHubHealth: 'unhealthy' }, 'unusable'],
    ['without a DataHub', { dataHubUrl: undefined }, 'unusable'],
    ['without a claim', { claimed: undefined }, 'unusable'],
  ] as const)('when it is %s', async (_what, change, reason) => {
    const { started, who, set, endings, charged } = setUp([row('best', 300), row('next', 200)]);
    await started();
    set(row('best', 300, change));
    await pass(2 * SECOND);
    expect([who(), endings(reason), charged]).toEqual(['next', 1, []]);
  });

  test('and is not the next one while another qualifies', async () => {
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

describe('a sync peer that does not get on', () => {
  test('is inactive after 5 min of catching up with 1 min of silence, and is replaced uncharged', async () => {
    const { started, blockchain, who, charged, endings } = setUp([row('best', 300), row('next', 200)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    await pass(4.5 * MINUTE);
    expect(who()).toBe('best');
    await pass(MINUTE);
    expect([who(), endings('inactive'), charged]).toEqual(['next', 1, []]);
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

  test('is active while it still says something', async () => {
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

  test('has stalled when nothing came of the trigger within 5 min of RUNNING: it rests, uncharged', async () => {
    const { started, set, who, charged, endings } = setUp([row('liar', 1_000_000)]);
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
    expect([who(), endings('stalled'), charged]).toEqual([undefined, 1, []]);
    await lie(9 * MINUTE);
    expect(who()).toBeUndefined();
  });

  test('has stalled when blocks come, but half an hour of RUNNING did not bring us level', async () => {
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
