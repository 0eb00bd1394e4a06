// What every store of experiences with peers keeps to, wherever it is: in this process, or in the blockchain service.
import { describe, expect, test } from 'vitest';
import type { BlockHash, PeerId } from '../../src/domain/ids.ts';
import type { PeerEvent, PeerHistory } from '../../src/domain/peer-history.ts';
import type { PeerHistories } from '../../src/ports/peer-histories.ts';
import { eventually } from './eventually.ts';

export interface HistoriesUnderTest {
  /** Started, and without any history. */
  readonly histories: PeerHistories;
  /** Moves the time that the store goes by. */
  readonly advance: (ms: number) => void | Promise<void>;
  /** What `fullStoragePenaltyUntilMs` is after an incomplete block, from then. */
  readonly fullStoragePenaltyMs: number;
}

const FIRST = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY' as PeerId;
const SECOND = '12D3KooWCv5gciT4GsWGpxJLa8nmCNkE6Y8FpMgM5vnfVfVGwUXB' as PeerId;
const HASH = 'ab'.repeat(32) as BlockHash;
const OTHER_HASH = 'cd'.repeat(32) as BlockHash;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** `setUp` makes a store for one test; what it started, it ends after the test. */
export function testPeerHistories(setUp: () => Promise<HistoriesUnderTest>): void {
  const recorded = async (events: readonly PeerEvent[]) => {
    const target = await setUp();
    for (const event of events) await target.histories.record(FIRST, event);
    const shows = (fields: Partial<PeerHistory>) => historyShows(target.histories, FIRST, fields);
    return { ...target, shows };
  };
  describe('outcomes', () => outcomeTests(recorded));
  describe('catch-up', () => catchUpTests(recorded));
  describe('validated progress', () => progressTests(recorded));
  describe('another chance', () => chanceTests(setUp));
}

type Recorded = (events: readonly PeerEvent[]) => Promise<
  HistoriesUnderTest & {
    /** Resolves with the history when it has these fields. */
    readonly shows: (fields: Partial<PeerHistory>) => Promise<PeerHistory>;
  }
>;

async function historyShows(histories: PeerHistories, id: PeerId, fields: Partial<PeerHistory>): Promise<PeerHistory> {
  return await eventually(() => {
    const history = histories.historyOf(id);
    expect(history).toMatchObject({ id, ...fields });
    return history as PeerHistory;
  });
}

const success = (responseMs?: number): PeerEvent => ({ type: 'valid_headers', responseMs });
const FAILURE: PeerEvent = { type: 'failure' };
const MALICIOUS: PeerEvent = { type: 'catchup_malicious' };
const INCOMPLETE: PeerEvent = { type: 'catchup_failure', kind: 'block_incomplete' };

