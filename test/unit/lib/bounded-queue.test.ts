import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BoundedQueue } from '../../../src/lib/bounded-queue.ts';

describe('bounded queue', () => {
  test('drops the oldest beyond its bound in items', () => {
    const dropped: number[] = [];
    const queue = new BoundedQueue<number>({ maxItems: 3, onDrop: (item) => dropped.push(item) });
    for (let i = 0; i < 5; i += 1) queue.push(i);
    expect(dropped).toEqual([0, 1]);
    expect([queue.shift(), queue.shift(), queue.shift(), queue.shift()]).toEqual([2, 3, 4, undefined]);
  });

  test('drops the oldest beyond its bound in bytes, and an item larger than all of it at once', () => {
    const dropped: number[] = [];
    const queue = new BoundedQueue<number>({
      maxItems: 100,
      maxBytes: 10,
      sizeOf: (item) => item,
      onDrop: (item) => dropped.push(item),
    });
    for (const item of [4, 5, 3]) queue.push(item);
    expect(dropped).toEqual([4]);
    expect(queue.bytes).toBe(8);
    queue.push(11);
    expect(queue.length).toBe(0);
    expect(queue.bytes).toBe(0);
  });

  test('is a queue, whatever is pushed and taken in whatever order', () => {
    const steps = fc.array(fc.oneof(fc.constant('take' as const), fc.integer({ min: 0, max: 50 })), {
      maxLength: 5000,
    });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 40 }), (all, maxItems) => {
        const queue = new BoundedQueue<number>({ maxItems, maxBytes: 500, sizeOf: (item) => item });
        const model: number[] = [];
        for (const step of all) {
          if (step === 'take') {
            expect(queue.shift()).toBe(model.shift());
            continue;
          }
          queue.push(step);
          model.push(step);
          while (model.length > maxItems || model.reduce((a, b) => a + b, 0) > 500) model.shift();
          expect(queue.length).toBe(model.length);
          expect(queue.bytes).toBe(model.reduce((a, b) => a + b, 0));
          expect(queue.at(0)).toBe(model[0]);
        }
      }),
      { numRuns: 50 },
    );
  });
});
