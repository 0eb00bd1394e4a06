// Reads the values of records, which may be anything. Throws TypeError for what cannot be one of ours.

import { isPlain, isTexts } from '../../capture/records.ts';
import type { InputValue } from '../../capture/tap.ts';
import type { PeerId } from '../../domain/ids.ts';
import { parsePeerId } from '../../wire/peer-id.ts';

export function textIn(value: InputValue, key: string): string {
  const text = value[key];
  if (typeof text !== 'string') throw wrong(key, 'text');
  return text;
}

export function numberIn(value: InputValue, key: string): number {
  const number = value[key];
  if (typeof number !== 'number') throw wrong(key, 'a number');
  return number;
}

export function bigintIn(value: InputValue, key: string): bigint {
  const number = value[key];
  if (typeof number !== 'bigint') throw wrong(key, 'a whole number');
  return number;
}

export function optional<T>(
  read: (value: InputValue, key: string) => T,
  value: InputValue,
  key: string,
): T | undefined {
  return value[key] === undefined ? undefined : read(value, key);
}

export function peerIn(value: InputValue, key: string): PeerId {
  const peerId = parsePeerId(textIn(value, key));
  if (peerId === undefined) throw wrong(key, 'a peer ID');
  return peerId;
}

export function plainIn(value: InputValue, key: string): InputValue {
  const plain = value[key];
  if (!isPlain(plain)) throw wrong(key, 'an object');
  return plain;
}

/** A list of objects; empty when there is none. */
export function rowsIn(value: InputValue, key: string): readonly InputValue[] {
  const { [key]: rows = [] } = value;
  if (!Array.isArray(rows) || !rows.every(isPlain)) throw wrong(key, 'a list of objects');
  return rows;
}

/** A list of pairs. */
export function pairsIn(value: InputValue, key: string): readonly (readonly [unknown, unknown])[] {
  const { [key]: pairs = [] } = value;
  const isPair = (each: unknown): each is readonly [unknown, unknown] => Array.isArray(each) && each.length === 2;
  if (!Array.isArray(pairs) || !pairs.every(isPair)) throw wrong(key, 'a list of pairs');
  return pairs;
}

export function textsIn(value: InputValue, key: string): readonly string[] {
  const { [key]: texts = [] } = value;
  if (!isTexts(texts)) throw wrong(key, 'a list of texts');
  return texts;
}

export function wrong(key: string, expected: string): TypeError {
  return new TypeError(`invalid ${key} (expected ${expected})`);
}
