// The state as last heard: by notification, by asking, and when both cross.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FsmWatch } from '../../../src/chain/fsm-watch.ts';
import type { BlockchainClient, BlockchainNotification, FsmState } from '../../../src/ports/blockchain-client.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const ASK_INTERVAL_MS = 5000;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function setUp() {
  const listeners = new Set<(notification: BlockchainNotification) => void>();
  const service: { state: FsmState; answer: () => Promise<FsmState> } = {
    state: 'RUNNING',
    answer: async () => service.state,
  };
  const blockchain = {
    fsmState: () => service.answer(),
    subscribe: (_source: string, listener: (notification: BlockchainNotification) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  } as unknown as BlockchainClient;
  const watch = new FsmWatch({ blockchain, log: recordingLogger(), metrics: new RecordedMetrics() });
  const tell = (state: FsmState) => {
    for (const listener of listeners) listener({ type: 'fsm_state', state });
  };
  /** The next question is answered, with what was so when it was put, when the returned function is called. */
  const hold = () => {
    const gate = Promise.withResolvers<void>();
    const { answer, state } = service;
    service.answer = async () => {
      service.answer = answer;
      await gate.promise;
      return state;
    };
    return gate.resolve;
  };
  return { watch, service, tell, hold, listeners };
}

describe('state of the state machine', () => {
  test('as notified, and as asked for every five seconds', async () => {
    const { watch, service, tell } = setUp();
    expect(watch.state()).toBeUndefined();
    await watch.start();
    expect([watch.state(), watch.isSyncing()]).toEqual(['RUNNING', false]);
    tell('LEGACYSYNCING');
    expect([watch.state(), watch.isSyncing()]).toEqual(['LEGACYSYNCING', true]);
    service.state = 'CATCHINGBLOCKS';
    await vi.advanceTimersByTimeAsync(ASK_INTERVAL_MS);
    expect([watch.state(), watch.isSyncing()]).toEqual(['CATCHINGBLOCKS', true]);
    await watch.stop();
  });

  test.each(['at start', 'later'])(
    'a notification is newer than the answer to a question put before it, %s',
    async (when) => {
      const { watch, tell, hold } = setUp();
      if (when === 'later') await watch.start();
      const answer = hold();
      const starting = when === 'later' ? undefined : watch.start();
      await vi.advanceTimersByTimeAsync(when === 'later' ? ASK_INTERVAL_MS : 0);
      tell('CATCHINGBLOCKS');
      answer();
      await starting;
      await vi.advanceTimersByTimeAsync(0);
      expect(watch.state()).toBe('CATCHINGBLOCKS');
      await vi.advanceTimersByTimeAsync(ASK_INTERVAL_MS);
      expect(watch.state()).toBe('RUNNING');
      await watch.stop();
    },
  );

  test('a service that does not answer leaves the state as it was', async () => {
    const { watch, service } = setUp();
    await watch.start();
    service.answer = async () => {
      throw new Error('away');
    };
    await vi.advanceTimersByTimeAsync(3 * ASK_INTERVAL_MS);
    expect(watch.state()).toBe('RUNNING');
    service.answer = async () => 'IDLE';
    await vi.advanceTimersByTimeAsync(ASK_INTERVAL_MS);
    expect(watch.state()).toBe('IDLE');
    await watch.stop();
  });

  test('after stop nothing is asked or heard', async () => {
    const { watch, listeners } = setUp();
    await watch.start();
    await Promise.all([watch.stop(), watch.stop()]);
    expect([listeners.size, vi.getTimerCount()]).toEqual([0, 0]);
  });
});
