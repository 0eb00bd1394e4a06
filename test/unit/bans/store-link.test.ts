// Writes to a store that is unavailable, slow, or refuses: order, patience, limits; and changes by other servers.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { P2PError } from '../../../src/lib/errors.ts';
import { banParts, peer } from '../../fakes/ban-parts.ts';
import { FlakyBanStore } from '../../fakes/flaky-ban-store.ts';

const WRITES = 'teranode_p2p_ban_store_writes_total';
const signal = new AbortController().signal;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

async function opened(store = new FlakyBanStore()) {
  const parts = banParts(store);
  await parts.link.open(signal);
  parts.link.startReading();
  return parts;
}

/** A write that notes its name in the store, as a key that was removed. */
function named(key: string) {
  return [`ban ${key}`, (store: { removeBan(key: string): Promise<void> }) => store.removeBan(key)] as const;
}

async function hasSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => {
    settled = true;
  });
  await vi.advanceTimersByTimeAsync(0);
  return settled;
}

describe('writes', () => {
  test('reach the store in order, one at a time', async () => {
    const { link, store } = await opened();
    let underWay = 0;
    let most = 0;
    store.before = async ({ method }) => {
      if (method === 'removeBan') most = Math.max(most, ++underWay);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
    };
    store.after = async () => {
      underWay -= 1;
    };
    const done = Array.from({ length: 20 }, (_each, i) => link.write(...named(`k${i}`)));
    await vi.advanceTimersByTimeAsync(500);
    await Promise.all(done);
    expect(store.argsOf('removeBan')).toEqual(Array.from({ length: 20 }, (_each, i) => `k${i}`));
    expect(most).toBe(1);
  });

  test('include one that is queued at the moment at which another is done', async () => {
    const { link, store } = await opened();
    for (let i = 0; i < 5; i += 1) {
      const write = link.write(...named(`k${i}`));
      expect(await hasSettled(write), `write ${i}`).toBe(true);
    }
    const chain = (async () => {
      for (let i = 5; i < 10; i += 1) await link.write(...named(`k${i}`));
    })();
    expect(await hasSettled(chain)).toBe(true);
    expect(store.argsOf('removeBan')).toHaveLength(10);
  });

  test('are repeated until the store is available again; a caller waits about a second', async () => {
    const { link, store, metrics, log } = await opened();
    store.isDown = true;
    const writes = ['a', 'b', 'c'].map((key) => link.write(...named(key)));
    await vi.advanceTimersByTimeAsync(900);
    expect(await hasSettled(Promise.race(writes))).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    expect(await hasSettled(Promise.all(writes))).toBe(true);
    expect(['a', 'b', 'c'].map((key) => link.pendingCount(`ban ${key}`))).toEqual([1, 1, 1]);
    expect(metrics.gaugeValue('teranode_p2p_ban_store_up')).toBe(0);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    store.calls.length = 0;
    store.isDown = false;
    await vi.advanceTimersByTimeAsync(300);
    expect(store.argsOf('removeBan')).toEqual(['a', 'b', 'c']);
    expect(link.pendingCount('ban a')).toBe(0);
    expect(metrics.count(WRITES, { outcome: 'written' })).toBe(3);
    expect(metrics.gaugeValue('teranode_p2p_ban_store_up')).toBe(1);
  });

  test('resolve with whether they are stored; a store known to be unavailable keeps no caller waiting', async () => {
    const { link, store } = await opened();
    expect(await link.write(...named('a'))).toBe(true);
    store.isDown = true;
    const first = link.write(...named('b'));
    await vi.advanceTimersByTimeAsync(1000);
    expect(await first).toBe(false);
    const second = link.write(...named('c'));
    await vi.advanceTimersByTimeAsync(0);
    expect(await second).toBe(false);
    store.isDown = false;
    await vi.advanceTimersByTimeAsync(1000);
    store.refuses = () => true;
    expect(await link.write(...named('d'))).toBe(false);
  });

  test('are delayed by a slow store, which delays nothing else; each is pending until it is done', async () => {
    const { link, store } = await opened();
    const gate = Promise.withResolvers<void>();
    store.before = () => gate.promise;
    const first = link.write(...named('a'));
    void link.write(...named('a'));
    expect(link.pendingCount('ban a')).toBe(2);
    expect(await hasSettled(first)).toBe(false);
    await vi.advanceTimersByTimeAsync(1000);
    expect(await hasSettled(first)).toBe(true);
    gate.resolve();
    await vi.advanceTimersByTimeAsync(0);
    expect(link.pendingCount('ban a')).toBe(0);
  });

  test.each([
    ['the store refuses', () => new P2PError('STORE_FAILED', 'no')],
    ['the work throws something else', () => new TypeError('bug')],
  ])('are counted and logged, and the next ones follow, when %s', async (_what, failure) => {
    const { link, store, metrics, log } = await opened();
    const bad = link.write('ban bad', async () => {
      throw failure();
    });
    const good = link.write(...named('good'));
    expect(await hasSettled(Promise.all([bad, good]))).toBe(true);
    expect(store.argsOf('removeBan')).toEqual(['good']);
    expect(metrics.count(WRITES, { outcome: 'refused' })).toBe(1);
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    expect(link.pendingCount('ban bad')).toBe(0);
  });

  test('of bans are limited to 10,000: the oldest is dropped, counted and reported, and keeps no caller waiting', async () => {
    const { link, store, metrics } = await opened();
    store.isDown = true;
    const lost: string[] = [];
    const first = link.write(...named('first'), () => lost.push('first'));
    await vi.advanceTimersByTimeAsync(0);
    for (let i = 0; i < 10_005; i += 1) void link.write(...named(`k${i}`), () => lost.push(`k${i}`));
    const bound = metrics.gaugeValue('teranode_p2p_ban_store_queue_bound');
    expect(bound).toBe(20_000);
    await vi.advanceTimersByTimeAsync(5000);
    expect(metrics.gaugeValue('teranode_p2p_ban_store_queue_length')).toBeLessThanOrEqual(bound / 2);
    expect(await hasSettled(first)).toBe(true);
    store.isDown = false;
    store.calls.length = 0;
    await vi.advanceTimersByTimeAsync(5000);
    const written = store.argsOf('removeBan');
    expect(written.at(-1)).toBe('k10004');
    expect(written).toHaveLength(10_000);
    expect(metrics.count(WRITES, { outcome: 'dropped' })).toBe(6);
    expect(lost.toSorted()).toEqual(['first', 'k0', 'k1', 'k2', 'k3', 'k4']);
    expect(link.pendingCount('ban first')).toBe(0);
  });

  test('of scores and addresses, however many, drop no write of a ban, and follow all of them', async () => {
    const { link, store, metrics } = await opened();
    store.isDown = true;
    void link.write(...named('early'));
    for (let i = 0; i < 10_005; i += 1) void link.write(`score ${i}`, (each) => each.resetScores([`${i}`]));
    void link.write(...named('late'));
    await vi.advanceTimersByTimeAsync(1000);
    store.isDown = false;
    store.calls.length = 0;
    await vi.advanceTimersByTimeAsync(1000);
    expect(store.calls.slice(0, 3).map(({ method, args }) => [method, args[0]])).toEqual([
      ['removeBan', 'early'],
      ['removeBan', 'late'],
      ['resetScores', ['5']],
    ]);
    expect(metrics.count(WRITES, { outcome: 'dropped' })).toBe(5);
  });

  test('of several keys are pending for each key until they are done', async () => {
    const { link, store } = await opened();
    const gate = Promise.withResolvers<void>();
    store.before = () => gate.promise;
    const write = link.write(['score a', 'score b'], (each) => each.resetScores(['a', 'b']));
    expect(['score a', 'score b'].map((key) => link.pendingCount(key))).toEqual([1, 1]);
    gate.resolve();
    expect(await hasSettled(write)).toBe(true);
    expect(['score a', 'score b'].map((key) => link.pendingCount(key))).toEqual([0, 0]);
  });

  test('are repeated at once when the store reports a new connection', async () => {
    const { link, store } = await opened();
    store.isDown = true;
    const write = link.write(...named('a'));
    await vi.advanceTimersByTimeAsync(0);
    store.isDown = false;
    expect(await hasSettled(write)).toBe(false);
    store.tell({ type: 'all' });
    expect(await hasSettled(write)).toBe(true);
  });
});

