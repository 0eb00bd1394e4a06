// What is taken for a process that no longer moves, and what is not.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Liveness } from '../../../src/app/health/liveness.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

const SECOND = 1000;
const WELL = { status: 200, message: 'OK', checks: [] };

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function setUp() {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const gossip: { progress: { begun: number; ended: number } | undefined } = { progress: { begun: 0, ended: 0 } };
  const liveness = new Liveness({
    clock,
    metrics,
    pipelines: () => (gossip.progress === undefined ? [] : [gossip.progress]),
  });
  liveness.start();
  return {
    liveness,
    gossip,
    metrics,
    /** The event loop turns meanwhile. */
    pass: async (ms: number) => {
      for (let left = ms; left > 0; left -= 100) {
        clock.advance(Math.min(100, left));
        await vi.advanceTimersByTimeAsync(Math.min(100, left));
      }
    },
    /** It does not. */
    block: (ms: number) => clock.advance(ms),
    failing: () => liveness.report().checks.map(({ name }) => name),
  };
}

describe('the event loop', () => {
  test('that turns is well, however long', async () => {
    const { liveness, pass } = setUp();
    await pass(600 * SECOND);
    expect(liveness.report()).toEqual(WELL);
  });

  test('that stood still for more than 15 s is not: before the late beat, and from it to the next', async () => {
    const { liveness, pass, block, failing, metrics } = setUp();
    await pass(10 * SECOND);
    block(16 * SECOND + 1);
    expect(failing()).toEqual(['event_loop']);
    await pass(SECOND);
    expect(liveness.report()).toMatchObject({
      status: 503,
      message: 'event_loop: FAILED (stood still for 16001 ms)\n',
      checks: [{ name: 'event_loop', ok: false }],
    });
    expect(Math.max(...metrics.observed('teranode_p2p_event_loop_delay_seconds'))).toBeCloseTo(16);
    await pass(SECOND);
    expect(liveness.report()).toEqual(WELL);
  });

  test('that stood still for less is well', async () => {
    const { liveness, pass, block } = setUp();
    for (let i = 0; i < 5; i += 1) {
      block(14 * SECOND);
      expect(liveness.report()).toEqual(WELL);
      await pass(SECOND);
      expect(liveness.report()).toEqual(WELL);
    }
  });
});

describe('the pipeline', () => {
  test('is stuck when messages are under way and none came out for 30 s, and no more when one does', async () => {
    const { liveness, gossip, pass } = setUp();
    await pass(100 * SECOND);
    gossip.progress = { begun: 7, ended: 5 };
    await pass(SECOND);
    gossip.progress = { begun: 8, ended: 5 };
    await pass(29 * SECOND);
    expect(liveness.report()).toEqual(WELL);
    await pass(2 * SECOND);
    const report = liveness.report();
    expect(report).toMatchObject({ status: 503, checks: [{ name: 'pipeline', ok: false }] });
    expect(report.message).toMatch(/^pipeline: FAILED \(3 messages under way, none came out for 3[0-2]\d{3} ms\)\n$/);
    gossip.progress = { begun: 8, ended: 6 };
    expect(liveness.report()).toEqual(WELL);
    await pass(10 * SECOND);
    expect(liveness.report()).toEqual(WELL);
  });

  test('is well while messages come out, though some are always under way; with none; and before it runs', async () => {
    const { liveness, gossip, pass } = setUp();
    for (let i = 1; i <= 60; i += 1) {
      gossip.progress = { begun: 100 + i, ended: i };
      await pass(SECOND);
      expect(liveness.report()).toEqual(WELL);
    }
    gossip.progress = { begun: 200, ended: 200 };
    await pass(60 * SECOND);
    expect(liveness.report()).toEqual(WELL);
    gossip.progress = { begun: 201, ended: 200 };
    await pass(2 * SECOND);
    expect(liveness.report()).toEqual(WELL);
    gossip.progress = undefined;
    await pass(60 * SECOND);
    expect(liveness.report()).toEqual(WELL);
  });
});

test('before start and after stop there is nothing to tell, and no timer', async () => {
  const { liveness, block } = setUp();
  liveness.start();
  liveness.stop();
  liveness.stop();
  block(60 * SECOND);
  expect([liveness.report(), vi.getTimerCount()]).toEqual([WELL, 0]);
});
