// The frames of a capture, whole and broken.
import { describe, expect, test } from 'vitest';
import {
  type Content,
  encodeFrame,
  type FrameFault,
  MAGIC,
  MAX_RECORD_BYTES,
  readFrames,
} from '../../../src/capture/frame.ts';
import { fromJson, toJson } from '../../../src/capture/json-form.ts';

function read(bytes: Buffer): { readonly contents: Content[]; readonly fault: FrameFault | undefined } {
  const frames = readFrames((buffer, at) => bytes.copy(buffer, 0, at));
  const contents: Content[] = [];
  for (;;) {
    const next = frames.next();
    if (next.done) return { contents, fault: next.value };
    contents.push(next.value);
  }
}

const frame = (json: string, ...blobs: Uint8Array[]) => encodeFrame({ json, blobs }) ?? Buffer.alloc(0);
const whole = Buffer.concat([MAGIC, frame('{"a":1}'), frame('{}', Buffer.from([1, 2]), Buffer.alloc(0))]);

describe('frames', () => {
  test('are read as they were written', () => {
    const { contents, fault } = read(whole);
    expect(fault).toBeUndefined();
    expect(contents.map(({ json, blobs }) => [json, blobs.map((blob) => [...blob])])).toEqual([
      ['{"a":1}', []],
      ['{}', [[1, 2], []]],
    ]);
  });

  test('that are cut anywhere end as truncated, with those before', () => {
    const first = MAGIC.length + frame('{"a":1}').length;
    for (let length = first + 1; length < whole.length; length += 1) {
      const { contents, fault } = read(whole.subarray(0, length));
      expect([contents.length, fault]).toEqual([1, { what: 'truncated', atByte: first }]);
    }
  });

  test('with any byte changed are damaged, truncated, or of another kind, and never read as they are not', () => {
    const { contents: good } = read(whole);
    for (let at = 0; at < whole.length; at += 1) {
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] ?? 0) ^ 0x10;
      const { contents, fault } = read(bytes);
      expect(fault, `byte ${at}`).toBeDefined();
      expect(contents).toEqual(good.slice(0, contents.length));
    }
  });

  test('larger than a record may be are not written, and not allocated when they are read', () => {
    expect(encodeFrame({ json: '', blobs: [Buffer.alloc(MAX_RECORD_BYTES)] })).toBeUndefined();
    const huge = Buffer.alloc(8);
    huge.writeUInt32BE(0xffff_ffff, 0);
    expect(read(Buffer.concat([MAGIC, huge])).fault).toMatchObject({ what: 'damaged', atByte: MAGIC.length });
  });
});

describe('JSON of records', () => {
  test('keeps bigint and undefined', () => {
    const value = { a: 7n, b: undefined, c: [1, 'x', null, -3n], d: { e: true } };
    const decoded = fromJson(toJson(value))?.value;
    expect(decoded).toEqual(value);
    expect(Object.keys(decoded as object)).toEqual(['a', 'b', 'c', 'd']);
  });

  test('that is too deep, not JSON, or has an invalid number is refused', () => {
    expect(fromJson('['.repeat(100) + ']'.repeat(100))).toBeUndefined();
    expect(fromJson('{"$n":"1.5"}')).toBeUndefined();
    expect(fromJson('{')).toBeUndefined();
  });

  test('defines no prototype', () => {
    const decoded = fromJson('{"__proto__":{"isAdmin":true}}')?.value as Record<string, unknown>;
    expect(decoded.isAdmin).toBeUndefined();
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
  });
});
