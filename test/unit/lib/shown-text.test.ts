import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shownLines, shownText, shownTexts } from '../../../src/lib/shown-text.ts';

test.each([
  ['plain text <&> "\'`', 'plain text <&> "\'`'],
  ['Bücher 東京 🚀', 'Bücher 東京 🚀'],
  ['a\u001b[31mb\u0000c\u007fd\u009be', 'a[31mbcde'],
  ['a\r\nb\tc\u2028d', 'a b c d'],
  ['\u202eabc\u2066\u200b\u200d\ufeff\u00ad\u3164\u{e0041}\u034f', 'abc'],
  ['\ud800x', '\ufffdx'],
])('shows %j as %j', (text, shown) => {
  expect(shownText(text)).toBe(shown);
});

test('cuts longer texts between characters', () => {
  expect(shownText('abc', 2)).toBe('ab');
  expect(shownText('ab🚀', 3)).toBe('ab');
  expect(shownText(`${'\u200b'.repeat(1000)}abc`, 3)).toBe('abc');
});

test('leaves nothing that is hidden, and shown texts as they are', () => {
  const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/u;
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.nat(40), (text, maxChars) => {
      const shown = shownText(text, maxChars);
      expect(shown).not.toMatch(hidden);
      expect(shown.length).toBeLessThanOrEqual(maxChars);
      expect(shownText(shown)).toBe(shown);
    }),
  );
});

test('changes texts in objects and lists, copies only what changes, and leaves other values', () => {
  const error = new Error('\u001b');
  const same = { a: ['x', 1, 2n, null, undefined], b: { c: 'y' }, error };
  expect(shownTexts(same)).toBe(same);
  expect(shownTexts({ ...same, b: { c: '\u202ey' } })).toEqual({ ...same, b: { c: 'y' } });
  expect(shownTexts(['\u0007a'])).toEqual(['a']);
  expect(shownLines('a\u001b\nb\u202e')).toBe('a\nb');
});
