// How a sync by validated work goes: what is looked at when, how an attempt ends, who is next, and what is recorded.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import { historyWith } from '../../fakes/peer-histories.ts';
import { MINUTE, pass, SECOND } from './harness.ts';
import { hashOf, OWN_HEIGHT } from './rows.ts';
import { ahead, setUpByWork } from './work-harness.ts';
import { OWN_WORK, validated, workRow } from './work-rows.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe('the sync by validated work is evaluated', () => {
  test('every 15 s while level and every 2 s while behind, also during a catch-up', async () => {
    const { asked, blockchain, started, set, grows, who } = setUpByWork([workRow('p', OWN_HEIGHT)]);
    await started();
    await pass(MINUTE);
    expect(asked.best).toBe(5);
    set(ahead('p', 200, 100));
    await pass(15 * SECOND);
    expect(who()).toBe('p');
    blockchain.move('CATCHINGBLOCKS');
    const before = asked.best;
    await pass(20 * SECOND);
    expect(asked.best - before).toBeGreaterThanOrEqual(10);
    grows(100);
    blockchain.move('RUNNING');
    await pass(2 * SECOND);
    expect(who()).toBeUndefined();
    const level = asked.best;
    await pass(MINUTE);
    expect(asked.best).toBe(level + 4);
  });

  test.each<[string, Parameters<typeof workRow>[2]]>([
    [
      'the only peer ahead has just been tried',
      { history: historyWith('p', { lastSyncAttemptMs: Number.MAX_SAFE_INTEGER }) },
    ],
    ['the DataHub of the only peer ahead does not answer', { dataHubHealth: 'unhealthy' }],
    ['the DataHub of the only peer ahead was not checked', { dataHubHealth: 'unknown' }],
  ])('every 2 s while %s', async (_what, changes) => {
    const { asked, started } = setUpByWork([workRow('p', 200, changes)]);
    await started();
    await pass(MINUTE);
    expect(asked.best).toBe(31);
  });

  test.each(['IDLE', 'LEGACYSYNCING'] as const)(
    'without a header read at %s, where there is no sync peer',
    async (state) => {
      const { asked, blockchain, started, who, endings } = setUpByWork([ahead('p', 200, 100)]);
      blockchain.state = state;
      await started();
      await pass(10 * MINUTE);
      expect([asked.best, who()]).toEqual([0, undefined]);
      blockchain.move('RUNNING');
      await pass(SECOND);
      expect(who()).toBe('p');
      blockchain.move(state);
      await pass(SECOND);
      expect([who(), endings('idle')]).toEqual([undefined, 1]);
    },
  );
});

describe('the trigger of a sync by validated work', () => {
  test('names tip, URL and ID of the peer, and is recorded as an attempt', async () => {
    const { started, published, histories } = setUpByWork([ahead('p', 200, 50)]);
    await started();
    expect(published).toEqual([{ hash: hashOf('p200'), url: 'http://p', peerId: 'p' }]);
    expect(histories.recorded).toEqual([{ peerId: 'p', type: 'sync_attempt' }]);
  });

  test('is published and recorded again when the tip of the peer has changed', async () => {
    const { started, published, histories, set } = setUpByWork([ahead('p', 200, 50)]);
    await started();
    set(ahead('p', 201, 51));
    await pass(10 * SECOND);
    expect(published.map(({ hash }) => hash)).toEqual([hashOf('p200'), hashOf('p201')]);
    expect(histories.of('sync_attempt')).toEqual(['p', 'p']);
  });

  test('goes to an author that is not connected', async () => {
    const { started, published } = setUpByWork([ahead('p', 200, 50, { isConnected: false })]);
    await started();
    expect(published.map(({ peerId }) => peerId)).toEqual(['p']);
  });
});

