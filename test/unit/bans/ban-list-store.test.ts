// The ban list and its store: unavailable, slow, refusing, changed by other servers, left by a Go deployment.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type BanEvent, BanList } from '../../../src/bans/list/ban-list.ts';
import type { StoreLink } from '../../../src/bans/store/store-link.ts';
import type { BanEntry } from '../../../src/domain/ban.ts';
import type { LegacyBan } from '../../../src/ports/ban-store.ts';
import { banParts, DAY_MS, openList, peer } from '../../fakes/ban-parts.ts';
import { FlakyBanStore, memoryStore } from '../../fakes/flaky-ban-store.ts';
import { ListByText } from '../../fakes/list-by-text.ts';

const WRITES = 'teranode_p2p_ban_store_writes_total';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

const turn = () => vi.advanceTimersByTimeAsync(0);

const AUTOMATIC = { reason: 'r', evidence: 'e', source: 'automatic', causedBy: undefined } as const;

function entry(key: string, untilMs: number, facts: Partial<BanEntry> = {}): BanEntry {
  return {
    key,
    kind: 'address',
    untilMs,
    createdAtMs: 1,
    reason: 'elsewhere',
    evidence: '',
    source: 'operator',
    causedBy: undefined,
    ...facts,
  };
}

describe('while the store is unavailable', () => {
  test('bans are in force at once, add resolves after about a second, and all writes follow in order when it is back', async () => {
    const { list, store } = await openList();
    store.isDown = true;
    let resolved = 0;
    const adding = Promise.all([
      list.add('192.0.2.1').then(() => resolved++),
      list.add('192.0.2.2').then(() => resolved++),
      list.remove('192.0.2.1').then(() => resolved++),
    ]);
    expect(list.listBanned()).toEqual(['192.0.2.2']);
    await vi.advanceTimersByTimeAsync(900);
    expect(resolved).toBe(0);
    await vi.advanceTimersByTimeAsync(200);
    expect(resolved).toBe(3);
    await adding;
    await vi.advanceTimersByTimeAsync(30_000);
    store.isDown = false;
    store.calls.length = 0;
    await vi.advanceTimersByTimeAsync(3000);
    expect(store.calls.map(({ method }) => method)).toEqual(['putBan', 'putBan', 'removeBan']);
    expect((await store.inner.loadBans()).map(({ key }) => key)).toEqual(['192.0.2.2']);
  });

  test('clear takes effect, and bans set before it do not return', async () => {
    const { list, store } = await openList();
    await list.add('192.0.2.1');
    store.isDown = true;
    void list.clear();
    void list.add('192.0.2.2');
    store.tell({ type: 'all' });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(list.listBanned()).toEqual(['192.0.2.2']);
    store.isDown = false;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(list.listBanned()).toEqual(['192.0.2.2']);
    expect((await store.inner.loadBans()).map(({ key }) => key)).toEqual(['192.0.2.2']);
  });

  test('a refused write is counted; its ban stays in force, and the next ban is written', async () => {
    const { list, store, metrics } = await openList();
    store.refuses = ({ args }) => (args[0] as BanEntry).key === '192.0.2.1';
    await list.add('192.0.2.1');
    await list.add('192.0.2.2');
    expect(list.listBanned()).toEqual(['192.0.2.1', '192.0.2.2']);
    expect(metrics.count(WRITES, { outcome: 'refused' })).toBe(1);
    expect((await store.inner.loadBans()).map(({ key }) => key)).toEqual(['192.0.2.2']);
  });
});

