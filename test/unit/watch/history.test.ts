// What is collected for the history, and what happens while its store is down or slow.
import { afterEach, expect, test } from 'vitest';
import type { Hash, PeerId } from '../../../src/domain/ids.ts';
import type { Notification } from '../../../src/domain/notification.ts';
import { P2PError } from '../../../src/lib/errors.ts';
import type { HistoryBlock, HistoryHour, HistoryMessages, HistoryStore } from '../../../src/ports/history-store.ts';
import { History } from '../../../src/watch/history.ts';
import { FakeNotifications } from '../../fakes/notifications.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { waitFor } from '../../support/wait.ts';

const HOUR_MS = 3_600_000;
const MISSING = 'teranode_p2p_history_dropped_total';

/** A store in memory that can be down. */
class FakeHistoryStore implements HistoryStore {
  isDown = false;
  readonly written: { blocks: readonly HistoryBlock[]; hours: readonly HistoryHour[] }[] = [];
  purgedBefore: number[] = [];
  isOpen = false;

  async open(): Promise<void> {
    this.answer();
    this.isOpen = true;
  }

  async close(): Promise<void> {
    this.isOpen = false;
  }

  async write(blocks: readonly HistoryBlock[], hours: readonly HistoryHour[]): Promise<void> {
    this.answer();
    this.written.push({ blocks, hours });
  }

  async blocks(): Promise<HistoryBlock[]> {
    return this.written.flatMap(({ blocks }) => blocks);
  }

  async hours(): Promise<HistoryHour[]> {
    return this.written.flatMap(({ hours }) => hours);
  }

  async purge(beforeMs: number): Promise<'done'> {
    this.purgedBefore.push(beforeMs);
    return 'done';
  }

  private answer(): void {
    if (this.isDown) throw new P2PError('STORE_UNAVAILABLE', 'down');
  }
}

const running: History[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((history) => history.stop()));
});

/** Writes only when it stops, unless `writeMs` is given. */
function setUp({ isDown = false, writeMs = 3_600_000 } = {}) {
  const [store, stream, metrics, clock, log] = [
    new FakeHistoryStore(),
    new FakeNotifications(),
    new RecordedMetrics(),
    new FakeClock(),
    recordingLogger(),
  ];
  store.isDown = isDown;
  const messages: HistoryMessages[] = [];
  const facts = { peers: 2, tipHeight: 5, lag: 1 };
  let factsFault: Error | undefined;
  const failFacts = (fault: Error | undefined) => {
    factsFault = fault;
  };
  const current = () => {
    if (factsFault !== undefined) throw factsFault;
    return { ...facts };
  };
  const history = new History(
    { store, stream, metrics, clock, log, facts: () => current(), messages: { take: () => messages.splice(0) } },
    { keptDays: 7, writeMs },
  );
  running.push(history);
  history.start();
  const block = (number: number, peer = 'a', changes: object = {}) =>
    stream.publish({
      ...{ type: 'block', isOwn: false, atMs: clock.now(), hash: String(number) as Hash, height: number, baseUrl: '' },
      ...{ peerId: peer as PeerId, receivedFrom: 'source' as PeerId, ...changes },
    } as Notification);
  return { store, stream, metrics, clock, log, messages, history, block, facts, failFacts };
}

test('a block is kept with its first announcement and the number of its authors', async () => {
  const { store, block, history, clock } = setUp();
  const firstSeenMs = clock.now();
  block(1, 'a', { clientName: 'A' });
  clock.advance(10);
  for (const peer of ['b', 'a', 'c']) block(1, peer, { clientName: peer });
  block(2, 'b');
  await history.stop();
  const first = {
    hash: '1',
    height: 1,
    author: 'a',
    clientName: 'A',
    receivedFrom: 'source',
    firstSeenMs,
    announcers: 3,
  };
  expect(await store.blocks()).toMatchObject([first, { hash: '2', author: 'b', announcers: 1, clientName: undefined }]);
});

test('announcers that come later are written again, for ten minutes', async () => {
  const { store, block, clock } = setUp({ writeMs: 5 });
  const last = async () => (await store.blocks()).at(-1);
  block(1, 'a');
  await waitFor(async () => (await last())?.announcers === 1, { what: 'the block' });
  block(1, 'b');
  await waitFor(async () => (await last())?.announcers === 2, { what: 'its second author' });
  const rows = (await store.blocks()).length;
  clock.advance(600_001);
  const writes = store.written.length;
  await waitFor(() => store.written.length > writes + 1, { what: 'two more writes' });
  expect((await store.blocks()).length).toBe(rows);
  block(1, 'c');
  await waitFor(async () => (await store.blocks()).length > rows, { what: 'a new row' });
  expect(await last()).toMatchObject({ author: 'c', announcers: 1 });
});

