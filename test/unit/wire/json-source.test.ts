// Reading numbers and nested objects of a JSON text exactly, at a cost that its size bounds.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FieldReader } from '../../../src/wire/json.ts';
import { parseObject } from '../../../src/wire/json-source.ts';

function read(text: string): FieldReader {
  const decoded = FieldReader.of(Buffer.from(text), { maxBytes: 1 << 20 });
  if (!decoded.ok) throw new Error(decoded.fault.code);
  return decoded.message;
}

function faultOf(text: string): string | undefined {
  const parsed = parseObject(Buffer.from(text), 1 << 20);
  return parsed.ok ? undefined : parsed.fault.code;
}

describe('numbers of 64 bits', () => {
  test.each([
    ['{"a":18446744073709551615,"b":1.5}', 18446744073709551615n],
    ['{ "a" : 9007199254740993 }', 9007199254740993n],
    ['{"b":{"a":1.5},"a":7,"c":[{"a":8}]}', 7n],
    ['{"b":"\\"a\\":1.5,\\\\","a":9007199254740993}', 9007199254740993n],
    ['{"b":[[],{},"]}"],"a":9007199254740993}', 9007199254740993n],
    ['{"\\u0061":9007199254740993}', 9007199254740993n],
    ['{"a":1.5,"a":9007199254740993}', 9007199254740993n],
    ['\n\t{"x":null,\r\n"A":\n9007199254740993}', 9007199254740993n],
    ['{"a":12,"b":1e3}', 12n],
  ])('are exact wherever they stand: %s', (text, expected) => {
    const fields = read(text);
    expect(fields.uint64('a')).toBe(expected);
    expect(fields.finish(undefined).ok).toBe(true);
  });

  test.each(['1.0', '1e3', '-0', '-1', '18446744073709551616', '1.5', '"1"', 'true', '[1]'])(
    'are none when written as %s',
    (number) => {
      const fields = read(`{"a":${number}}`);
      fields.uint64('a');
      expect(fields.finish(undefined).ok).toBe(false);
    },
  );

  test('equal the number as it is written, in any object, at any depth', () => {
    const leaf = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
      fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)),
      fc.constantFrom('null', 'true', '[]', '{}'),
    );
    const name = fc.oneof(fc.constantFrom('a', 'b', 'in'), fc.string({ unit: 'binary', maxLength: 4 }));
    const member = fc.tuple(name, leaf, fc.constantFrom('', ' ', '\n'));
    const objectOf = (members: readonly (readonly [string, string, string])[]) =>
      `{${members.map(([key, value, space]) => `${space}${JSON.stringify(key)}${space}:${space}${value}`).join(',')}}`;
    fc.assert(
      fc.property(fc.array(member, { maxLength: 6 }), fc.array(member, { maxLength: 6 }), (outer, inner) => {
        const text = objectOf([...outer, ['in', objectOf(inner), ' ']]);
        const nested = read(text).nested('in');
        const last = (members: typeof inner) => members.findLast(([key]) => key === 'a')?.[1];
        const others = (members: typeof inner) => members.some(([key]) => key !== 'a' && key.toLowerCase() === 'a');
        for (const [fields, members] of [[read(text), outer] as const, [nested, inner] as const]) {
          const written = last(members);
          if (fields === undefined || written === undefined || others(members)) continue;
          const value = fields.uint64('a');
          // A double may be written as an integer that 64 bits do not hold.
          const isUint64 = /^\d{1,20}$/.test(written) && BigInt(written) < 2n ** 64n;
          if (isUint64) expect(value).toBe(BigInt(written));
        }
      }),
    );
  });
});

describe('the number of values', () => {
  test('is bounded before anything is parsed, in arrays, nested arrays and members', () => {
    expect(faultOf(`{"x":[${'1,'.repeat(6000)}1]}`)).toBe('too_many_values');
    expect(faultOf(`{"x":${'['.repeat(6000)}${']'.repeat(6000)}}`)).toBe('too_many_values');
    expect(faultOf(`{"x":{${Array.from({ length: 1200 }, (_each, i) => `"k${i}":"${'v'.repeat(8)}"`).join()}}}`)).toBe(
      'too_many_values',
    );
    expect(faultOf(`{${Array.from({ length: 200 }, (_each, i) => `"k${i}":1`).join()}}`)).toBe('too_many_values');
    // Not even its form is looked at.
    expect(faultOf(`{"x":[${'1,'.repeat(6000)}`)).toBe('too_many_values');
  });

  test('does not count what stands in strings, and leaves room for the longest real message', () => {
    expect(faultOf(`{"x":"${',[{:'.repeat(20_000)}\\",,\\\\"}`)).toBeUndefined();
    const subtrees = Array.from({ length: 3900 }, () => `"${'0'.repeat(64)}"`).join();
    expect(faultOf(`{"type":"node_status","block_assembly_details":{"subtrees":[${subtrees}]}}`)).toBeUndefined();
  });
});
