// Parses JSON of a peer at a cost that its size bounds: no callback for each value, a cap on values, and the text of a
// number is looked up only for the few fields that need it.

import { type Decoded, failed } from './fault.ts';

/** The subtrees of a node status of 256 KiB are 3,900 values; no real message has more. */
const MAX_VALUES = 5000;
/** Members of all objects together; the longest real message has about forty. */
const MAX_MEMBERS = 512;
/** Members of the message itself. */
const MAX_FIELDS = 128;
/** The shortest value takes two bytes, with its comma. */
const MIN_VALUE_BYTES = 2;

/**
 * Matches a text in which a member may be a number that JSON.parse does not keep as it is written: with a point or an
 * exponent, above 2^53, or -0.
 */
const UNUSUAL_NUMBER = /:\s*(?:-?\d+[.eE]|-?\d{16}|-0)/;
const NUMBER = /-?\d[\d.eE+-]*/y;

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d];

/** One object inside a valid JSON text. */
export interface JsonObject {
  readonly value: object;
  /** undefined: all numbers in it are integers that JSON.parse reads exactly. */
  readonly source: ObjectSource | undefined;
}

/** `bytes` as one JSON object. Unknown members cost what JSON.parse takes for them. */
export function parseObject(bytes: Uint8Array, maxBytes: number): Decoded<JsonObject> {
  if (bytes.byteLength > maxBytes) return failed('too_large', `${bytes.byteLength} bytes, at most ${maxBytes}`);
  if (hasTooManyValues(bytes)) return failed('too_many_values', `more than ${MAX_VALUES} values`);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return failed('not_json', 'not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return failed('not_object', 'not a JSON object');
  if (Object.keys(value).length > MAX_FIELDS) return failed('too_many_values', `more than ${MAX_FIELDS} fields`);
  const source = UNUSUAL_NUMBER.test(text) ? new ObjectSource(text, text.indexOf('{')) : undefined;
  return { ok: true, message: { value, source } };
}

/** Each value but the first stands behind a comma or in an object or array; each member has a colon. */
function hasTooManyValues(bytes: Uint8Array): boolean {
  const { length } = bytes;
  if (length <= MAX_VALUES * MIN_VALUE_BYTES) return false;
  let values = 1;
  let members = 0;
  for (let i = 0; i < length; i += 1) {
    const byte = bytes[i];
    if (byte === QUOTE) i = stringEnd(bytes, i, length);
    else if (byte === COMMA || byte === OPEN_BRACKET || byte === OPEN_BRACE) values += 1;
    else if (byte === COLON) members += 1;
    if (values > MAX_VALUES || members > MAX_MEMBERS) return true;
  }
  return false;
}

/** The index of the quote that ends the string which begins at `start`. */
function stringEnd(bytes: Uint8Array, start: number, length: number): number {
  let i = start + 1;
  while (i < length && bytes[i] !== QUOTE) i += bytes[i] === BACKSLASH ? 2 : 1;
  return i;
}

/** Where the members of an object stand in the text that JSON.parse has accepted; found when first asked for. */
export class ObjectSource {
  private readonly text: string;
  private readonly start: number;
  private members: Map<string, number> | undefined;

  constructor(text: string, start: number) {
    this.text = text;
    this.start = start;
  }

  /** The number as it is written; empty when the member is none. `name` is spelled as in the text. */
  number(name: string): string {
    NUMBER.lastIndex = this.at(name);
    return NUMBER.exec(this.text)?.[0] ?? '';
  }

  /** The source of a member that is an object. */
  object(name: string): ObjectSource {
    return new ObjectSource(this.text, this.at(name));
  }

  private at(name: string): number {
    this.members ??= membersOf(this.text, this.start);
    return this.members.get(name) ?? this.text.length;
  }
}

/** Where the value of each member begins; of two members with one name it is the last, as in JSON.parse. */
function membersOf(text: string, start: number): Map<string, number> {
  const members = new Map<string, number>();
  let i = start + 1;
  for (;;) {
    i = afterSpace(text, i);
    if (text.charCodeAt(i) === COMMA) i = afterSpace(text, i + 1);
    if (text.charCodeAt(i) !== QUOTE) return members;
    const end = afterString(text, i);
    const name = text.slice(i + 1, end - 1);
    const value = afterSpace(text, afterSpace(text, end) + 1);
    members.set(name.includes('\\') ? (JSON.parse(text.slice(i, end)) as string) : name, value);
    i = afterValue(text, value);
  }
}

function afterSpace(text: string, start: number): number {
  let i = start;
  while (i < text.length && text.charCodeAt(i) <= 0x20) i += 1;
  return i;
}

function afterString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end > 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end < 0 ? text.length : end + 1;
}

/** Whether an odd number of backslashes precedes a character. */
function isEscaped(text: string, at: number): boolean {
  let first = at;
  while (text.charCodeAt(first - 1) === BACKSLASH) first -= 1;
  return (at - first) % 2 === 1;
}

/** The index of the comma or bracket behind a value, however deep the value is nested. */
function afterValue(text: string, start: number): number {
  let depth = 0;
  for (let i = start; i < text.length; i += 1) {
    const char = text.charCodeAt(i);
    if (char === QUOTE) i = afterString(text, i) - 1;
    else if (char === OPEN_BRACE || char === OPEN_BRACKET) depth += 1;
    else if (depth === 0 && (char === COMMA || char === CLOSE_BRACE)) return i;
    else if (char === CLOSE_BRACE || char === CLOSE_BRACKET) depth -= 1;
  }
  return text.length;
}
