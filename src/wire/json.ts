// JSON as Go reads and writes it. The reader ignores the case of field names and unknown fields, treats null as absent,
// and never throws. The writer keeps the order of fields and Go's escaping, byte for byte.

import type { Hash } from '../domain/ids.ts';
import { envelopeData } from './envelope-data.ts';
import { type Decoded, type Fault, failed, fault } from './fault.ts';
import { parseHash, parseShortHash } from './hash.ts';
import { type JsonObject, parseObject } from './json-source.ts';
import { maxEnvelopeBytes } from './message-sizes.ts';

/** Maximum length of a URL. */
export const MAX_URL_CHARS = 2048;
/** Maximum length of a text without a bound of its own. */
export const MAX_TEXT_CHARS = 1024;
/** Maximum length of a peer ID on message-bus. */
const MAX_PEER_ID_CHARS = 128;
export const MAX_UINT32 = 0xffff_ffff;
const MAX_UINT64 = 0xffff_ffff_ffff_ffffn;
const MAX_INT64 = 0x7fff_ffff_ffff_ffffn;

/** An integer as Go reads it: neither `1.0` nor `1e3` is one, nor, as an unsigned integer, `-0`. */
const INTEGER = /^(?!-0$)-?\d{1,20}$/;

/** Case-folded names of the fields that decoders read: a few dozen. */
const KNOWN_NAMES = new Map<string, string>(['name', 'data'].map((name) => [name, name]));

/** Go matches names by Unicode case folding. */
function folded(name: string): string {
  return KNOWN_NAMES.get(name) ?? name.toUpperCase().toLowerCase();
}

/** As `folded`, for a name that stands in a decoder. */
function known(name: string): string {
  let key = KNOWN_NAMES.get(name);
  if (key === undefined) {
    key = folded(name);
    KNOWN_NAMES.set(name, key);
  }
  return key;
}

/** How a gossip message is read. */
export interface Reading {
  /** Largest message. */
  readonly maxBytes: number;
  /**
   * Reads as receivers of message-bus do: hashes may be short, and texts that are only shown have any length; some
   * fields that are wrong are empty.
   */
  readonly isLenient?: boolean;
}

/**
 * Reads the fields of one JSON object and remembers the first fault, which `finish` returns. After a fault it goes on
 * with zero values, so that a decoder is a plain list of its fields.
 */
export class FieldReader {
  private readonly fields: ReadonlyMap<string, unknown>;
  /** Field names that occur in more than one spelling. */
  private readonly ambiguous: ReadonlySet<string> | undefined;
  private readonly object: JsonObject;
  private readonly isLenient: boolean;
  private readonly form: { readonly form?: 'envelope' };
  private fault: Fault | undefined;

  private constructor(object: JsonObject, isLenient = false, form: { readonly form?: 'envelope' } = {}) {
    const fields = new Map<string, unknown>();
    let ambiguous: Set<string> | undefined;
    for (const name of Object.keys(object.value)) {
      const key = folded(name);
      if (fields.has(key)) {
        ambiguous ??= new Set();
        ambiguous.add(key);
      }
      fields.set(key, (object.value as Record<string, unknown>)[name]);
    }
    this.fields = fields;
    this.ambiguous = ambiguous;
    this.object = object;
    this.isLenient = isLenient;
    this.form = form;
  }

  static of(bytes: Uint8Array, { maxBytes, isLenient }: Reading): Decoded<FieldReader> {
    const parsed = parseObject(bytes, maxBytes);
    return parsed.ok ? { ok: true, message: new FieldReader(parsed.message, isLenient) } : parsed;
  }

  /**
   * As `of`, for gossip: where the object is an envelope of message-bus, the fields are those of the message inside.
   * `maxBytes` bounds the message itself, in either form.
   */
  static ofGossip(bytes: Uint8Array, { maxBytes, isLenient = false }: Reading): Decoded<FieldReader> {
    const outer = FieldReader.of(bytes, { maxBytes: maxEnvelopeBytes(maxBytes), isLenient });
    if (!outer.ok) return outer;
    const data = envelopeData(outer.message.fields);
    if (data === undefined) {
      if (bytes.byteLength > maxBytes) return failed('too_large', `${bytes.byteLength} bytes, at most ${maxBytes}`);
      return outer;
    }
    if (!data.ok) return data;
    const inner = parseObject(data.message, maxBytes);
    return inner.ok ? { ok: true, message: new FieldReader(inner.message, isLenient, { form: 'envelope' }) } : inner;
  }