test('an hour has the messages, reorganisations and facts of its time', async () => {
  const { store, stream, clock, messages, history } = setUp();
  const point = { hash: '0', height: 0 };
  messages.push({ topic: 'block', result: 'processed', count: 3 });
  stream.publish({ type: 'reorg', isOwn: true, atMs: 0, from: point, to: point, fork: point } as never);
  await history.stop();
  const hourMs = Math.floor(clock.now() / HOUR_MS) * HOUR_MS;
  const counts = [{ topic: 'block', result: 'processed', count: 3 }];
  const hours = await store.hours();
  expect(hours.reduce((sum, { reorgs }) => sum + reorgs, 0)).toBe(1);
  expect(hours.flatMap((hour) => hour.messages)).toEqual(counts);
  expect(hours.at(-1)).toMatchObject({ hourMs, peers: 2, tipHeight: 5, lag: 1 });
});

test('what a store that is down does not take is written once it is up, and the log says so once', async () => {
  const { store, block, messages, log, history, metrics } = setUp({ isDown: true, writeMs: 5 });
  const failures = () => metrics.count('teranode_p2p_history_writes_total', { result: 'failed' });
  for (let i = 0; i < 3; i += 1) {
    block(i);
    messages.push({ topic: 'block', result: 'processed', count: 2 });
    const before = failures();
    await waitFor(() => failures() > before + 1, { what: 'failed writes' });
  }
  await expect(history.blocks({ fromMs: 0, toMs: 1, limit: 1 })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  store.isDown = false;
  await waitFor(async () => (await store.blocks()).length === 3, { what: 'the blocks' });
  expect((await store.hours()).flatMap((hour) => hour.messages)).toEqual([
    { topic: 'block', result: 'processed', count: 6 },
  ]);
  const lines = log.lines.filter(({ level }) => level === 'warn' || level === 'info').map(({ event }) => event);
  expect(lines).toEqual(['failed to write the history', 'history written again']);
  expect(metrics.count(MISSING)).toBe(0);
});

test('while the store is down two thousand blocks wait, and what does not fit is counted', async () => {
  const { store, block, metrics, history } = setUp({ isDown: true });
  for (let i = 0; i < 2050; i += 1) block(i);
  expect(metrics.count(MISSING, { kind: 'block', reason: 'store_unavailable' })).toBe(50);
  expect(metrics.gaugeValue('teranode_p2p_history_open_blocks')).toBe(2000);
  store.isDown = false;
  await history.stop();
  expect((await store.blocks()).map(({ height }) => height)).toEqual(
    Array.from({ length: 2000 }, (_each, i) => i + 50),
  );
});

test('of a day ten thousand blocks are kept, and further ones counted', async () => {
  const { block, metrics, clock } = setUp();
  for (let i = 0; i < 10_005; i += 1) block(i);
  expect(metrics.count(MISSING, { kind: 'block', reason: 'daily_bound' })).toBe(5);
  clock.advance(24 * HOUR_MS);
  block(20_000);
  expect(metrics.count(MISSING, { kind: 'block', reason: 'daily_bound' })).toBe(5);
});

test('a write that could not begin does not prevent later ones, nor the stop', async () => {
  const { store, block, log, history, failFacts } = setUp({ writeMs: 5 });
  failFacts(new TypeError('no facts'));
  await waitFor(() => log.lines.some(({ event }) => event === 'history failed'), { what: 'the failure' });
  failFacts(undefined);
  block(1);
  await waitFor(async () => (await store.blocks()).length === 1, { what: 'the block' });
  await history.stop();
  expect(store.isOpen).toBe(false);
});

test('the hour of a stop has the peers from before it, because they are gone by then', async () => {
  const { store, history, facts } = setUp({ writeMs: 5 });
  await waitFor(() => store.written.length > 0, { what: 'a write' });
  facts.peers = 0;
  await history.stop();
  expect((await store.hours()).at(-1)?.peers).toBe(2);
});

test('a second stop neither opens the store again nor writes to it', async () => {
  const { store, block, history } = setUp();
  block(1);
  await Promise.all([history.stop(), history.stop()]);
  const { length } = store.written;
  await history.stop();
  expect([store.isOpen, store.written.length]).toEqual([false, length]);
});

test('rows older than the days of the setting are purged', async () => {
  const { store, clock } = setUp({ writeMs: 5 });
  await waitFor(() => store.purgedBefore.length > 0, { what: 'a purge' });
  expect(store.purgedBefore[0]).toBe(clock.now() - 7 * 24 * HOUR_MS);
});
