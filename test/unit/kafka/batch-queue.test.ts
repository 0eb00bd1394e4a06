// Which messages a producer sends together, and when.
import { describe, expect, test } from 'vitest';
import { BatchQueue, type BatchQueueOptions } from '../../../src/adapters/kafka/batch-queue.ts';

const INTERVAL_MS = 5000;

function setUp(options: Partial<BatchQueueOptions> = {}) {
  let nowMs = 1000;
  let dropped = 0;
  const queue = new BatchQueue(
    {
      maxMessages: 10_000,
      maxBytes: 1 << 26,
      flushMessages: 5000,
      flushBytes: 1 << 26,
      flushIntervalMs: INTERVAL_MS,
      ...options,
    },
    () => {
      dropped += 1;
    },
    () => nowMs,
  );
  return {
    queue,
    dropped: () => dropped,
    advance: (ms: number) => {
      nowMs += ms;
    },
    push: (count: number, bytes = 1, key?: Buffer) => {
      for (let i = 0; i < count; i += 1) queue.push(new Uint8Array(bytes), key);
    },
  };
}

/** Takes and acknowledges everything that is queued, each message by its first byte. */
function drain(queue: BatchQueue): number[][] {
  const batches: number[][] = [];
  while (queue.pending > 0) {
    batches.push(queue.nextBatch().map(({ value }) => value[0] ?? -1));
    queue.acknowledge();
  }
  return batches;
}

describe('a batch is due', () => {
  test('at once for the first message, and for one that follows the latest batch by the flush interval or more', () => {
    const { queue, push, advance } = setUp();
    expect(queue.dueInMs()).toBeUndefined();
    push(1);
    expect(queue.dueInMs()).toBe(0);
    drain(queue);
    expect(queue.dueInMs()).toBeUndefined();
    advance(INTERVAL_MS);
    push(1);
    expect(queue.dueInMs()).toBe(0);
  });

  test('when the latest batch was taken a flush interval ago, however long its request took', () => {
    const { queue, push, advance } = setUp();
    push(1);
    queue.nextBatch();
    advance(1000);
    push(1);
    queue.acknowledge();
    expect(queue.dueInMs()).toBe(INTERVAL_MS - 1000);
    advance(INTERVAL_MS - 1001);
    push(1);
    expect(queue.dueInMs()).toBe(1);
    advance(1);
    expect(queue.dueInMs()).toBe(0);
    queue.nextBatch();
    advance(2 * INTERVAL_MS);
    push(1);
    queue.acknowledge();
    expect(queue.dueInMs()).toBe(0);
  });

  test('later when messages are many, up to 10 ms after the latest batch', () => {
    const intervals = [1, 4, 6, 16, 25, 100].map((count) => {
      const { queue, push } = setUp({ flushIntervalMs: 2 });
      push(count);
      drain(queue);
      push(1);
      return queue.dueInMs();
    });
    expect(intervals).toEqual([2, 4, 5, 8, 10, 10]);
  });

  test('after whole milliseconds, as timers ring', () => {
    const { queue, push, advance } = setUp({ flushIntervalMs: 2 });
    push(1);
    drain(queue);
    push(1);
    advance(0.4);
    expect(queue.dueInMs()).toBe(2);
    advance(1.2);
    expect(queue.dueInMs()).toBe(0);
  });

  test('at once when as many messages or bytes are queued as the URL says, or as one request carries', () => {
    for (const [options, count, bytes] of [
      [{ flushMessages: 3 }, 3, 1],
      [{ flushBytes: 3000 }, 3, 1000],
      [{}, 1000, 1],
      [{}, 2, 256 * 1024],
    ] as const) {
      const { queue, push } = setUp(options);
      push(1);
      drain(queue);
      push(count - 1, bytes);
      expect([count, queue.dueInMs()]).toEqual([count, INTERVAL_MS]);
      push(1, bytes);
      expect([count, queue.dueInMs()]).toEqual([count, 0]);
    }
  });

  test('without another flush interval when a partial batch left messages behind that waited long enough', () => {
    const { queue, push, advance } = setUp();
    push(1500);
    advance(INTERVAL_MS - 1000);
    push(1);
    advance(1000);
    expect(queue.nextBatch()).toHaveLength(1000);
    queue.acknowledge();
    expect(queue.dueInMs()).toBe(0);
    expect(queue.nextBatch()).toHaveLength(501);
    queue.acknowledge();
    expect(queue.dueInMs()).toBeUndefined();
  });

  test('when the oldest message left behind is old enough, however often batches were taken before', () => {
    const { queue, push, advance } = setUp();
    push(1000);
    advance(1000);
    push(10);
    advance(2000);
    drain(queue);
    push(1);
    expect(queue.dueInMs()).toBe(INTERVAL_MS);
    push(1000);
    advance(3000);
    queue.nextBatch();
    queue.acknowledge();
    expect(queue.dueInMs()).toBe(INTERVAL_MS - 3000);
    advance(INTERVAL_MS - 3000);
    expect(queue.dueInMs()).toBe(0);
  });
});

