import { expect, test } from 'vitest';
import { EventQueue } from '../../../src/library/event-queue.ts';

type Event = { readonly type: string; readonly n?: number; readonly byType?: Readonly<Record<string, number>> };

function makeQueue(maxItems: number, maxBytes = 1_000_000) {
  let returns = 0;
  const queue: EventQueue<Event> = new EventQueue<Event>({
    maxItems,
    maxBytes,
    lost: (byType, count) => ({ type: 'lost', n: count, byType }),
    onReturn: async () => {
      returns += 1;
      queue.finish();
    },
  });
  return { queue, returns: () => returns };
}

test('a reader that waits gets each event once, in order', async () => {
  const { queue } = makeQueue(2);
  const [first, second] = [queue.next(), queue.next()];
  for (const n of [1, 2, 3]) queue.push({ type: 'block', n });
  expect([await first, await second, await queue.next()].map(({ value }) => value?.n)).toEqual([1, 2, 3]);
  expect(queue.lostCount).toBe(0);
});

test('beyond the bound the oldest event is dropped, and the loss is told once, by type', async () => {
  const { queue } = makeQueue(2);
  queue.push({ type: 'peer' });
  for (const n of [1, 2, 3]) queue.push({ type: 'block', n });
  const values = [await queue.next(), await queue.next(), await queue.next()].map(({ value }) => value);
  expect(values).toEqual([
    { type: 'lost', n: 2, byType: { peer: 1, block: 1 } },
    { type: 'block', n: 2 },
    { type: 'block', n: 3 },
  ]);
  expect(queue.lostCount).toBe(2);
});

test('events are bounded by their bytes too', () => {
  const { queue } = makeQueue(100, 10_000);
  for (let n = 0; n < 5; n += 1) queue.push({ type: 'node_status', n }, 4000);
  expect(queue.length).toBe(2);
  expect(queue.lostCount).toBe(3);
});

test('an end comes at once to readers that wait and to later reads', async () => {
  const { queue } = makeQueue(2);
  const waiting = queue.next();
  queue.push({ type: 'block' });
  const second = queue.next();
  queue.finish();
  queue.push({ type: 'block' });
  expect((await waiting).done).toBe(false);
  expect(await second).toEqual({ value: undefined, done: true });
  expect(await queue.next()).toEqual({ value: undefined, done: true });
});

test('an error is thrown once, and the loop has ended then', async () => {
  const { queue } = makeQueue(2);
  queue.finish({ error: new Error('no start') });
  await expect(queue.next()).rejects.toThrow('no start');
  expect(await queue.next()).toEqual({ value: undefined, done: true });
});

test('leaving the loop tells the owner of the queue', async () => {
  const { queue, returns } = makeQueue(2);
  queue.push({ type: 'block' });
  for await (const event of queue) {
    expect(event.type).toBe('block');
    break;
  }
  expect(returns()).toBe(1);
});