describe('open', () => {
  test('waits for a store that is not available yet', async () => {
    const store = new FlakyBanStore();
    store.isDown = true;
    const { link } = banParts(store);
    const opening = link.open(signal);
    await vi.advanceTimersByTimeAsync(5000);
    expect(store.calls.length).toBeGreaterThan(3);
    store.isDown = false;
    await vi.advanceTimersByTimeAsync(1000);
    await opening;
    expect(store.listenerCount).toBe(1);
  });

  test('gives up after 30 s', async () => {
    const store = new FlakyBanStore();
    store.isDown = true;
    const { link, clock } = banParts(store);
    const opening = link.open(signal);
    const failed = expect(opening).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    clock.advance(30_001);
    await vi.advanceTimersByTimeAsync(1000);
    await failed;
  });

  test('fails at once when the store refuses', async () => {
    const store = new FlakyBanStore();
    store.refuses = () => true;
    await expect(banParts(store).link.open(signal)).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(store.calls).toHaveLength(1);
  });

  test('ends with its signal', async () => {
    const store = new FlakyBanStore();
    store.isDown = true;
    const stop = new AbortController();
    const opening = banParts(store).link.open(stop.signal);
    const failed = expect(opening).rejects.toThrow('stopped');
    await vi.advanceTimersByTimeAsync(100);
    stop.abort(new Error('stopped'));
    await failed;
  });
});

