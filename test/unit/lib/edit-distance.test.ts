import { expect, test } from 'vitest';
import { editDistance } from '../../../src/lib/edit-distance.ts';

test.each([
  ['', '', 0],
  ['', 'abc', 3],
  ['abc', '', 3],
  ['abc', 'abc', 0],
  ['abc', 'abd', 1],
  ['abc', 'ac', 1],
  ['kitten', 'sitting', 3],
  ['ab', 'ba', 2],
])('"%s" becomes "%s" by %i changes', (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance);
  expect(editDistance(b, a)).toBe(distance);
});
