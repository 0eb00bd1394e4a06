// Makes new inputs from old ones: changes of bytes, of words and numbers, and of whole JSON values, so that a text is
// often still JSON afterwards. The same seed makes the same inputs.

/** Numbers from a seed (xorshift, 32 bits). */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = (Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) ^ seed) | 1;
    for (let i = 0; i < 8; i += 1) this.below(2);
  }

  /** A whole number from 0 to `end` - 1. */
  below(end: number): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return (x >>> 0) % end;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

/** Values at the edges of what readers take, as JSON and as plain text. */
const VALUES = [
  ...['null', 'true', '{}', '[]', '""', '0', '-0', '-1', '1.0', '1e3', '1e999', '0.1', '5e-324', '[[]]', '{"":0}'],
  ...['4294967295', '4294967296', '9007199254740993', '9223372036854775807', '-9223372036854775808'],
  ...['9223372036854775808', '18446744073709551615', '18446744073709551616', '99999999999999999999999999'],
  ...[
    '"\\ud800"',
    '"\\u0000"',
    '"\\u202e"',
    '"\\\\"',
    '"\\n"',
    '"__proto__"',
    '{"__proto__":{}}',
    '[null]',
    '"\u00e9"',
  ],
];
const WORDS = [
  ...[
    '__proto__',
    'constructor',
    'toString',
    '\0',
    '\r\n',
    '\n',
    '%',
    '%2e',
    '..',
    '/',
    '//',
    ':',
    '::',
    '[',
    ']',
    '@',
  ],
  ...[
    '"',
    '\\',
    '\\u0000',
    ',',
    ' ',
    '\t',
    '#',
    '?',
    '&',
    '=',
    '${',
    '}',
    '|',
    ';',
    '\u212a',
    '\ufeff',
    '\u2028',
    '\u{1f600}',
  ],
  ...['-1', '0', '1', '00', '255', '256', '65535', '65536', '4294967296', '1e9', '0x1', 'NaN', 'Infinity', '127.0.0.1'],
];
const EDGES = [0, 1, 0x0a, 0x0d, 0x20, 0x22, 0x5c, 0x7f, 0x80, 0xc0, 0xef, 0xf0, 0xfe, 0xff];
const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a];

type Change = (bytes: Buffer, other: Uint8Array) => Buffer;

export class Mutator {
  private readonly random: Random;
  private readonly maxBytes: number;
  private words: readonly Buffer[];
  private readonly values: readonly Buffer[];
  private readonly changes: readonly Change[];

  constructor(random: Random, options: { readonly maxBytes: number; readonly words: readonly string[] }) {
    this.random = random;
    this.maxBytes = options.maxBytes;
    this.words = [...WORDS, ...options.words].map((each) => Buffer.from(each));
    this.values = VALUES.map((each) => Buffer.from(each));
    this.changes = [
      (bytes) => this.flipped(bytes),
      (bytes) => this.put(bytes, this.at(bytes), 0, this.randomBytes()),
      (bytes) => this.put(bytes, this.at(bytes), this.length(bytes), this.randomBytes()),
      (bytes) => this.put(bytes, this.at(bytes), this.length(bytes), NOTHING),
      (bytes) => this.put(bytes, this.at(bytes), 0, this.random.pick(this.words)),
      (bytes) => this.repeated(bytes),
      (bytes, other) => this.spliced(bytes, other),
      (bytes) => this.otherWord(bytes),
      (bytes) => this.otherWord(bytes),
      (bytes, other) => this.otherValue(bytes, other),
      (bytes, other) => this.otherValue(bytes, other),
      (bytes) => this.otherLetter(bytes),
    ];
  }

  /** More words, such as those that were found in the sources of a reader. */
  learn(words: Iterable<string>): void {
    const known = new Set(this.words.map(String));
    this.words = [...this.words, ...[...words].filter((each) => !known.has(each)).map((each) => Buffer.from(each))];
  }

  /** `input` with one to eight changes; parts may come from `other`. At most `maxBytes` long. */
  mutated(input: Uint8Array, other: Uint8Array): Buffer {
    let bytes = Buffer.from(input);
    for (let left = 1 << this.random.below(4); left > 0; left -= 1) {
      bytes = this.random.pick(this.changes)(bytes, other) as Buffer<ArrayBuffer>;
      if (this.random.below(3) === 0) break;
    }
    return bytes.length > this.maxBytes ? bytes.subarray(0, this.maxBytes) : bytes;
  }

  private at(bytes: Uint8Array): number {
    return this.random.below(bytes.length + 1);
  }

  private length(bytes: Uint8Array): number {
    return 1 + this.random.below(this.random.below(4) === 0 ? Math.max(1, bytes.length) : 8);
  }

  private randomBytes(): Buffer {
    const bytes = Buffer.allocUnsafe(1 + this.random.below(4));
    for (let i = 0; i < bytes.length; i += 1)
      bytes[i] = this.random.below(3) === 0 ? this.random.pick(EDGES) : this.random.below(256);
    return bytes;
  }

