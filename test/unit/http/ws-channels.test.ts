// When WebSocket frames are written at once and when they are joined: by clients times frames per second.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Batch, type BatchReceiver, WsChannels } from '../../../src/adapters/http/websocket/channels.ts';
import { parseFilter, type SubscriptionFilter } from '../../../src/adapters/http/websocket/types.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

const SUBTREES = filter('subtree');
const BLOCKS = filter('block');

function filter(types: string): SubscriptionFilter {
  const parsed = parseFilter(types, []);
  if ('unknown' in parsed) throw new Error(parsed.unknown);
  return parsed;
}

/** Keeps what it is given, and when. */
class Receiver implements BatchReceiver {
  readonly batches: Batch[] = [];
  readonly atMs: number[] = [];

  receive(batch: Batch): void {
    this.batches.push(batch);
    this.atMs.push(performance.now());
  }

  text(): string {
    return Buffer.concat(this.batches.map(({ bytes }) => bytes)).toString();
  }
}

interface Scene {
  readonly channels: WsChannels;
  readonly receivers: readonly Receiver[];
  readonly leave: readonly (() => void)[];
}

function sceneOf(clients: number, now = () => performance.now()): Scene {
  const channels = new WsChannels({ now }, { maxPending: 1000 });
  const receivers = Array.from({ length: clients }, () => new Receiver());
  return { channels, receivers, leave: receivers.map((receiver) => channels.join(SUBTREES, receiver)) };
}

function frame(number: number): Buffer {
  return Buffer.from(`${number},`);
}

function textOf(count: number, from = 0): string {
  return Array.from({ length: count }, (_each, i) => `${from + i},`).join('');
}

/** So many turns of the event loop end; the fake clock counts a millisecond for each further one. */
async function endTurn(turns = 1): Promise<void> {
  await vi.advanceTimersByTimeAsync(turns - 1);
}

/** Publishes for so long, evenly; the number of frames. */
async function publish({ channels }: Scene, perSecond: number, ms: number): Promise<number> {
  const count = (perSecond * ms) / 1000;
  let sent = 0;
  for (let at = 1; at <= ms; at += 1) {
    for (; sent < (count * at) / ms; sent += 1) channels.add(frame(sent), 'subtree');
    await vi.advanceTimersByTimeAsync(1);
  }
  return count;
}

function writesOf({ receivers }: Scene): number {
  return receivers.reduce((sum, { batches }) => sum + batches.length, 0);
}

/** The longest time between two writes to one client. */
function longestGapMs({ receivers }: Scene): number {
  return Math.max(...receivers.flatMap(({ atMs }) => atMs.slice(1).map((ms, i) => ms - (atMs[i] ?? 0))));
}

describe('within the budget', () => {
  test.each([1, 10, 200, 1000])('a frame after a pause goes to %i clients at once', async (clients) => {
    const scene = sceneOf(clients);
    await vi.advanceTimersByTimeAsync(10_000);
    scene.channels.add(frame(0), 'subtree');
    await endTurn(10);
    expect(scene.receivers.every((receiver) => receiver.text() === textOf(1))).toBe(true);
  });

  test('every frame at 1,000 per second is written by itself to one client, as it comes', async () => {
    const scene = sceneOf(1);
    for (let i = 0; i < 2000; i += 1) {
      scene.channels.add(frame(i), 'subtree');
      expect(scene.receivers[0]?.batches).toHaveLength(i + 1);
      await vi.advanceTimersByTimeAsync(1);
    }
    expect(scene.receivers[0]?.text()).toBe(textOf(2000));
  });

  test('of frames that come together the first is written at once, the others joined at the end of the turn', async () => {
    const scene = sceneOf(2);
    for (let i = 0; i < 10; i += 1) scene.channels.add(frame(i), 'subtree');
    const [a, b] = scene.receivers;
    expect(a?.text()).toBe(textOf(1));
    await endTurn();
    expect(a?.text()).toBe(textOf(10));
    expect(a?.batches).toHaveLength(2);
    expect(b?.batches.map(({ bytes }) => bytes)).toEqual(a?.batches.map(({ bytes }) => bytes));
    expect(b?.batches[1]?.bytes).toBe(a?.batches[1]?.bytes);
  });

  test('in a long turn of the event loop frames are written every millisecond', () => {
    let nowMs = 0;
    const scene = sceneOf(1, () => nowMs);
    for (let i = 0; i < 20; i += 1) {
      scene.channels.add(frame(i), 'subtree');
      nowMs += 0.5;
    }
    expect(scene.receivers[0]?.batches).toHaveLength(10);
    expect(scene.receivers[0]?.text()).toBe(textOf(19));
  });
});

