// The purge of the store: in batches, beside the writes, and never in anybody's way.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { StorePurge } from '../../../src/bans/store/store-purge.ts';
import { P2PError } from '../../../src/lib/errors.ts';
import { banParts } from '../../fakes/ban-parts.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

const turn = () => vi.advanceTimersByTimeAsync(0);

async function opened() {
  const parts = banParts();
  await parts.link.open(new AbortController().signal);
  let batches = 0;
  const answer: { purge: () => Promise<'done' | 'more'> } = { purge: async () => 'done' };
  parts.store.purge = async () => {
    batches += 1;
    return await answer.purge();
  };
  return { ...parts, purge: new StorePurge(parts), answer, batches: () => batches };
}

test('purges in batches with pauses, one at a time, until nothing is left', async () => {
  const { purge, answer, batches } = await opened();
  answer.purge = async () => (batches() < 5 ? 'more' : 'done');
  purge.start();
  purge.start();
  await turn();
  expect(batches()).toBe(1);
  await vi.advanceTimersByTimeAsync(1000);
  expect(batches()).toBe(5);
  purge.start();
  await turn();
  expect(batches()).toBe(6);
});

test('pauses twice as long as a batch took', async () => {
  const { purge, answer, batches, clock } = await opened();
  answer.purge = async () => {
    clock.advance(500);
    return 'more';
  };
  purge.start();
  await vi.advanceTimersByTimeAsync(999);
  expect(batches()).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(batches()).toBe(2);
  await purge.stop();
});

test.each(['STORE_UNAVAILABLE', 'STORE_FAILED'] as const)(
  'one that fails with %s is left for the next time, and writes go on',
  async (code) => {
    const { purge, answer, batches, link, store, log, metrics } = await opened();
    answer.purge = async () => {
      throw new P2PError(code, 'too slow');
    };
    purge.start();
    await link.write('ban a', (each) => each.removeBan('a'));
    expect(store.argsOf('removeBan')).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(batches()).toBe(1);
    expect(metrics.gaugeValue('teranode_p2p_ban_store_up')).toBe(1);
    expect(log.lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
    purge.start();
    await turn();
    expect(batches()).toBe(2);
  },
);

test('a purge that hangs delays no write', async () => {
  const { purge, answer, link, store } = await opened();
  answer.purge = () => new Promise(() => {});
  purge.start();
  await link.write('ban a', (each) => each.removeBan('a'));
  expect(store.argsOf('removeBan')).toEqual(['a']);
});

test('does not begin while the store is unavailable or after stop, and ends with stop', async () => {
  const { purge, answer, batches, link, store } = await opened();
  store.isDown = true;
  void link.write('ban a', (each) => each.removeBan('a'));
  await turn();
  purge.start();
  expect(batches()).toBe(0);
  store.isDown = false;
  await vi.advanceTimersByTimeAsync(1000);
  answer.purge = async () => 'more';
  purge.start();
  await turn();
  await Promise.all([purge.stop(), purge.stop()]);
  purge.start();
  await vi.advanceTimersByTimeAsync(1000);
  expect(batches()).toBe(1);
  expect(vi.getTimerCount()).toBe(0);
});