  private put(bytes: Buffer, at: number, cut: number, put: Uint8Array): Buffer {
    const rest = Math.min(bytes.length, at + cut);
    const result = Buffer.allocUnsafe(at + put.length + bytes.length - rest);
    bytes.copy(result, 0, 0, at);
    result.set(put, at);
    bytes.copy(result, at + put.length, rest);
    return result;
  }

  private flipped(bytes: Buffer): Buffer {
    if (bytes.length === 0) return this.randomBytes();
    const at = this.random.below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << this.random.below(8));
    return bytes;
  }

  /** A part again: mostly once, sometimes until the input is as long as it may be. */
  private repeated(bytes: Buffer): Buffer {
    const from = this.at(bytes);
    const part = bytes.subarray(from, from + this.length(bytes));
    if (part.length === 0) return bytes;
    const most = Math.floor((this.maxBytes - bytes.length) / part.length);
    const times = this.random.below(200) === 0 ? most : Math.min(most, 1 + this.random.below(3));
    return times <= 0 ? bytes : this.put(bytes, from, 0, Buffer.alloc(part.length * times, part));
  }

  private spliced(bytes: Buffer, other: Uint8Array): Buffer {
    const from = this.at(other);
    const part = other.subarray(from, from + 1 + this.random.below(other.length + 1));
    return this.put(bytes, this.at(bytes), this.random.below(2) * part.length, part);
  }

  /** Another word, value or number in the place of a word. */
  private otherWord(bytes: Buffer): Buffer {
    const at = this.at(bytes);
    let [start, end] = [at, at];
    while (start > 0 && isWord(bytes[start - 1])) start -= 1;
    while (end < bytes.length && isWord(bytes[end])) end += 1;
    const put =
      this.random.below(3) === 0 ? this.nearNumber(bytes.toString('latin1', start, end)) : this.random.pick(this.words);
    return this.put(bytes, start, end - start, put);
  }

  private nearNumber(text: string): Buffer {
    if (!/^\d{1,15}$/.test(text)) return this.random.pick(this.values);
    const changed = [Number(text) + 1, Number(text) - 1, Number(text) * 2, -Number(text)];
    return Buffer.from(String(this.random.pick(changed)));
  }

  /** Another JSON value behind a colon, or, more rarely, the same member again. */
  private otherValue(bytes: Buffer, other: Uint8Array): Buffer {
    const value = valueAfter(bytes, this.at(bytes)) ?? valueAfter(bytes, 0);
    if (value === undefined) return this.put(bytes, this.at(bytes), 0, this.random.pick(this.words));
    const [start, end] = value;
    const kind = this.random.below(6);
    if (kind === 0) {
      const name = bytes.lastIndexOf(0x2c, start);
      return name < 0 ? bytes : this.put(bytes, end, 0, Buffer.from(bytes.subarray(name, end)));
    }
    const theirs = kind === 1 ? valueAfter(other, this.at(other)) : undefined;
    if (theirs !== undefined) return this.put(bytes, start, end - start, other.subarray(...theirs));
    if (kind === 2)
      return this.put(bytes, start, end - start, Buffer.from(JSON.stringify(String(this.random.pick(this.words)))));
    return this.put(bytes, start, end - start, this.random.pick(this.values));
  }

  private otherLetter(bytes: Buffer): Buffer {
    const at = this.at(bytes);
    const byte = bytes[at] ?? 0;
    const isLetter = (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
    if (at < bytes.length) bytes[at] = isLetter ? byte ^ 0x20 : (byte + 1) & 0xff;
    return bytes;
  }
}

const NOTHING = new Uint8Array();

function isWord(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  const lower = byte | 0x20;
  return (byte >= 0x30 && byte <= 0x39) || (lower >= 0x61 && lower <= 0x7a) || byte === 0x5f || byte === 0x2d;
}

/** Where the JSON value behind the next colon begins and ends. */
function valueAfter(bytes: Uint8Array, from: number): [start: number, end: number] | undefined {
  const colon = bytes.indexOf(COLON, from);
  if (colon < 0) return undefined;
  let start = colon + 1;
  while (bytes[start] === 0x20) start += 1;
  let depth = 0;
  for (let i = start; i < bytes.length; i += 1) {
    const byte = bytes[i];
    if (byte === QUOTE) {
      i += 1;
      while (i < bytes.length && bytes[i] !== QUOTE) i += bytes[i] === BACKSLASH ? 2 : 1;
    } else if (byte === 0x7b || byte === 0x5b) depth += 1;
    else if (byte === 0x7d || byte === 0x5d) {
      if (depth === 0) return [start, i];
      depth -= 1;
    } else if (byte === 0x2c && depth === 0) return [start, i];
  }
  return [start, bytes.length];
}