function outcomeTests(recorded: Recorded): void {
  test('a peer without a history is unknown', async () => {
    const { histories } = await recorded([]);
    expect(histories.historyOf(SECOND)).toBeUndefined();
    expect(histories.histories().filter(({ id }) => id === SECOND)).toEqual([]);
    expect(['this node', 'blockchain service']).toContain(histories.keptBy());
  });

  test('a success raises the reputation and counts as an attempt', async () => {
    const { shows } = await recorded([success(1000)]);
    const history = await shows({ attempts: 1, successes: 1, failures: 0, avgResponseMs: 1000, reputation: 90 });
    expect(history.lastSuccessMs).toBeTypeOf('number');
    expect(history.lastAttemptMs).toBe(history.lastSuccessMs);
    expect(history.lastFailureMs).toBeUndefined();
  });

  test('response times are averaged, and an unknown one changes nothing', async () => {
    const { shows } = await recorded([success(1000), success(undefined), success(3000)]);
    await shows({ successes: 3, avgResponseMs: 1400 });
  });

  test('blocks and subtrees are counted apart, and each is a success', async () => {
    const valid = { responseMs: undefined };
    const { shows } = await recorded([
      { type: 'valid_block', ...valid },
      { type: 'valid_subtree', ...valid },
      { type: 'valid_subtree', ...valid },
    ]);
    const history = await shows({
      blocksReceived: 1,
      subtreesReceived: 2,
      successes: 3,
      attempts: 3,
      avgResponseMs: 0,
    });
    expect(history.lastBlockMs).toBeTypeOf('number');
  });

  test('a failure lowers the reputation', async () => {
    const { shows } = await recorded([FAILURE]);
    const history = await shows({ attempts: 1, successes: 0, failures: 1, reputation: 5, catchupFailures: 0 });
    expect(history.lastFailureMs).toBeTypeOf('number');
  });

  test('successes and failures are weighed against each other', async () => {
    const { shows } = await recorded([success(), success(), success(), FAILURE]);
    await shows({ attempts: 4, reputation: 60 });
  });

  test('a malicious peer stays at the lowest reputation whatever it delivers', async () => {
    const { shows } = await recorded([success(), success(), MALICIOUS]);
    await shows({ malicious: 1, failures: 1, attempts: 3, reputation: 5 });
    const again = await recorded([MALICIOUS, success(), success()]);
    await again.shows({ malicious: 1, successes: 2, reputation: 5 });
  });

  test('bytes are added up', async () => {
    const { shows } = await recorded([
      { type: 'bytes_downloaded', bytes: 5_000_000_000n },
      { type: 'bytes_downloaded', bytes: 7n },
    ]);
    await shows({ bytesReceived: 5_000_000_007n, attempts: 0 });
  });

  test('a reset forgets interactions and reputation of one peer, and keeps what it delivered', async () => {
    const { histories, shows } = await recorded([
      { type: 'valid_block', responseMs: 100 },
      MALICIOUS,
      { type: 'catchup_attempt' },
      { type: 'catchup_error', message: 'no such block' },
    ]);
    await histories.record(SECOND, FAILURE);
    await shows({ lastCatchupError: 'no such block' });
    expect(await histories.reset(FIRST)).toBe(1);
    const history = await shows({
      attempts: 0,
      successes: 0,
      failures: 0,
      malicious: 0,
      reputation: 50,
      avgResponseMs: 0,
      catchupAttempts: 0,
      lastCatchupError: '',
      syncAttempts: 0,
      blocksReceived: 1,
    });
    expect(history.lastSyncAttemptMs).toBeUndefined();
    expect(history.lastFailureMs).toBeUndefined();
    await historyShows(histories, SECOND, { failures: 1 });
  });

  test('a reset of all peers says how many there were', async () => {
    const { histories, shows } = await recorded([FAILURE]);
    await histories.record(SECOND, FAILURE);
    await historyShows(histories, SECOND, { failures: 1 });
    expect(await histories.reset(undefined)).toBe(2);
    await shows({ failures: 0, reputation: 50 });
    await historyShows(histories, SECOND, { failures: 0 });
  });

  test('a reset of an unknown peer resets nothing', async () => {
    const { histories } = await recorded([FAILURE]);
    expect(await histories.reset(SECOND)).toBe(0);
  });
}

function catchUpTests(recorded: Recorded): void {
  test('attempt, success and failure of a catch-up are counted apart from other interactions', async () => {
    const { shows } = await recorded([
      { type: 'catchup_attempt' },
      { type: 'catchup_attempt' },
      { type: 'catchup_success', responseMs: 3000 },
      { type: 'catchup_failure', kind: 'generic' },
    ]);
    const history = await shows({
      catchupAttempts: 2,
      catchupSuccesses: 1,
      catchupFailures: 1,
      attempts: 2,
      successes: 1,
      failures: 1,
      syncAttempts: 2,
      avgResponseMs: 3000,
      reputation: 40.5,
    });
    expect(history.lastSyncAttemptMs).toBeTypeOf('number');
    expect(history.fullStoragePenaltyUntilMs).toBeUndefined();
  });

  test('the last error of a catch-up is kept with its time', async () => {
    const { shows } = await recorded([
      { type: 'catchup_error', message: 'no such block' },
      { type: 'catchup_error', message: 'größer als erlaubt' },
    ]);
    const history = await shows({ lastCatchupError: 'größer als erlaubt', attempts: 0, reputation: 50 });
    expect(history.lastCatchupErrorMs).toBeTypeOf('number');
  });

  test('attempts to sync are cleared for all peers at once', async () => {
    const { histories, shows } = await recorded([{ type: 'sync_attempt' }, { type: 'sync_attempt' }]);
    const history = await shows({ syncAttempts: 2, catchupAttempts: 0, attempts: 0 });
    expect(history.lastSyncAttemptMs).toBeTypeOf('number');
    expect(await histories.clearSyncAttempts()).toBe(1);
    await eventually(() => expect(histories.historyOf(FIRST)?.lastSyncAttemptMs).toBeUndefined());
    expect(await histories.clearSyncAttempts()).toBe(0);
  });
}