  /** A reader for an object inside this one; undefined when absent, null or, with a fault, of another type. */
  nested(name: string): FieldReader | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return this.wrong(name, 'wrong_type', undefined);
    return new FieldReader({ value, source: this.object.source?.object(this.spelled(name)) });
  }

  /** The message, or the first fault. */
  finish<T>(message: T): Decoded<T> {
    return this.fault === undefined ? { ok: true, message, ...this.form } : { ok: false, fault: this.fault };
  }

  /** What `read` reads; undefined, and no fault, when that is wrong. */
  ifValid<T>(read: () => T): T | undefined {
    const before = this.fault;
    const value = read();
    if (this.fault === before) return value;
    this.fault = before;
    return undefined;
  }

  /** What `read` reads of a field that is only shown. When it is wrong, it is `zero` for a lenient reader. */
  displayed<T>(read: () => T, zero: T): T {
    return this.isLenient ? (this.ifValid(read) ?? zero) : read();
  }

  fail(code: Fault['code'], detail: string): void {
    this.fault ??= fault(code, detail);
  }

  /**
   * undefined when absent or null. A name in two spellings is a fault: Go takes the last one, other parsers the first.
   */
  raw(name: string): unknown {
    const key = known(name);
    if (this.ambiguous?.has(key)) this.fail('ambiguous_field', name);
    return this.fields.get(key) ?? undefined;
  }

  /** Empty when absent. */
  text(name: string, maxChars = MAX_TEXT_CHARS): string {
    const value = this.raw(name);
    if (value === undefined) return '';
    if (typeof value !== 'string') return this.wrong(name, 'wrong_type', '');
    return value.length > maxChars ? this.wrong(name, 'out_of_range', '') : value;
  }

  /** A text that is only shown: of any length for a lenient reader, which leaves it to its caller to cut it. */
  shown(name: string): string {
    return this.isLenient ? this.whole(name) : this.text(name);
  }

  /** A text of any length, within the message. */
  whole(name: string): string {
    return this.text(name, Number.POSITIVE_INFINITY);
  }

  /** A name that a node gives itself, as it is written; no field at all when it is empty. */
  clientName(name: string): { readonly clientName?: string } {
    const clientName = this.shown(name);
    return clientName === '' ? {} : { clientName };
  }

  /** The peer ID of an author, as claimed. */
  peerId(name: string): string {
    return this.text(name, this.isLenient ? MAX_PEER_ID_CHARS : MAX_TEXT_CHARS);
  }

  /** A text that `isValid` accepts. For a lenient reader any other is empty; else only the length is checked. */
  valid(name: string, isValid: (text: string) => boolean, maxChars = MAX_TEXT_CHARS): string {
    if (!this.isLenient) return this.text(name, maxChars);
    const text = this.whole(name);
    return isValid(text) ? text : '';
  }

  /** A required hash. */
  hash(name: string): Hash {
    const text = this.text(name);
    const hash = this.hashOf(text);
    if (hash !== undefined) return hash;
    return this.wrong(name, text === '' ? 'missing_field' : 'hash_form', '' as Hash);
  }

  /** A hash for whose form the author is not responsible; undefined when it is none. */
  repeatedHash(name: string): Hash | undefined {
    return this.hashOf(this.text(name));
  }

  private hashOf(text: string): Hash | undefined {
    return this.isLenient ? parseShortHash(text) : parseHash(text);
  }

  /** A hash; undefined when absent or empty, for a lenient reader also when it is none. */
  optionalHash(name: string): Hash | undefined {
    if (this.isLenient) return parseShortHash(this.whole(name));
    return this.raw(name) === undefined || this.raw(name) === '' ? undefined : this.hash(name);
  }

  /** An integer from 0 to 2^32 - 1; 0 when absent. */
  uint32(name: string): number {
    return Number(this.integer(name, 0n, BigInt(MAX_UINT32)));
  }

  /** 0 when absent. */
  uint64(name: string): bigint {
    return this.integer(name, 0n, MAX_UINT64);
  }

  int64(name: string): bigint {
    return this.integer(name, -MAX_INT64 - 1n, MAX_INT64);
  }

  private integer(name: string, min: bigint, max: bigint): bigint {
    const value = this.raw(name);
    if (value === undefined) return 0n;
    if (typeof value !== 'number') return this.wrong(name, 'wrong_type', 0n);
    const written = this.object.source?.number(this.spelled(name)) ?? String(value);
    const integer = INTEGER.test(written) ? BigInt(written) : undefined;
    if (integer === undefined || integer < min || integer > max) return this.wrong(name, 'out_of_range', 0n);
    return integer;
  }

  /** The name as the message spells it; asked only of unambiguous names. */
  private spelled(name: string): string {
    if (Object.hasOwn(this.object.value, name)) return name;
    const key = known(name);
    return Object.keys(this.object.value).find((each) => folded(each) === key) ?? name;
  }

  /** A finite number; 0 when absent. */
  float(name: string): number {
    const value = this.raw(name);
    if (value === undefined) return 0;
    if (typeof value !== 'number') return this.wrong(name, 'wrong_type', 0);
    return Number.isFinite(value) ? value : this.wrong(name, 'out_of_range', 0);
  }

  private wrong<T>(name: string, code: Fault['code'], zero: T): T {
    this.fail(code, name);
    return zero;
  }
}

/** A field to write. The caller leaves out absent ones. */
export type JsonField = readonly [name: string, value: string | number | bigint | RawJson];

/** JSON text to insert unchanged. */
export interface RawJson {
  readonly json: string;
}

const GO_ESCAPED = /[<>&\u2028\u2029]/g;

/** A string as Go's encoder writes it. */
export function goString(text: string): string {
  return JSON.stringify(text.toWellFormed()).replace(
    GO_ESCAPED,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The text of an object with its fields in the given order. */
export function goObject(fields: readonly JsonField[]): string {
  return `{${fields.map(([name, value]) => `"${name}":${goValue(value)}`).join(',')}}`;
}

function goValue(value: JsonField[1]): string {
  if (typeof value === 'string') return goString(value);
  if (typeof value === 'object') return value.json;
  // Go writes floats in the same shortest form as ECMAScript, exponents included.
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new RangeError('JSON cannot represent infinite numbers');
  return String(value);
}

export function goBytes(fields: readonly JsonField[]): Uint8Array {
  return Buffer.from(goObject(fields), 'utf8');
}
