// What a store of the history promises, whatever database stands behind it. Run for SQLite and for a real PostgreSQL
// server.
import { afterEach, expect, test } from 'vitest';
import type { Hash, PeerId } from '../../src/domain/ids.ts';
import type { HistoryBlock, HistoryHour, HistoryStore } from '../../src/ports/history-store.ts';

export interface HistoryStoreUnderTest {
  /** Another store on the same database, not open yet. */
  store(node: string): HistoryStore;
  /** Runs statements on that database, past every store. */
  sql(text: string): Promise<void>;
}

const T0 = 1_900_000_000_000;
const HOUR_MS = 3_600_000;
const ALL = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, limit: 1000 };

export function historyBlock(number: number, changes: Partial<HistoryBlock> = {}): HistoryBlock {
  return {
    hash: number.toString(16).padStart(64, '0') as Hash,
    height: number,
    author: '12D3KooWAuthor' as PeerId,
    clientName: undefined,
    receivedFrom: undefined,
    firstSeenMs: T0 + number,
    announcers: 1,
    ...changes,
  };
}

export function historyHour(number: number, changes: Partial<HistoryHour> = {}): HistoryHour {
  const hour = { hourMs: T0 + number * HOUR_MS, peers: 3, tipHeight: 7, lag: 0, reorgs: 0, messages: [] };
  return { ...hour, ...changes };
}

