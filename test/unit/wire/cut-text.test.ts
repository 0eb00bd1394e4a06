// Texts that are too long for a message.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CUT_MARK, cutText } from '../../../src/wire/cut-text.ts';

test.each([
  ['short', 'short'],
  ['x'.repeat(10), 'x'.repeat(10)],
  ['x'.repeat(11), 'xxxxxxx…'],
  ['éééééé', 'ééé…'],
  ['語語語語', '語語…'],
  ['🤖🤖🤖', '🤖…'],
  ['x🤖🤖🤖', 'x🤖…'],
  ['', ''],
])('"%s" becomes "%s" in ten bytes', (text, expected) => {
  expect(cutText(text, 10, CUT_MARK)).toBe(expected);
});

test('a text is never longer than its bound, and stays whole up to the mark', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), fc.integer({ min: 3, max: 300 }), (text, max) => {
      const cut = cutText(text, max, CUT_MARK);
      expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(max);
      if (cut === text) return;
      const kept = cut.slice(0, -CUT_MARK.length);
      expect(text.startsWith(kept)).toBe(true);
      expect(kept.isWellFormed()).toBe(text.slice(0, kept.length).isWellFormed());
      expect(Buffer.byteLength(kept)).toBeGreaterThanOrEqual(max - CUT_MARK.length * 3 - 3);
    }),
  );
});
