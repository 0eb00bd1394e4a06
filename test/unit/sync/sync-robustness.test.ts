// What the sync manager survives: a blockchain service that is down, calls in any order, a stop at any time.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { MINUTE, pass, SECOND, setUp } from './harness.ts';
import { row } from './rows.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe('a blockchain service that fails', () => {
  test('is counted and logged once, and the sync continues when it is back', async () => {
    const { listeners, started, blockchain, metrics, log, who } = setUp([row('p', 200)]);
    blockchain.fails = true;
    await started();
    await pass(MINUTE);
    expect(metrics.count('teranode_p2p_sync_failed_looks_total')).toBe(5);
    expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    blockchain.fails = false;
    await pass(15 * SECOND);
    expect(who()).toBe('p');
    expect(listeners.size).toBe(1);
    blockchain.fails = true;
    await pass(MINUTE);
    expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(2);
  });

  test('during a sync does not clear the sync peer, and a failed catch-up is noticed afterwards', async () => {
    const { started, blockchain, who, penalized, leave } = setUp([row('p', 200), row('q', 150)]);
    await started();
    blockchain.move('CATCHINGBLOCKS');
    await pass(SECOND);
    blockchain.fails = true;
    blockchain.move('RUNNING');
    await pass(MINUTE);
    expect([who(), penalized]).toEqual(['p', []]);
    blockchain.fails = false;
    await pass(15 * SECOND);
    expect([who(), penalized]).toEqual(['q', ['p']]);
    blockchain.fails = true;
    leave('q');
    await pass(MINUTE);
    expect(who()).toBeUndefined();
  });
});

describe('start and stop of the sync manager', () => {
  test('start, called twice, evaluates once and subscribes once', async () => {
    const { listeners, asked, started } = setUp();
    await started();
    await started();
    await pass(15 * SECOND);
    expect([asked.best, listeners.size]).toEqual([2, 1]);
  });

  test('stop, called twice, leaves no timer, no subscription and no sync peer', async () => {
    const { tracker, listeners, asked, manager, started, who } = setUp([row('p', 200)]);
    await started();
    manager.stop();
    await tracker.stop();
    manager.stop();
    manager.peerLeft('p' as PeerId);
    manager.peerAhead('p' as PeerId);
    await pass(MINUTE);
    expect([listeners.size, vi.getTimerCount(), who()]).toEqual([0, 0, undefined]);
    expect(asked.best).toBe(1);
    manager.start();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('stop during a round has the answer ignored', async () => {
    const { tracker, manager, started, blockchain, published } = setUp([row('p', 200)]);
    let answer = () => {};
    blockchain.gate = new Promise((resolve) => {
      answer = resolve;
    });
    await started();
    manager.stop();
    await tracker.stop();
    answer();
    await pass(MINUTE);
    expect([published, manager.syncPeer(), vi.getTimerCount()]).toEqual([[], undefined, 0]);
  });

  test('nothing happens before start, or when stop came first', async () => {
    const { asked, manager } = setUp([row('p', 200)], { hasBootstrap: false });
    manager.peerAhead('p' as PeerId);
    manager.peerLeft('p' as PeerId);
    await pass(MINUTE);
    manager.stop();
    manager.start();
    await pass(MINUTE);
    expect([asked.best, manager.syncPeer()]).toEqual([0, undefined]);
  });
});

test('the memory for failed attempts and connection times is bounded', async () => {
  const { started, blockchain, set, leave, metrics, manager } = setUp([], { hasBootstrap: false });
  await started();
  for (let i = 0; i < 1100; i += 1) blockchain.peerFailure(peer(i));
  expect(metrics.gaugeValue('teranode_p2p_sync_entries')).toBe(1000);
  for (let i = 0; i < 20; i += 1) {
    set(row(`p${i}`, 200));
    manager.peerAhead(`p${i}` as PeerId);
    await pass(SECOND);
    leave(`p${i}`);
  }
  // Those twenty disconnected early: their connection times are forgotten.
  expect(metrics.gaugeValue('teranode_p2p_sync_entries')).toBe(1020);
  expect(metrics.gaugeValue('teranode_p2p_sync_entries_bound')).toBe(3000);
});