describe('a catch-up by validated work', () => {
  test('that brings us level ends the attempt, and nothing is held against the peer', async () => {
    const { started, blockchain, who, endings, histories, grows } = setUpByWork([ahead('p', 200, 100)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    await pass(MINUTE);
    grows(100);
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), endings('level')]).toEqual([undefined, 1]);
    expect(histories.recorded.map(({ type }) => type)).toEqual(['sync_attempt']);
  });

  test('that ends below the requested block has the next peer asked, and records no failure', async () => {
    const { started, blockchain, who, endings, histories, grows, published } = setUpByWork([
      ahead('best', 300, 200),
      ahead('next', 200, 100),
    ]);
    await started();
    expect(who()).toBe('best');
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    grows(20);
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect([who(), endings('short')]).toEqual(['next', 1]);
    expect(published.map(({ peerId }) => peerId)).toEqual(['best', 'next']);
    expect(histories.of('failure')).toEqual([]);
  });

  test('is followed by the same peer when it has moved on meanwhile', async () => {
    const { started, blockchain, who, set, grows, published } = setUpByWork([ahead('p', 200, 100)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    await pass(MINUTE);
    set(workRow('p', 203, { ...validated('p', OWN_WORK + 103n, 203) }));
    grows(100);
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect(who()).toBe('p');
    expect(published.map(({ hash }) => hash)).toEqual([hashOf('p200'), hashOf('p203')]);
  });
});

describe('a PeerFailure notification, with the rules of validated work', () => {
  test('of the sync peer is recorded as one failure, and the next peer is asked', async () => {
    const { started, blockchain, who, histories, endings } = setUpByWork([
      ahead('best', 300, 200),
      ahead('next', 200, 100),
    ]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    blockchain.peerFailure('best');
    blockchain.peerFailure('best');
    await pass(SECOND);
    expect([who(), endings('failed')]).toEqual(['next', 1]);
    expect(histories.of('failure')).toEqual(['best']);
  });

  test('of another peer is recorded as its failure, and the sync peer stays', async () => {
    const { started, blockchain, who, histories } = setUpByWork([ahead('best', 300, 200), ahead('other', 200, 100)]);
    await started();
    blockchain.peerFailure('other');
    await pass(SECOND);
    expect([who(), histories.of('failure')]).toEqual(['best', ['other']]);
  });
});

describe('a sync peer is replaced', () => {
  test('after five minutes without a validated block, at the next evaluation', async () => {
    const { started, who, endings } = setUpByWork([ahead('best', 300, 200), ahead('next', 200, 100)]);
    await started();
    await pass(5 * MINUTE - SECOND);
    expect(who()).toBe('best');
    await pass(31 * SECOND);
    expect([who(), endings('stalled')]).toEqual(['next', 1]);
  });

  test('not while it delivers blocks that our validation accepts', async () => {
    const { started, who, delivers } = setUpByWork([ahead('best', 300, 200), ahead('next', 200, 100)]);
    await started();
    for (let i = 0; i < 10; i += 1) {
      await pass(4 * MINUTE);
      delivers('best');
    }
    expect(who()).toBe('best');
    await pass(6 * MINUTE);
    expect(who()).toBe('next');
  });

  test('not while our chain grows in its catch-up, even when no deliveries are reported', async () => {
    const { started, blockchain, who, grows } = setUpByWork([ahead('best', 1000, 900), ahead('next', 999, 899)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    for (let i = 0; i < 10; i += 1) {
      await pass(4 * MINUTE);
      grows(10);
    }
    expect(who()).toBe('best');
  });

  test('although our chain grows at RUNNING by what others announce', async () => {
    const { started, who, grows } = setUpByWork([ahead('best', 1000, 900), ahead('next', 999, 899)]);
    await started();
    for (let i = 0; i < 6; i += 1) {
      await pass(MINUTE);
      grows(1);
    }
    expect(who()).toBe('next');
  });

  test('after half of that by one with strictly more validated work', async () => {
    const { started, who, set, endings } = setUpByWork([ahead('p', 300, 200)]);
    await started();
    set(ahead('equal', 300, 200), ahead('more', 300, 201));
    await pass(2.5 * MINUTE - SECOND);
    expect(who()).toBe('p');
    await pass(31 * SECOND);
    expect([who(), endings('better_peer')]).toEqual(['more', 1]);
  });

  test('below a reputation of 20, at the next evaluation', async () => {
    const { started, who, set, endings } = setUpByWork([ahead('best', 300, 200), ahead('next', 200, 100)]);
    await started();
    await pass(SECOND);
    set(workRow('best', 300, validated('best', OWN_WORK + 200n, 300, { reputation: 19 })));
    await pass(31 * SECOND);
    expect([who(), endings('low_reputation')]).toEqual(['next', 1]);
  });

  test.each([
    ['banned', { isBanned: true }, 'banned'],
    ['without a DataHub', { dataHubUrl: undefined }, 'unusable'],
  ] as const)('at the next round when it is %s', async (_what, change, reason) => {
    const { started, who, set, endings } = setUpByWork([ahead('best', 300, 200), ahead('next', 200, 100)]);
    await started();
    set(ahead('best', 300, 200, change));
    await pass(2 * SECOND);
    expect([who(), endings(reason)]).toEqual(['next', 1]);
  });

  test('at once when it disconnects', async () => {
    const { started, who, leave } = setUpByWork([ahead('best', 300, 200), ahead('next', 200, 100)]);
    await started();
    await pass(SECOND);
    leave('best');
    await pass(0);
    expect(who()).toBe('next');
  });

  test('not because its DataHub misses a check', async () => {
    const { started, who, set } = setUpByWork([ahead('best', 300, 200), ahead('next', 200, 100)]);
    await started();
    set(ahead('best', 300, 200, { dataHubHealth: 'unhealthy' }));
    await pass(MINUTE);
    expect(who()).toBe('best');
  });
});

describe('checks of DataHubs', () => {
  test('are asked for while the best peer was not checked, and it is chosen once it answers', async () => {
    const { started, who, set, urlsToCheck, choices } = setUpByWork([
      ahead('best', 300, 200, { dataHubHealth: 'unknown' }),
      ahead('next', 200, 100),
    ]);
    await started();
    expect([who(), urlsToCheck()]).toEqual([undefined, ['http://best']]);
    set(ahead('best', 300, 200));
    await pass(2 * SECOND);
    expect([who(), urlsToCheck(), choices('awaiting_check')]).toEqual(['best', [], 1]);
  });

  test('are waited for no longer than 10 s', async () => {
    const { started, who } = setUpByWork([
      ahead('best', 300, 200, { dataHubHealth: 'unknown' }),
      ahead('next', 200, 100),
    ]);
    await started();
    await pass(9 * SECOND);
    expect(who()).toBeUndefined();
    await pass(2 * SECOND);
    expect(who()).toBe('next');
  });
});

describe('when no peer qualifies', () => {
  /** One who is ahead and never to be chosen. */
  const useless = () => workRow('p', 200, { dataHubHealth: 'unhealthy' });

  test('the wait doubles from 2 s to 64 s; attempts are cleared and peers reconsidered each time', async () => {
    const { started, choices, histories } = setUpByWork([useless()]);
    await started();
    const waits = [2, 4, 8, 16, 32, 64, 64];
    for (const [i, seconds] of waits.entries()) {
      expect(choices('none_usable')).toBe(i + 1);
      await pass(seconds * SECOND - SECOND);
      expect(choices('none_usable')).toBe(i + 1);
      await pass(SECOND);
    }
    expect(choices('none_usable')).toBe(waits.length + 1);
    expect(histories.cleared).toBe(waits.length + 1);
    expect(histories.reconsidered.map((ms) => ms / MINUTE)).toEqual([5, 5, 10, 20, 40, 80, 80, 80]);
  });

  test('a peer tried a moment ago is tried again after the wait, also when its history does not show that yet', async () => {
    const { started, blockchain, who, published } = setUpByWork([ahead('p', 300, 200)]);
    await started();
    blockchain.peerFailure('p');
    await pass(0);
    expect(who()).toBeUndefined();
    await pass(5 * SECOND);
    expect(who()).toBe('p');
    expect(published).toHaveLength(2);
  });

  test('a peer that was just given up is not tried again before the wait', async () => {
    const { started, blockchain, who, choices } = setUpByWork([ahead('best', 300, 200), ahead('next', 200, 100)]);
    await started();
    await pass(5.5 * MINUTE);
    expect(who()).toBe('next');
    blockchain.peerFailure('next');
    await pass(SECOND);
    expect([who(), choices('none_usable')]).toEqual([undefined, 1]);
  });

  test('the wait is short again after a sync that succeeded', async () => {
    const { started, blockchain, set, choices, grows } = setUpByWork([useless()]);
    await started();
    await pass(MINUTE);
    set(ahead('good', 150, 50));
    await pass(64 * SECOND);
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    const before = choices('none_usable');
    grows(50);
    blockchain.move('RUNNING');
    await pass(SECOND);
    expect(choices('none_usable')).toBe(before + 1);
    await pass(2 * SECOND);
    expect(choices('none_usable')).toBe(before + 2);
  });

  test('the wait is short again when nobody is ahead any more', async () => {
    const { started, set, choices } = setUpByWork([useless()]);
    await started();
    await pass(MINUTE);
    set(workRow('p', OWN_HEIGHT));
    await pass(64 * SECOND);
    set(useless());
    const before = choices('none_usable');
    await pass(15 * SECOND);
    expect(choices('none_usable')).toBeGreaterThanOrEqual(before + 2);
  });

  test('peers that are reconsidered are tried at once', async () => {
    const low = validated('p', OWN_WORK + 100n, 200, { reputation: 5 });
    const { started, histories, set, who, policyLog } = setUpByWork([workRow('p', 200, low)]);
    histories.reconsiderable = 1;
    await started();
    set(workRow('p', 200, validated('p', OWN_WORK + 100n, 200, { reputation: 30 })));
    await pass(2 * SECOND);
    expect(who()).toBe('p');
    expect(policyLog.lines.map(({ event }) => event)).toContain('peers of low reputation reconsidered');
  });

  test('a keeper of histories that is down is logged once, and the sync goes on', async () => {
    const { started, histories, policyLog, who, set } = setUpByWork([useless()]);
    histories.fails = true;
    await started();
    await pass(MINUTE);
    expect(policyLog.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    set(ahead('p', 200, 100));
    await pass(64 * SECOND);
    expect(who()).toBe('p');
  });
});

describe('a forced sync peer, with the rules of validated work', () => {
  const forced = { forcedPeer: 'forced' as PeerId };

  test('is asked whatever its state, and asked again when it makes no progress', async () => {
    const bad = {
      isBanned: true,
      dataHubHealth: 'unhealthy',
      history: historyWith('forced', { reputation: 0 }),
    } as const;
    const { started, who, published } = setUpByWork([ahead('better', 900, 800), workRow('forced', 200, bad)], forced);
    await started();
    expect(who()).toBe('forced');
    await pass(12 * MINUTE);
    expect(who()).toBe('forced');
    expect(published.map(({ peerId }) => peerId)).toEqual(['forced', 'forced', 'forced']);
  });

  test('is not replaced while it is absent', async () => {
    const { started, who, choices } = setUpByWork([ahead('better', 900, 800)], forced);
    await started();
    await pass(MINUTE);
    expect(who()).toBeUndefined();
    expect(choices('forced_absent')).toBeGreaterThan(0);
  });
});

test('what is remembered of peers is bounded', async () => {
  const { started, metrics, blockchain } = setUpByWork();
  await started();
  for (let i = 0; i < 1100; i += 1) blockchain.peerFailure(`unknown ${i}`);
  expect(metrics.gaugeValue('teranode_p2p_sync_entries')).toBe(1000);
  expect(metrics.gaugeValue('teranode_p2p_sync_entries_bound')).toBe(4000);
});