export function historyStoreConformance(setUp: () => Promise<HistoryStoreUnderTest>): void {
  const opened: HistoryStore[] = [];

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()));
  });

  async function openOn(target: HistoryStoreUnderTest, node = 'node'): Promise<HistoryStore> {
    const store = target.store(node);
    opened.push(store);
    await store.open();
    return store;
  }

  const fresh = async () => openOn(await setUp());

  test('before open and after close every call is refused as unavailable', async () => {
    const store = (await setUp()).store('node');
    const refused = { code: 'STORE_UNAVAILABLE' };
    await expect(store.blocks(ALL)).rejects.toMatchObject(refused);
    await Promise.all([store.open(), store.open()]);
    expect([await store.blocks(ALL), await store.hours(ALL)]).toEqual([[], []]);
    await store.close();
    await store.close();
    await expect(store.write([historyBlock(1)], [])).rejects.toMatchObject(refused);
    await expect(store.purge(T0)).rejects.toMatchObject(refused);
  });

  test('blocks come back as they were written, the latest first, within a range of times and a limit', async () => {
    const store = await fresh();
    const odd = historyBlock(2, {
      clientName: '\'); DROP TABLE x; -- ☂ "%_$1 ?',
      receivedFrom: '12D3KooWSource' as PeerId,
      height: 4_294_967_295,
    });
    await store.write([historyBlock(1), odd, historyBlock(3), historyBlock(4)], []);
    expect(await store.blocks(ALL)).toEqual([historyBlock(4), historyBlock(3), odd, historyBlock(1)]);
    expect(await store.blocks({ ...ALL, limit: 2 })).toEqual([historyBlock(4), historyBlock(3)]);
    const range = { fromMs: T0 + 2, toMs: T0 + 3, limit: 10 };
    expect(await store.blocks(range)).toEqual([historyBlock(3), odd]);
  });

  test('a text with a zero character is stored without it', async () => {
    const store = await fresh();
    await store.write([historyBlock(1, { clientName: 'a\0b' })], []);
    expect((await store.blocks(ALL))[0]?.clientName).toBe('a\ufffdb');
  });

  test('a block keeps its first announcement, and the larger number of announcers', async () => {
    const store = await fresh();
    await store.write([historyBlock(1, { announcers: 3 })], []);
    const later = { author: 'someone else' as PeerId, firstSeenMs: T0 + 99, clientName: 'x', height: 8 };
    await store.write([historyBlock(1, { ...later, announcers: 2 })], []);
    expect(await store.blocks(ALL)).toEqual([historyBlock(1, { announcers: 3 })]);
    await store.write([historyBlock(1, { ...later, announcers: 5 })], []);
    expect(await store.blocks(ALL)).toEqual([historyBlock(1, { announcers: 5 })]);
  });

  test('of an hour, messages and reorganisations add up, and the rest is as it was last', async () => {
    const store = await fresh();
    const block = (count: number) => ({ topic: 'block', result: 'processed', count });
    const subtree = { topic: 'subtree', result: 'duplicate', count: 3_000_000_000 };
    await store.write([], [historyHour(1, { messages: [block(2), subtree], reorgs: 1 })]);
    await store.write([], [historyHour(1, { messages: [block(5)], reorgs: 2, peers: 9, tipHeight: 8, lag: 4 })]);
    const unknown = historyHour(2, { tipHeight: undefined, lag: undefined });
    await store.write([], [historyHour(0), unknown]);
    const sum = historyHour(1, { messages: [block(7), subtree], reorgs: 3, peers: 9, tipHeight: 8, lag: 4 });
    expect(await store.hours(ALL)).toEqual([unknown, sum, historyHour(0)]);
    expect(await store.hours({ ...ALL, limit: 2 })).toEqual([unknown, sum]);
    expect(await store.hours({ fromMs: T0 + 1, toMs: T0 + HOUR_MS, limit: 10 })).toEqual([sum]);
  });

  test('a write is done whole or not at all', async () => {
    const target = await setUp();
    const store = await openOn(target);
    await target.sql('DROP TABLE teranode_p2p_history_messages');
    const hour = historyHour(1, { messages: [{ topic: 't', result: 'r', count: 1 }] });
    await expect(store.write([historyBlock(1)], [hour])).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(await store.blocks(ALL)).toEqual([]);
  });

  test('nodes that share a database see and delete their own rows only', async () => {
    const target = await setUp();
    const [one, two] = await Promise.all([openOn(target, 'one'), openOn(target, 'two')]);
    const hour = historyHour(1, { messages: [{ topic: 't', result: 'r', count: 1 }] });
    await one?.write([historyBlock(1)], [hour]);
    await two?.write([historyBlock(1, { announcers: 2 })], [hour]);
    expect(await two?.blocks(ALL)).toEqual([historyBlock(1, { announcers: 2 })]);
    expect(await one?.purge(T0 + 2 * HOUR_MS)).toBe('done');
    expect([await one?.blocks(ALL), await one?.hours(ALL)]).toEqual([[], []]);
    expect([await two?.blocks(ALL), await two?.hours(ALL)]).toEqual([[historyBlock(1, { announcers: 2 })], [hour]]);
  });

  test('a purge deletes what is older, a few hundred rows at a time', async () => {
    const store = await fresh();
    const messages = [{ topic: 't', result: 'r', count: 1 }];
    const hours = [0, 1, 2].map((number) => historyHour(number, { messages }));
    await store.write(
      Array.from({ length: 600 }, (_each, i) => historyBlock(i)),
      hours,
    );
    const purges: string[] = [];
    while (purges.at(-1) !== 'done') purges.push(await store.purge(T0 + 590));
    expect(purges).toEqual(['more', 'more', 'done']);
    expect((await store.blocks(ALL)).map(({ height }) => height)).toEqual([
      599, 598, 597, 596, 595, 594, 593, 592, 591, 590,
    ]);
    expect(await store.hours(ALL)).toEqual([hours[2], hours[1]]);
    await store.purge(T0 + 2 * HOUR_MS);
    expect(await store.hours(ALL)).toEqual([hours[2]]);
  });

  test('stores that open an empty database at once all succeed, and a store opened again holds all', async () => {
    const target = await setUp();
    const stores = await Promise.all(['a', 'b', 'c'].map((node) => openOn(target, node)));
    await stores[0]?.write([historyBlock(1)], []);
    await stores[0]?.close();
    expect(await (await openOn(target, 'a')).blocks(ALL)).toEqual([historyBlock(1)]);
  });
}
