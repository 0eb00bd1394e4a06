import { expect, test } from 'vitest';
import { KeyedHash } from '../../../src/lib/keyed-hash.ts';

/** Of the algorithm's authors: key 00 01 … 07, messages 00 01 … of 0, 1, 2, … bytes. */
const VECTORS = [
  '218d1f59b9b83cc8',
  'be552412f8387315',
  '064f39ef7c50eb57',
  'ce0f1a45f7060679',
  'd5e78a175be52ea1',
  'cb9d7c3f2f3db580',
  'ce3e91358aa2bc25',
  'ff202728b07bc684',
  'edfee820bce4858c',
  '5b51cccc13888307',
];
const KEY = new Int32Array(Uint8Array.from({ length: 8 }, (_, i) => i).buffer);

function hashed(hash: KeyedHash, bytes: number, offset = 0): string {
  const words = new Int32Array(8 + offset);
  new Uint8Array(words.buffer, 4 * offset).set(Array.from({ length: bytes }, (_, i) => i));
  hash.update(words, offset, bytes);
  const result = Buffer.alloc(8);
  result.writeInt32LE(hash.low);
  result.writeInt32LE(hash.high, 4);
  return result.toString('hex');
}

test('hashes the vectors of the authors of HalfSipHash', () => {
  const hash = new KeyedHash(KEY);
  expect(VECTORS.map((_, bytes) => hashed(hash, bytes))).toEqual(VECTORS);
  expect(VECTORS.map((_, bytes) => hashed(hash, bytes, 3))).toEqual(VECTORS);
});

test('has a key of its own unless it is given one', () => {
  expect(hashed(new KeyedHash(), 8)).not.toBe(hashed(new KeyedHash(), 8));
});