function progressTests(recorded: Recorded): void {
  const progress = (height: number, chainWork: bigint, hash = HASH): PeerEvent => ({
    type: 'validated_progress',
    height,
    hash,
    chainWork,
  });

  test('the chain with most work that was validated is kept', async () => {
    const work = 2n ** 90n + 1n;
    const { shows } = await recorded([progress(100, work), progress(99, work + 1n, OTHER_HASH), progress(200, work)]);
    const { validated } = await shows({ attempts: 0 });
    await shows({ validated: expect.objectContaining({ height: 99, hash: OTHER_HASH, chainWork: work + 1n }) });
    expect(validated?.atMs).toBeTypeOf('number');
  });

  test('an incomplete block takes away the credited work, and no work is credited until the penalty has ended', async () => {
    const { histories, shows, advance, fullStoragePenaltyMs } = await recorded([progress(100, 1000n)]);
    await shows({ validated: expect.objectContaining({ height: 100 }) });
    await histories.record(FIRST, INCOMPLETE);
    const penalized = await shows({ catchupFailures: 1, failures: 1, validated: undefined });
    expect(penalized.fullStoragePenaltyUntilMs).toBeGreaterThanOrEqual(
      (penalized.lastFailureMs ?? Number.NaN) + fullStoragePenaltyMs,
    );
    await histories.record(FIRST, progress(101, 2000n));
    await histories.record(FIRST, { type: 'sync_attempt' });
    await shows({ syncAttempts: 1, validated: undefined });
    await advance(fullStoragePenaltyMs + 1000);
    await histories.record(FIRST, progress(50, 500n));
    await shows({ validated: expect.objectContaining({ height: 50, chainWork: 500n }) });
  });
}

function chanceTests(setUp: () => Promise<HistoriesUnderTest>): void {
  test('a bad peer gets another chance after the cool-down, and three times later after each earlier one', async () => {
    const { histories, advance } = await setUp();
    await histories.record(FIRST, MALICIOUS);
    await historyShows(histories, FIRST, { reputation: 5 });
    expect(await histories.reconsider(HOUR_MS)).toBe(0);
    await advance(HOUR_MS + 1000);
    expect(await histories.reconsider(HOUR_MS)).toBe(1);
    const reconsidered = await historyShows(histories, FIRST, { reputation: 30, malicious: 0, resets: 1, failures: 1 });
    expect(reconsidered.lastResetMs).toBeTypeOf('number');
    await histories.record(FIRST, FAILURE);
    await historyShows(histories, FIRST, { failures: 2, reputation: 5 });
    await advance(2 * HOUR_MS);
    expect(await histories.reconsider(HOUR_MS)).toBe(0);
    await advance(HOUR_MS + 1000);
    expect(await histories.reconsider(HOUR_MS)).toBe(1);
    await historyShows(histories, FIRST, { reputation: 30, resets: 2 });
  });

  test('a peer of sufficient reputation is not reconsidered', async () => {
    const { histories, advance } = await setUp();
    await histories.record(FIRST, success());
    await histories.record(FIRST, FAILURE);
    await historyShows(histories, FIRST, { reputation: 45 });
    await advance(24 * HOUR_MS);
    expect(await histories.reconsider(MINUTE_MS)).toBe(0);
  });
}