describe('close', () => {
  test('writes what is pending, closes the store, and may be called twice', async () => {
    const { link, store } = await opened();
    store.before = async () => void (await new Promise((resolve) => setTimeout(resolve, 10)));
    for (const key of ['a', 'b', 'c']) void link.write(...named(key));
    const closing = Promise.all([link.close(1000), link.close(1000)]);
    await vi.advanceTimersByTimeAsync(500);
    await closing;
    store.before = () => undefined;
    await link.close(1000);
    expect(store.argsOf('removeBan')).toEqual(['a', 'b', 'c']);
    expect(store.listenerCount).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('waits no longer than its deadline for a store that hangs, and logs the lost writes', async () => {
    const { link, store, log, metrics } = await opened();
    store.before = ({ method }) => (method === 'removeBan' ? new Promise(() => {}) : undefined);
    for (const key of ['a', 'b', 'c']) void link.write(...named(key));
    await vi.advanceTimersByTimeAsync(0);
    const closing = link.close(700);
    await vi.advanceTimersByTimeAsync(690);
    expect(await hasSettled(closing)).toBe(false);
    await vi.advanceTimersByTimeAsync(10);
    expect(await hasSettled(closing)).toBe(true);
    expect(log.lines.at(-1)).toMatchObject({ level: 'warn', fields: { writes: 2 } });
    expect(metrics.count(WRITES, { outcome: 'dropped' })).toBe(2);
  });

  test('tries a store that is available again at once, not after the pause', async () => {
    const { link, store } = await opened();
    store.isDown = true;
    for (const key of ['a', 'b']) void link.write(...named(key));
    await vi.advanceTimersByTimeAsync(100);
    store.isDown = false;
    store.calls.length = 0;
    await link.close(1000);
    expect(store.argsOf('removeBan')).toEqual(['a', 'b']);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('does not wait long for an unavailable store; later writes are dropped and counted', async () => {
    const { link, store, metrics } = await opened();
    store.isDown = true;
    const write = link.write(...named('a'));
    await vi.advanceTimersByTimeAsync(100);
    const closing = link.close(1000).catch(() => {});
    await vi.advanceTimersByTimeAsync(300);
    expect(await hasSettled(closing)).toBe(true);
    expect(await hasSettled(write)).toBe(true);
    expect(await hasSettled(link.write(...named('b')))).toBe(true);
    expect(metrics.count(WRITES, { outcome: 'dropped' })).toBe(2);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('changes by other servers', () => {
  /** Follows both kinds of change, and records what it was asked to reload. */
  async function following(reload: () => Promise<void> = async () => {}) {
    const parts = await opened();
    const read: unknown[] = [];
    for (const type of ['ban', 'score'] as const)
      parts.link.follow({
        type,
        reload: async (changed) => {
          read.push([type, changed === 'all' ? 'all' : [...changed]]);
          await reload();
        },
      });
    return { ...parts, read };
  }

  test('are read by the follower of their kind, several at once; `all` is read by both', async () => {
    const { store, read } = await following();
    store.tell({ type: 'ban', key: 'a' });
    store.tell({ type: 'ban', key: 'b' });
    store.tell({ type: 'ban', key: 'a' });
    await vi.advanceTimersByTimeAsync(0);
    expect(read).toEqual([['ban', ['a', 'b']]]);
    store.tell({ type: 'score', subject: peer(1) });
    await vi.advanceTimersByTimeAsync(0);
    store.tell({ type: 'score', subject: peer(1) });
    store.tell({ type: 'all' });
    await vi.advanceTimersByTimeAsync(0);
    expect(read.slice(1)).toEqual([
      ['score', [peer(1)]],
      ['ban', 'all'],
      ['score', 'all'],
    ]);
  });

  test('that arrive during a read are read afterwards', async () => {
    const gate = Promise.withResolvers<void>();
    const { store, read } = await following(() => gate.promise);
    store.tell({ type: 'ban', key: 'a' });
    await vi.advanceTimersByTimeAsync(0);
    store.tell({ type: 'ban', key: 'b' });
    await vi.advanceTimersByTimeAsync(0);
    expect(read).toEqual([['ban', ['a']]]);
    gate.resolve();
    await vi.advanceTimersByTimeAsync(0);
    expect(read).toEqual([
      ['ban', ['a']],
      ['ban', ['b']],
    ]);
  });

  test('that cannot be read are all read again later', async () => {
    let failures = 2;
    const { store, read } = await following(async () => {
      if (failures-- > 0) throw new P2PError('STORE_UNAVAILABLE', 'away');
    });
    store.tell({ type: 'ban', key: 'a' });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(read).toEqual([
      ['ban', ['a']],
      ['ban', 'all'],
      ['ban', 'all'],
    ]);
  });

  test('become `all` when there are too many to remember', async () => {
    const gate = Promise.withResolvers<void>();
    const { store, read } = await following(() => gate.promise);
    store.tell({ type: 'ban', key: 'first' });
    await vi.advanceTimersByTimeAsync(0);
    for (let i = 0; i < 20_000; i += 1) store.tell({ type: 'ban', key: `k${i}` });
    gate.resolve();
    await vi.advanceTimersByTimeAsync(0);
    expect(read).toEqual([
      ['ban', ['first']],
      ['ban', 'all'],
    ]);
  });

  test('that arrive before the first load are read after it', async () => {
    const parts = banParts();
    await parts.link.open(signal);
    const read: unknown[] = [];
    parts.link.follow({ type: 'ban', reload: async (changed) => void read.push([...changed]) });
    parts.store.tell({ type: 'ban', key: 'a' });
    await vi.advanceTimersByTimeAsync(0);
    expect(read).toEqual([]);
    parts.link.startReading();
    await vi.advanceTimersByTimeAsync(0);
    expect(read).toEqual([['a']]);
  });

  test('are no longer read after close', async () => {
    const { store, read, link } = await following(async () => {
      throw new P2PError('STORE_UNAVAILABLE', 'away');
    });
    store.tell({ type: 'ban', key: 'a' });
    await vi.advanceTimersByTimeAsync(0);
    await link.close(100);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(read).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});
