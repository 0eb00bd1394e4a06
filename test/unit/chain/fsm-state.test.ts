// The FSM state that the tracker keeps: by notification, by asking, and when both cross.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { BlockchainClient, BlockchainNotification, FsmState } from '../../../src/ports/blockchain-client.ts';
import { BEST } from '../../fakes/scripted-chain.ts';
import { tracked } from '../../fakes/tracked.ts';

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
    bestBlockHeader: async () => BEST,
    blockHeader: async () => undefined,
    subscribe: (_source: string, listener: (notification: BlockchainNotification) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  } as unknown as BlockchainClient;
  const chain = tracked(blockchain);
  const signal = new AbortController().signal;
  const tell = (state: FsmState) => {
    for (const listener of listeners) listener({ type: 'fsm_state', state });
  };
  /** Delays the next answer, which has the state at the time of the request, until the returned function is called. */
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
  return { chain, signal, service, tell, hold, listeners };
}

describe('the FSM state', () => {
  test('is taken from notifications, and asked for every five seconds', async () => {
    const { chain, signal, service, tell } = setUp();
    expect(chain.fsmState()).toBeUndefined();
    await chain.start(signal);
    expect([chain.fsmState(), chain.isSyncing()]).toEqual(['RUNNING', false]);
    tell('LEGACYSYNCING');
    expect([chain.fsmState(), chain.isSyncing()]).toEqual(['LEGACYSYNCING', true]);
    service.state = 'CATCHINGBLOCKS';
    await vi.advanceTimersByTimeAsync(ASK_INTERVAL_MS);
    expect([chain.fsmState(), chain.isSyncing()]).toEqual(['CATCHINGBLOCKS', true]);
    await chain.stop();
  });

  test.each(['at start', 'later'])(
    'is that of a notification that comes before the answer to an older request, %s',
    async (when) => {
      const { chain, signal, tell, hold } = setUp();
      if (when === 'later') await chain.start(signal);
      const answer = hold();
      const starting = when === 'later' ? undefined : chain.start(signal);
      await vi.advanceTimersByTimeAsync(when === 'later' ? ASK_INTERVAL_MS : 0);
      tell('CATCHINGBLOCKS');
      answer();
      await starting;
      await vi.advanceTimersByTimeAsync(0);
      expect(chain.fsmState()).toBe('CATCHINGBLOCKS');
      await vi.advanceTimersByTimeAsync(ASK_INTERVAL_MS);
      expect(chain.fsmState()).toBe('RUNNING');
      await chain.stop();
    },
  );

  test('stays the last known one while the service does not answer', async () => {
    const { chain, signal, service } = setUp();
    await chain.start(signal);
    service.answer = async () => {
      throw new Error('away');
    };
    await vi.advanceTimersByTimeAsync(3 * ASK_INTERVAL_MS);
    expect(chain.fsmState()).toBe('RUNNING');
    service.answer = async () => 'IDLE';
    await vi.advanceTimersByTimeAsync(ASK_INTERVAL_MS);
    expect(chain.fsmState()).toBe('IDLE');
    await chain.stop();
  });

  test('is asked for once when stop comes before the first answer, which leaves no loop and no subscription behind', async () => {
    const { chain, signal, hold, listeners } = setUp();
    const answer = hold();
    const starting = chain.start(signal);
    await chain.stop();
    answer();
    await starting;
    expect([listeners.size, vi.getTimerCount()]).toEqual([0, 0]);
  });

  test('is asked for once when start is aborted before the first answer, which leaves no loop and no subscription behind', async () => {
    const { chain, hold, listeners } = setUp();
    const answer = hold();
    const gaveUp = new AbortController();
    const starting = chain.start(gaveUp.signal);
    gaveUp.abort(new Error('given up'));
    answer();
    await expect(starting).rejects.toThrow('given up');
    expect([listeners.size, vi.getTimerCount()]).toEqual([0, 0]);
    await chain.stop();
  });

  test('is neither asked for nor updated after stop', async () => {
    const { chain, signal, listeners } = setUp();
    await chain.start(signal);
    await Promise.all([chain.stop(), chain.stop()]);
    expect([listeners.size, vi.getTimerCount()]).toEqual([0, 0]);
  });
});
