// When we ask others for their best block, and how seldom.
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
    listeners: 1,
    isHeightKnown: true,
    isRunning: true,
    publish: async (): Promise<PublishOutcome> => 'published',
  };
  const startMs = performance.now();
  const askedAt: number[] = [];
  const asker = new BestBlockAsker({
    request: async () => {
      askedAt.push(Math.round((performance.now() - startMs) / SECOND));
      return await world.publish();
    },
    listeners: () => world.listeners,
    isHeightKnown: () => world.isHeightKnown,
    isRunning: () => world.isRunning,
    clock: systemClock,
    log: recordingLogger(),
  });
  asker.start();
  return { world, askedAt, asker };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('the others are asked for their best block', () => {
  test('once at start, as soon as somebody listens', async () => {
    const { world, askedAt } = setUp();
    world.listeners = 0;
    world.isHeightKnown = false;
    await pass(59 * SECOND);
    expect(askedAt).toEqual([]);
    world.listeners = 1;
    world.isHeightKnown = true;
    await pass(10 * MINUTE);
    expect(askedAt).toEqual([60]);
  });

  test('again when nobody listened meanwhile', async () => {
    const { world, askedAt } = setUp();
    await pass(5 * MINUTE);
    world.listeners = 0;
    await pass(5 * MINUTE);
    world.listeners = 3;
    await pass(5 * MINUTE);
    expect(askedAt).toEqual([0, 602]);
  });

  test.each([0, 10])('again when our chain runs after %d minutes in which it did not', async (minutes) => {
    const { world, askedAt } = setUp();
    await pass(10 * SECOND);
    world.isRunning = false;
    await pass(minutes * MINUTE + 10 * SECOND);
    expect(askedAt).toEqual([0]);
    world.isRunning = true;
    await pass(5 * MINUTE);
    expect(askedAt).toEqual([0, minutes === 0 ? 60 : 622]);
  });

  test('each minute while no connected peer has told its height, and no more when one has', async () => {
    const { world, askedAt } = setUp();
    world.isHeightKnown = false;
    await pass(3 * MINUTE + 30 * SECOND);
    world.isHeightKnown = true;
    await pass(30 * MINUTE);
    expect(askedAt).toEqual([0, 60, 120, 180]);
  });

  test('at most once a minute, whatever comes and goes', async () => {
    const { world, askedAt } = setUp();
    for (let i = 0; i < 600; i += 1) {
      world.listeners = i % 3;
      world.isRunning = i % 2 === 0;
      world.isHeightKnown = i % 5 === 0;
      await pass(SECOND);
    }
    expect(askedAt.length).toBeGreaterThanOrEqual(8);
    expect(askedAt.length).toBeLessThanOrEqual(10);
    askedAt.slice(1).forEach((at, i) => {
      expect(at - (askedAt[i] ?? 0)).toBeGreaterThanOrEqual(60);
    });
  });

  test('a minute later when it could not be said', async () => {
    const { world, askedAt } = setUp();
    world.publish = async () => {
      throw new Error('no peers');
    };
    await pass(30 * SECOND);
    world.publish = async () => 'published';
    await pass(10 * MINUTE);
    expect(askedAt).toEqual([0, 60]);
  });

  test('once and never again by a node that only listens', async () => {
    const { world, askedAt } = setUp();
    world.publish = async () => 'suppressed';
    world.isHeightKnown = false;
    await pass(10 * MINUTE);
    expect([askedAt, vi.getTimerCount()]).toEqual([[0], 0]);
  });

  test('not after stop', async () => {
    const { world, askedAt, asker } = setUp();
    world.isHeightKnown = false;
    await pass(0);
    asker.stop();
    asker.stop();
    await pass(10 * MINUTE);
    expect([askedAt, vi.getTimerCount()]).toEqual([[0], 0]);
  });
});
