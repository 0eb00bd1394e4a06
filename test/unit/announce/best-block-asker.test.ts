// When we request the best blocks of peers, and how often.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BestBlockAsker } from '../../../src/announce/best-block-asker.ts';
import { systemClock } from '../../../src/ports/clock.ts';
import type { PublishOutcome } from '../../../src/ports/p2p-node.ts';
import { recordingLogger } from '../../fakes/recorders.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function setUp() {
  const world = {
    subscribers: 1,
    isHeightKnown: true,
    isRunning: true,
    publish: async (): Promise<PublishOutcome> => 'published',
  };
  const startMs = performance.now();
  const requestedAt: number[] = [];
  const asker = new BestBlockAsker({
    request: async () => {
      requestedAt.push(Math.round((performance.now() - startMs) / SECOND));
      return await world.publish();
    },
    subscribers: () => world.subscribers,
    isHeightKnown: () => world.isHeightKnown,
    isRunning: () => world.isRunning,
    clock: systemClock,
    log: recordingLogger(),
  });
  asker.start();
  return { world, requestedAt, asker };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('the best blocks of peers are requested', () => {
  test('once at start, as soon as a peer subscribes to the topic', async () => {
    const { world, requestedAt } = setUp();
    world.subscribers = 0;
    world.isHeightKnown = false;
    await pass(59 * SECOND);
    expect(requestedAt).toEqual([]);
    world.subscribers = 1;
    world.isHeightKnown = true;
    await pass(10 * MINUTE);
    expect(requestedAt).toEqual([60]);
  });

  test('again when there was no subscriber meanwhile', async () => {
    const { world, requestedAt } = setUp();
    await pass(5 * MINUTE);
    world.subscribers = 0;
    await pass(5 * MINUTE);
    world.subscribers = 3;
    await pass(5 * MINUTE);
    expect(requestedAt).toEqual([0, 602]);
  });

  test.each([0, 10])('again when our FSM is RUNNING after %d minutes of another state', async (minutes) => {
    const { world, requestedAt } = setUp();
    await pass(10 * SECOND);
    world.isRunning = false;
    await pass(minutes * MINUTE + 10 * SECOND);
    expect(requestedAt).toEqual([0]);
    world.isRunning = true;
    await pass(5 * MINUTE);
    expect(requestedAt).toEqual([0, minutes === 0 ? 60 : 622]);
  });

  test('every minute until a connected peer has claimed a height', async () => {
    const { world, requestedAt } = setUp();
    world.isHeightKnown = false;
    await pass(3 * MINUTE + 30 * SECOND);
    world.isHeightKnown = true;
    await pass(30 * MINUTE);
    expect(requestedAt).toEqual([0, 60, 120, 180]);
  });

  test('at most once per minute, whatever changes', async () => {
    const { world, requestedAt } = setUp();
    for (let i = 0; i < 600; i += 1) {
      world.subscribers = i % 3;
      world.isRunning = i % 2 === 0;
      world.isHeightKnown = i % 5 === 0;
      await pass(SECOND);
    }
    expect(requestedAt.length).toBeGreaterThanOrEqual(8);
    expect(requestedAt.length).toBeLessThanOrEqual(10);
    requestedAt.slice(1).forEach((at, i) => {
      expect(at - (requestedAt[i] ?? 0)).toBeGreaterThanOrEqual(60);
    });
  });

  test('again a minute after a request that failed', async () => {
    const { world, requestedAt } = setUp();
    world.publish = async () => {
      throw new Error('no peers');
    };
    await pass(30 * SECOND);
    world.publish = async () => 'published';
    await pass(10 * MINUTE);
    expect(requestedAt).toEqual([0, 60]);
  });

  test('only once by a node that only listens', async () => {
    const { world, requestedAt } = setUp();
    world.publish = async () => 'suppressed';
    world.isHeightKnown = false;
    await pass(10 * MINUTE);
    expect([requestedAt, vi.getTimerCount()]).toEqual([[0], 0]);
  });

  test('no more after stop', async () => {
    const { world, requestedAt, asker } = setUp();
    world.isHeightKnown = false;
    await pass(0);
    asker.stop();
    asker.stop();
    await pass(10 * MINUTE);
    expect([requestedAt, vi.getTimerCount()]).toEqual([[0], 0]);
  });
});
