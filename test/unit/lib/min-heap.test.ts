// The heap beside a sorted array.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MinHeap } from '../../../src/lib/min-heap.ts';

test('gives its items in order, whatever was added, taken and dropped in between', () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ type: fc.constant('push' as const), value: fc.nat(50) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('pop' as const) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('retain' as const), below: fc.nat(50) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const heap = new MinHeap<number>((one, other) => one < other);
      let model: number[] = [];
      for (const each of steps) {
        if (each.type === 'push') {
          heap.push(each.value);
          model = [...model, each.value].sort((a, b) => a - b);
        } else if (each.type === 'pop') expect(heap.pop()).toBe(model.shift());
        else {
          heap.retain((value) => value < each.below);
          model = model.filter((value) => value < each.below);
        }
        expect([heap.size, heap.peek()]).toEqual([model.length, model[0]]);
      }
    }),
  );
});