test('a batch stays in flight until it is acknowledged, and counts against the bound', () => {
  const { queue, push, dropped } = setUp({ maxMessages: 10 });
  push(8);
  const batch = queue.nextBatch();
  expect(queue.nextBatch()).toBe(batch);
  push(3);
  expect([queue.pending, dropped()]).toEqual([10, 1]);
  queue.acknowledge();
  expect([queue.pending, queue.inFlight.length]).toEqual([2, 0]);
});

test('messages queued while a batch is in flight follow it in one batch, in order, also when it is repeated', () => {
  const { queue } = setUp();
  const push = (...names: number[]) => {
    for (const name of names) queue.push(Uint8Array.of(name));
  };
  push(1, 2);
  const first = queue.nextBatch();
  push(3);
  push(4, 5);
  expect(queue.inFlight).toBe(first);
  expect(queue.nextBatch()).toBe(first);
  expect(drain(queue)).toEqual([
    [1, 2],
    [3, 4, 5],
  ]);
});

test('a flush takes everything without waiting, at most 1,000 messages or 512 KiB at a time', () => {
  const { queue, push } = setUp();
  push(2500);
  push(5, 200 * 1024);
  const batches: number[][] = [];
  while (queue.pending > 0) {
    const batch = queue.nextBatch();
    batches.push([batch.length, batch.reduce((sum, { value }) => sum + value.byteLength, 0)]);
    queue.acknowledge();
  }
  const large = 200 * 1024;
  expect(batches).toEqual([
    [1000, 1000],
    [1000, 1000],
    [502, 500 + 2 * large],
    [2, 2 * large],
    [1, large],
  ]);
});

test('a message that is dropped because the queue is full is handed back with its callback, the oldest first', () => {
  const told: string[] = [];
  const options = { maxMessages: 3, maxBytes: 1 << 20, flushMessages: 10, flushBytes: 1 << 20, flushIntervalMs: 1 };
  const queue = new BatchQueue(options, ({ onDropped }) => onDropped?.());
  for (const name of ['a', 'b', 'c', 'd', 'e']) queue.push(new Uint8Array(1), undefined, () => told.push(name));
  expect(told).toEqual(['a', 'b']);
  queue.nextBatch();
  queue.push(new Uint8Array(1), undefined, () => told.push('f'));
  expect(told).toEqual(['a', 'b', 'f']);
});

test('a batch that is too large for the broker is halved until each record has been tried alone', () => {
  const { queue, push } = setUp();
  push(4, 1000);
  expect(queue.nextBatch()).toHaveLength(4);
  expect(queue.splitBatch()).toBeUndefined();
  expect(queue.nextBatch()).toHaveLength(2);
  expect(queue.splitBatch()).toBeUndefined();
  expect(queue.splitBatch()).toMatchObject({ value: new Uint8Array(1000) });
  expect([queue.pending, queue.inFlight.length]).toEqual([3, 0]);
  expect(queue.nextBatch()).toHaveLength(1);
  queue.resetBatchSize();
  queue.acknowledge();
  expect(queue.nextBatch()).toHaveLength(2);
});

test('keys count against the bounds of a batch and of the queue', () => {
  const key = Buffer.alloc(1000);
  const { queue, push, dropped } = setUp({ flushBytes: 4000, maxBytes: 10_000 });
  push(1);
  drain(queue);
  push(3, 1, key);
  expect(queue.dueInMs()).toBe(INTERVAL_MS);
  push(1, 1, key);
  expect(queue.dueInMs()).toBe(0);
  expect(queue.nextBatch().map((record) => record.key)).toEqual([key, key, key, key]);
  queue.splitBatch();
  queue.acknowledge();
  expect(queue.nextBatch()).toHaveLength(2);
  push(10, 1, key);
  expect(dropped()).toBeGreaterThan(0);
  expect(queue.bytes).toBeLessThanOrEqual(10_000);
});