describe('a lost write', () => {
  /** Queues as many other writes as may be pending. */
  const pushOut = (list: ListByText) => {
    for (let n = 0; n < 10_001; n += 1) void list.add(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
  };

  test.each([['the re-read'], ['the next minute'], ['the stop']])(
    'of a ban that was refused leaves it in force, and is repeated with %s',
    async (when) => {
      const { list, link, store, metrics } = await openList();
      store.close = async () => {};
      store.refuses = ({ method }) => method === 'putBan';
      void list.add('192.0.2.1');
      await vi.advanceTimersByTimeAsync(1000);
      expect(metrics.gaugeValue('teranode_p2p_bans_unwritten')).toBeGreaterThan(0);
      store.refuses = () => false;
      await vi.advanceTimersByTimeAsync(1000);
      expect(await store.inner.loadBan('192.0.2.1')).toBeUndefined();
      if (when === 'the re-read') store.tell({ type: 'all' });
      else if (when === 'the next minute') list.purge();
      else void link.close(1000);
      await vi.advanceTimersByTimeAsync(1000);
      expect(list.isBanned('192.0.2.1')).toBe(true);
      expect(await store.inner.loadBan('192.0.2.1')).toMatchObject({ key: '192.0.2.1' });
      expect(metrics.gaugeValue('teranode_p2p_bans_unwritten')).toBe(0);
    },
  );

  test('of thousands of bans is repeated with the stop', async () => {
    const { list, link, store, metrics } = await openList({ maxEntries: 5000 });
    store.close = async () => {};
    store.refuses = ({ method }) => method === 'putBan';
    for (let n = 0; n < 2500; n += 1) void list.add(`10.0.${n >> 8}.${n & 255}`);
    await vi.advanceTimersByTimeAsync(1000);
    expect(metrics.gaugeValue('teranode_p2p_bans_unwritten')).toBe(2500);
    store.refuses = () => false;
    await link.close(1000);
    expect(await store.inner.loadBans()).toHaveLength(2500);
  });

  test.each([
    ['runs, as soon as the store is available', () => {}],
    ['stops', (link: StoreLink) => void link.close(1000)],
  ])('of a ban that a full queue dropped is repeated while the server %s', async (_when, end) => {
    const { list, link, store, metrics } = await openList({ maxEntries: 20_000 });
    store.isDown = true;
    void list.add('192.0.2.1');
    await vi.advanceTimersByTimeAsync(0);
    pushOut(list);
    await vi.advanceTimersByTimeAsync(1000);
    expect(metrics.gaugeValue('teranode_p2p_bans_unwritten')).toBeGreaterThan(0);
    store.isDown = false;
    end(link);
    await vi.advanceTimersByTimeAsync(1000);
    expect(metrics.gaugeValue('teranode_p2p_bans_unwritten')).toBe(0);
    expect(store.argsOf('putBan').map((put) => (put as BanEntry).key)).toContain('192.0.2.1');
  });

  test.each(['remove', 'clear'] as const)('of %s does not bring the lifted ban back from the store', async (how) => {
    const { list, store } = await openList();
    await list.add('192.0.2.1');
    store.refuses = ({ method }) => method === 'removeBan' || method === 'clearBans';
    await (how === 'remove' ? list.remove('192.0.2.1') : list.clear());
    store.tell({ type: 'all' });
    await turn();
    expect(list.isBanned('192.0.2.1')).toBe(false);
    store.refuses = () => false;
    store.tell({ type: 'ban', key: '192.0.2.1' });
    await turn();
    expect(list.isBanned('192.0.2.1')).toBe(false);
    expect(await store.inner.loadBans()).toEqual([]);
  });

  test('gives way to a later ban of the same key by another server', async () => {
    const { list, store, clock, metrics } = await openList();
    store.refuses = ({ method }) => method === 'putBan';
    await list.add('192.0.2.1');
    const createdAtMs = clock.now() + 1;
    await store.inner.putBan(entry('192.0.2.1', clock.now() + 7, { createdAtMs, reason: 'theirs' }));
    store.tell({ type: 'ban', key: '192.0.2.1' });
    await turn();
    expect(list.banOf('192.0.2.1')?.reason).toBe('theirs');
    expect(metrics.gaugeValue('teranode_p2p_bans_unwritten')).toBe(0);
  });

  test('that the store refuses permanently is repeated once a minute, and delays no other write', async () => {
    const { list, store } = await openList();
    store.refuses = ({ args }) => (args[0] as BanEntry).key === '192.0.2.1';
    await list.add('192.0.2.1');
    for (let minute = 0; minute < 3; minute += 1) {
      list.purge();
      await turn();
    }
    expect(store.argsOf('putBan')).toHaveLength(4);
    await list.add('192.0.2.2');
    expect(await store.inner.loadBans()).toHaveLength(1);
  });

  test('of a removal is remembered up to a limit', async () => {
    const { list, store, metrics } = await openList({ maxEntries: 10 });
    store.refuses = ({ method }) => method === 'removeBan' || method === 'putBan';
    await list.add('192.0.2.1');
    for (let n = 0; n < 10_500; n += 1) void list.remove(`10.0.${n >> 8}.${n & 255}`);
    await vi.advanceTimersByTimeAsync(2000);
    const bound = metrics.gaugeValue('teranode_p2p_bans_unwritten_bound');
    expect(metrics.gaugeValue('teranode_p2p_bans_unwritten')).toBe(bound);
    store.tell({ type: 'all' });
    await turn();
    expect(list.isBanned('192.0.2.1')).toBe(true);
  });
});

describe('changes by other servers', () => {
  async function shared(options = {}) {
    const parts = await openList(options);
    const events: string[] = [];
    parts.list.subscribe((event: BanEvent) => events.push(`${event.type} ${event.entry.key}`));
    return { ...parts, events, until: parts.clock.now() + 60_000 };
  }

  test('take effect for a new, a changed and a lifted ban, and are reported', async () => {
    const { list, store, events, until } = await shared();
    const change = async (work: Promise<void>) => {
      await work;
      store.tell({ type: 'ban', key: '192.0.2.1' });
      await turn();
    };
    await change(store.inner.putBan(entry('192.0.2.1', until)));
    expect(list.isBanned('192.0.2.1')).toBe(true);
    await change(store.inner.putBan(entry('192.0.2.1', until + 1)));
    expect(list.banOf('192.0.2.1')?.untilMs).toBe(until + 1);
    await change(Promise.resolve());
    await change(store.inner.removeBan('192.0.2.1'));
    expect(list.isBanned('192.0.2.1')).toBe(false);
    expect(events).toEqual(['added 192.0.2.1', 'added 192.0.2.1', 'removed 192.0.2.1']);
  });

  test('are all read after a lost connection, and unchanged bans are not reported again', async () => {
    const { list, store, events, until } = await shared();
    await list.add('192.0.2.1', until);
    await list.add('192.0.2.2', until);
    events.length = 0;
    await store.inner.removeBan('192.0.2.1');
    await store.inner.putBan(entry('192.0.2.3', until));
    await store.inner.putBan(entry('192.0.2.4', 1));
    store.tell({ type: 'all' });
    await turn();
    expect(list.listBanned()).toEqual(['192.0.2.2', '192.0.2.3']);
    expect(events).toEqual(['removed 192.0.2.1', 'added 192.0.2.3']);
  });

  test('do not undo a pending write of this server', async () => {
    const { list, store, until } = await shared();
    await store.inner.putBan(entry('192.0.2.9', until));
    store.isDown = true;
    void list.add('192.0.2.1', until);
    void list.add('192.0.2.9', until + 5);
    await vi.advanceTimersByTimeAsync(1000);
    store.before = ({ method }) => (method.startsWith('load') ? undefined : new Promise(() => {}));
    store.isDown = false;
    store.tell({ type: 'all' });
    store.tell({ type: 'ban', key: '192.0.2.1' });
    await vi.advanceTimersByTimeAsync(5000);
    expect(list.listBanned()).toEqual(['192.0.2.1', '192.0.2.9']);
    expect(list.banOf('192.0.2.9')?.untilMs).toBe(until + 5);
  });

  test('that were read before a write of this server do not undo it', async () => {
    const { list, store, until } = await shared();
    const answer = Promise.withResolvers<void>();
    store.after = ({ method }) => (method === 'loadBans' ? answer.promise : undefined);
    store.tell({ type: 'all' });
    await turn();
    await list.add('192.0.2.1', until);
    answer.resolve();
    await turn();
    expect(list.isBanned('192.0.2.1')).toBe(true);
    await turn();
    expect(list.isBanned('192.0.2.1')).toBe(true);
  });

  test.each([
    ['theirs after ours', ['ours', 'theirs'], 'theirs'],
    ['ours after theirs', ['theirs', 'ours'], 'operator’s'],
  ])('of one key, %s: the last write wins here too', async (_what, order, reason) => {
    const { list, store, until } = await shared();
    const answer = Promise.withResolvers<void>();
    const theirs = () => store.inner.putBan(entry('192.0.2.1', until + 7, { reason: 'theirs' }));
    if (order[0] === 'theirs') await theirs();
    // Written, but not yet known to be.
    store.after = ({ method }) => (method === 'putBan' ? answer.promise : undefined);
    void list.add('192.0.2.1', until, { reason: 'operator’s', evidence: '', source: 'operator', causedBy: undefined });
    await turn();
    if (order[0] === 'ours') await theirs();
    store.tell({ type: 'ban', key: '192.0.2.1' });
    await turn();
    answer.resolve();
    await turn();
    expect(list.banOf('192.0.2.1')?.reason).toBe(reason);
    expect((await store.inner.loadBan('192.0.2.1'))?.reason).toBe(reason);
  });

  test('leave bans in the store that exceed the limit of this server', async () => {
    const { list, store, until, log } = await shared({ maxEntries: 2 });
    for (const n of [1, 2, 3, 4]) await store.inner.putBan(entry(`192.0.2.${n}`, until + n));
    store.tell({ type: 'all' });
    await turn();
    expect(list.listBanned().sort()).toEqual(['192.0.2.3', '192.0.2.4']);
    await store.inner.putBan(entry('192.0.2.5', until));
    await store.inner.putBan(entry('192.0.2.6', until + 6));
    for (const n of [5, 6]) store.tell({ type: 'ban', key: `192.0.2.${n}` });
    await turn();
    expect(list.listBanned().sort()).toEqual(['192.0.2.4', '192.0.2.6']);
    expect(await store.inner.loadBans()).toHaveLength(6);
    expect(log.lines.some(({ level }) => level === 'warn')).toBe(true);
  });

  test('a full list deletes nothing from a shared store', async () => {
    const store = new FlakyBanStore();
    store.isShared = true;
    const { list, clock } = await openList({ maxEntries: 2 }, banParts(store));
    for (const n of [1, 2, 3]) await list.add(`192.0.2.${n}`, clock.now() + 1000 * n);
    expect(list.listBanned()).toEqual(['192.0.2.2', '192.0.2.3']);
    expect(await store.inner.loadBans()).toHaveLength(3);
    await list.remove('192.0.2.1');
    expect(await store.inner.loadBans()).toHaveLength(2);
  });

  test('an operator’s ban of another server replaces an automatic ban in a full list, however long that lasts', async () => {
    const { list, store, until } = await shared({ maxEntries: 2 });
    for (const n of [1, 2]) await list.add(`192.0.2.${n}`, until + 1000 * n, { ...AUTOMATIC });
    await store.inner.putBan(entry('192.0.2.3', until));
    await store.inner.putBan(entry('192.0.2.4', until + 9000, AUTOMATIC));
    for (const n of [3, 4]) store.tell({ type: 'ban', key: `192.0.2.${n}` });
    await turn();
    expect(list.listBanned().sort()).toEqual(['192.0.2.3', '192.0.2.4']);
    await store.inner.putBan(entry('192.0.2.5', until));
    store.tell({ type: 'all' });
    await turn();
    expect(list.listBanned().sort()).toEqual(['192.0.2.3', '192.0.2.5']);
  });

  test('a ban lifted by another server during the first load is lifted here too', async () => {
    const store = new FlakyBanStore();
    await store.inner.open();
    const { clock, link, ...parts } = banParts(store);
    await store.inner.putBan(entry('192.0.2.1', clock.now() + 1000));
    const answer = Promise.withResolvers<void>();
    store.after = ({ method }) => (method === 'loadBans' ? answer.promise : undefined);
    const list = new ListByText(
      new BanList({ clock, link, ...parts }, { defaultDurationMs: DAY_MS, maxEntries: 10 }),
      link,
    );
    await link.open(new AbortController().signal);
    const init = list.init();
    await turn();
    await store.inner.removeBan('192.0.2.1');
    store.tell({ type: 'ban', key: '192.0.2.1' });
    await turn();
    answer.resolve();
    await init;
    link.startReading();
    await turn();
    expect(list.listBanned()).toEqual([]);
  });
});

describe('the bans of a Go deployment', () => {
  const rows = (n: number): LegacyBan[] =>
    Array.from({ length: n }, (_each, i) => ({
      key: `10.0.${i >> 8}.${i & 255}`,
      subnet: `10.0.${i >> 8}.${i & 255}/32`,
      expiration: '2099-01-01T00:00:00Z',
    }));

  test('are imported once, in force at once, and marked as imported after the last row', async () => {
    const store = new FlakyBanStore();
    store.legacy = rows(2500);
    const { list } = await openList({ maxEntries: 5000 }, banParts(store));
    expect(list.entries()).toHaveLength(2500);
    expect(store.calls.at(-1)?.method).toBe('legacyTaken');
    expect(await store.inner.loadBans()).toHaveLength(2500);
    await list.remove('10.0.0.1');
    const again = await openList({ maxEntries: 5000 }, banParts(store));
    expect(again.list.isBanned('10.0.0.1')).toBe(false);
    expect(again.list.entries()).toHaveLength(2499);
  });

  test('are in force, and marked only after the last row, when the store fails in between', async () => {
    const store = new FlakyBanStore(memoryStore());
    store.legacy = rows(3);
    store.before = async ({ method }) => {
      if (method === 'putBan') store.isDown = true;
    };
    const opening = openList({}, banParts(store));
    await vi.advanceTimersByTimeAsync(5000);
    const { list } = await opening;
    expect(list.entries()).toHaveLength(3);
    expect(store.legacy).toHaveLength(3);
    store.before = () => undefined;
    store.isDown = false;
    await vi.advanceTimersByTimeAsync(5000);
    expect(await store.inner.loadBans()).toHaveLength(3);
    expect(store.legacy).toHaveLength(0);
    expect(store.calls.at(-1)?.method).toBe('legacyTaken');
  });

  test('do not replace bans of the own list', async () => {
    const { clock, store, list } = await openList();
    await list.add(peer(1), clock.now() + 5000);
    store.legacy = [{ key: peer(1), subnet: '', expiration: '2099-01-01T00:00:00Z' }];
    const again = await openList({}, banParts(store, clock));
    expect(again.list.banOf(peer(1))).toMatchObject({ untilMs: clock.now() + 5000, source: 'operator' });
  });
});
