import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Interned } from '../../../src/lib/interned.ts';

test('keeps a text under one number until it is released as often as it was taken', () => {
  const step = fc.record({ text: fc.constantFrom('a', 'b', 'c', 'd'), takes: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const texts = new Interned();
      const held = new Map<string, number[]>();
      for (const { text, takes } of steps) {
        const numbers = held.get(text) ?? [];
        if (takes) numbers.push(texts.take(text));
        else if (numbers.length > 0) texts.release(numbers.pop() as number);
        held.set(text, numbers);
        const kept = [...held].filter((each) => each[1].length > 0);
        expect(texts.size).toBe(kept.length);
        expect(new Set(kept.flatMap((each) => each[1])).size).toBe(kept.length);
        for (const [each, [number = -1]] of kept)
          expect([texts.find(each), texts.text(number)]).toEqual([number, each]);
        if (numbers.length === 0) expect(texts.find(text)).toBe(-1);
      }
    }),
  );
});