describe('beyond the budget', () => {
  test.each([
    [10, 5000],
    [100, 5000],
    [500, 12_500],
    [1000, 25_000],
    [10_000, 25_000],
  ])(
    '%i clients at 1,000 frames per second share %i writes per second and get every frame in order',
    async (clients, budget) => {
      const scene = sceneOf(clients);
      const count = await publish(scene, 1000, 1000);
      // What was saved up before, once.
      expect(writesOf(scene)).toBeLessThanOrEqual(budget * 1.05 + 100);
      expect(writesOf(scene)).toBeGreaterThan(budget * 0.9);
      scene.channels.flushAll();
      expect(scene.receivers.every((receiver) => receiver.text() === textOf(count))).toBe(true);
    },
  );

  test.each([
    [10, 4],
    [100, 24],
    [200, 44],
    [1000, 44],
    [5000, 208],
  ])('of %i clients none waits longer than %i ms', async (clients, ms) => {
    const scene = sceneOf(clients);
    await publish(scene, 1000, 1000);
    expect(longestGapMs(scene)).toBeLessThanOrEqual(ms);
  });

  test('the event loop does other work between slices of clients', async () => {
    const scene = sceneOf(1000);
    scene.channels.add(frame(0), 'subtree');
    const seen: number[] = [];
    const look = () => {
      seen.push(writesOf(scene));
      if (writesOf(scene) < 1000) setImmediate(look);
    };
    setImmediate(look);
    await endTurn(10);
    expect(seen).toEqual([100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]);
  });

  test('a burst that fills a channel is handed over at once, and delays later frames by 40 ms at most', async () => {
    const scene = sceneOf(2000);
    for (let i = 0; i < 10_000; i += 1) scene.channels.add(frame(i), 'subtree');
    expect(scene.receivers.every((receiver) => receiver.text() === textOf(10_000))).toBe(true);
    scene.channels.add(frame(10_000), 'subtree');
    await vi.advanceTimersByTimeAsync(40);
    expect(scene.receivers[0]?.text()).toBe(textOf(10_001));
  });

  test('large frames fill a channel by their bytes', () => {
    const scene = sceneOf(1);
    for (let i = 0; i < 50; i += 1) scene.channels.add(Buffer.alloc(20 * 1024), 'subtree');
    expect(scene.receivers[0]?.batches).toHaveLength(1);
  });
});

describe('clients that come and go', () => {
  test('get nothing from before, and nothing afterwards', async () => {
    const scene = sceneOf(300);
    for (let i = 0; i < 3; i += 1) scene.channels.add(frame(i), 'subtree');
    const late = new Receiver();
    scene.channels.join(SUBTREES, late);
    scene.leave[0]?.();
    scene.leave[0]?.();
    scene.channels.add(frame(3), 'subtree');
    await vi.advanceTimersByTimeAsync(100);
    expect(late.text()).toBe(textOf(1, 3));
    expect(scene.receivers[0]?.text()).toBe('');
    expect(scene.receivers.slice(1).every((receiver) => receiver.text() === textOf(4))).toBe(true);
  });

  test('when all have left, frames are not wanted and no timer is left', async () => {
    const scene = sceneOf(3);
    scene.channels.add(frame(0), 'subtree');
    scene.channels.add(frame(1), 'subtree');
    for (const leave of scene.leave) leave();
    expect(scene.channels.isWanted('subtree')).toBe(false);
    await vi.advanceTimersByTimeAsync(100);
    expect(vi.getTimerCount()).toBe(0);
    expect(scene.receivers.map((receiver) => receiver.text())).toEqual(['0,', '0,', '0,']);
  });
});

describe('clients with different filters', () => {
  test('get only their types, and frames for all', async () => {
    const scene = sceneOf(1);
    const other = new Receiver();
    scene.channels.join(BLOCKS, other);
    scene.channels.add(frame(0), 'subtree');
    scene.channels.add(frame(1), 'block');
    scene.channels.add(frame(2), undefined);
    await endTurn();
    expect([scene.receivers[0]?.text(), other.text()]).toEqual(['0,2,', '1,2,']);
  });

  test('do not wait for a filter with many clients', async () => {
    const scene = sceneOf(5000);
    const other = new Receiver();
    scene.channels.join(BLOCKS, other);
    await publish(scene, 1000, 500);
    for (let i = 0; i < 20; i += 1) {
      scene.channels.add(frame(i), 'block');
      await vi.advanceTimersByTimeAsync(9);
      expect(other.text()).toBe(textOf(i + 1));
    }
  });
});
