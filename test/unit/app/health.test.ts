// Readiness answers in time, whatever the parts that it asks do.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Health } from '../../../src/app/health/health.ts';
import type { FsmState } from '../../../src/ports/blockchain-client.ts';
import { systemClock } from '../../../src/ports/clock.ts';
import type { ProbeResult } from '../../../src/ports/producer.ts';

const never = <T>() => new Promise<T>(() => {});
const fine = async (): Promise<ProbeResult> => ({ ok: true, details: 'fine' });

interface Changes {
  readonly probe?: () => Promise<ProbeResult>;
  readonly isSilent?: boolean;
  readonly fsmState?: () => Promise<FsmState>;
  readonly reports?: Readonly<Record<string, () => Promise<ProbeResult>>>;
}

function deps(changes: Changes = {}) {
  const producer = { probe: changes.probe ?? fine };
  const consumer = (name: string) => ({ probe: changes.reports?.[name] ?? fine });
  const fsmState = changes.fsmState ?? (async (): Promise<FsmState> => 'RUNNING');

  return {
    blockchain: { probe: fine },
    chain: { recentFsmState: fsmState },
    producers: { blocks: producer, subtrees: producer },
    liveness: { start() {}, stop() {}, report: () => ({ status: 200, message: 'OK', checks: [] }) },
    reports: {
      invalidBlocks: consumer('invalidBlocks'),
      invalidSubtrees: consumer('invalidSubtrees'),
      rejectedTxs: consumer('rejectedTxs'),
    },
    blockValidation: undefined,
    keeper: { health: () => ({ ok: true, details: 'this node' }) },
    connectedPeers: () => 0,
    silentFeed: { health: () => ({ ok: changes.isSilent !== true, details: 'fine' }) },
    bans: { storeHealth: () => ({ ok: true, details: 'available' }) },
    clock: systemClock,
  };
}

const checkHealth = async (given: ReturnType<typeof deps>) => await new Health(given).check(false);

describe('readiness', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  test('is given when all is well, and leaves no timer behind', async () => {
    expect(await checkHealth(deps())).toMatchObject({ status: 200 });
    expect(vi.getTimerCount()).toBe(0);
  });

  test('lists a silent feed, and fails for it where its check does', async () => {
    expect(await checkHealth(deps())).toMatchObject({
      status: 200,
      message: expect.stringContaining('feed: ok (fine)'),
    });
    expect(await checkHealth(deps({ isSilent: true }))).toMatchObject({ status: 503 });
  });

  test.each([
    ['invalidBlocks', 'kafka_invalid_blocks'],
    ['invalidSubtrees', 'kafka_invalid_subtrees'],
    ['rejectedTxs', 'kafka_rejected_tx'],
  ])('the broker of %s may be another, and is asked too', async (consumer, name) => {
    const { status, checks } = await checkHealth(
      deps({ reports: { [consumer]: async () => ({ ok: false, details: 'away' }) } }),
    );
    expect(status).toBe(503);
    expect(checks.filter(({ ok }) => !ok)).toMatchObject([{ name, details: 'away' }]);
  });

  test('a state machine that never answers is reported within the deadline', async () => {
    const asked = checkHealth(deps({ fsmState: never }));
    await vi.advanceTimersByTimeAsync(3000);
    const { status, message } = await asked;
    expect(status).toBe(503);
    expect(message).toMatch(/fsm: FAILED \(no answer within/);
    expect(message).toContain('kafka_blocks: ok');
  });

  test('a probe that keeps no deadline, or throws before it returns, is reported too', async () => {
    const asked = checkHealth(deps({ probe: never }));
    await vi.advanceTimersByTimeAsync(3000);
    expect((await asked).message).toMatch(/kafka_blocks: FAILED.*kafka_subtrees: FAILED/s);
    const thrown = await checkHealth(
      deps({
        probe: () => {
          throw new Error('broken');
        },
      }),
    );
    expect(thrown.message).toContain('kafka_blocks: FAILED (broken)');
  });
});
