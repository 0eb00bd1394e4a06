// Addresses against two oracles: node:net says what is one, ipaddr.js and WHATWG URLs say what it is and how it is
// written.
import { isIP } from 'node:net';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import { formatIp, type IpAddress, parseIp } from '../../../src/lib/ip.ts';

const RUNS = { numRuns: 3000 };

function bytesOf(ip: IpAddress): number[] {
  if (ip.family === 4) return [24, 16, 8, 0].map((shift) => (ip.bits >>> shift) & 255);
  return ip.groups.split('').flatMap((group) => [group.charCodeAt(0) >> 8, group.charCodeAt(0) & 255]);
}

/**
 * The bytes that the oracles read; a mapped address is its IPv4 address. ipaddr.js takes `::1.2.3.4` for a mapped one,
 * so WHATWG reads first.
 */
function oracle(text: string): number[] | undefined {
  const family = isIP(text);
  if (family === 0 || text.includes('%')) return undefined;
  return ipaddr.process(family === 4 ? text : new URL(`http://[${text}]`).hostname.slice(1, -1)).toByteArray();
}

function agrees(text: string): void {
  const ours = parseIp(text);
  expect(ours === undefined ? undefined : bytesOf(ours), JSON.stringify(text)).toEqual(oracle(text));
}

/** Texts that are addresses, nearly addresses, or made of what addresses are made of. */
const group = fc.oneof(
  fc.constantFrom('0', '0000', 'ffff', 'FFFF', '1', '00001', 'g', '', 'abcd', '01'),
  fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16)),
);
const v6Like = fc
  .array(group, { maxLength: 10 })
  .chain((groups) =>
    fc
      .tuple(fc.integer({ min: 0, max: groups.length }), fc.boolean())
      .map(([at, gapped]) =>
        gapped ? `${groups.slice(0, at).join(':')}::${groups.slice(at).join(':')}` : groups.join(':'),
      ),
  );
const octet = fc.oneof(
  fc.integer({ min: 0, max: 300 }).map(String),
  fc.constantFrom('', '00', '01', '0x1', '-1', '1e1'),
);
const v4Like = fc.array(octet, { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.'));
const mixed = fc.tuple(v6Like, v4Like).map(([six, four]) => `${six}:${four}`);
const soup = fc.string({ unit: fc.constantFrom(...'0123456789abcdefABCDEF:.%/[] x'), maxLength: 50 });

describe('parseIp', () => {
  test('accepts what node:net accepts, zones aside, and reads the value that ipaddr.js reads', () => {
    fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), v4Like, v6Like, mixed, soup), agrees), RUNS);
  });

  test('any text that is no address is refused, unicode included', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 60 })), agrees), {
      numRuns: 500,
    });
  });

  test.each([
    ['zone', 'fe80::1%eth0'],
    ['zone by number', 'fe80::1%1'],
    ['port', '1.2.3.4:80'],
    ['brackets', '[::1]'],
    ['prefix', '1.2.3.0/24'],
    ['leading zero', '01.2.3.4'],
    ['leading zeros', '1.2.3.004'],
    ['leading zero in the IPv4 part', '::ffff:1.2.3.04'],
    ['hex', '0x7f.0.0.1'],
    ['one number', '2130706433'],
    ['three parts', '1.2.3'],
    ['octet over 255', '1.2.3.256'],
    ['negative', '-1.2.3.4'],
    ['space before', ' 1.2.3.4'],
    ['newline behind', '1.2.3.4\n'],
    ['empty', ''],
    ['a colon', ':'],
    ['three colons', ':::'],
    ['two gaps', '1::2::3'],
    ['nine groups', '1:2:3:4:5:6:7:8:9'],
    ['a gap for nothing', '1:2:3:4::5:6:7:8'],
    ['five digits', '00001::'],
    ['IPv4 in the middle', '::1.2.3.4:1'],
    ['IPv4 too far right', '1:2:3:4:5:6:7:1.2.3.4'],
    ['full-width digits', '１.2.3.4'],
    ['Arabic digits', '١.2.3.4'],
    ['NUL', '1.2.3.4\0'],
    ['10 KB of ones', '1'.repeat(10_240)],
    ['10 KB of colons', ':'.repeat(10_240)],
    ['10 KB of groups', '1:'.repeat(5120)],
  ])('refuses %s', (_what, text) => {
    expect(parseIp(text)).toBeUndefined();
  });

  test('IPv4 in IPv6 is the IPv4 address, however it is written', () => {
    const plain = parseIp('192.0.2.33');
    for (const text of [
      '::ffff:192.0.2.33',
      '::FFFF:c000:221',
      '0:0:0:0:0:ffff:192.0.2.33',
      '0000:0000:0000:0000:0000:ffff:192.0.2.33',
      '::ffff:C000:0221',
    ])
      expect(parseIp(text), text).toEqual(plain);
    expect(parseIp('::192.0.2.33')).toMatchObject({ family: 6 });
    expect(parseIp('::fffe:192.0.2.33')).toMatchObject({ family: 6 });
  });
});

describe('formatIp', () => {
  /** Biased to zeros, where the rules of RFC 5952 are, and to what looks like a surrogate pair. */
  const groups = fc.array(
    fc.oneof(fc.constant(0), fc.constantFrom(1, 0xd800, 0xdc00, 0xffff), fc.integer({ min: 0, max: 0xffff })),
    {
      minLength: 8,
      maxLength: 8,
    },
  );

  test('writes IPv6 as RFC 5952 and WHATWG have it, and reads it back', () => {
    fc.assert(
      fc.property(groups, (values) => {
        const whole = values.map((value) => value.toString(16)).join(':');
        const ip = parseIp(whole);
        if (ip === undefined || ip.family === 4) return;
        const text = formatIp(ip);
        expect(text).toBe(new URL(`http://[${whole}]`).hostname.slice(1, -1));
        expect(text).toBe(ipaddr.IPv6.parse(whole).toRFC5952String());
        expect(parseIp(text)).toEqual(ip);
      }),
      RUNS,
    );
  });

  test('writes IPv4 in dots, and reads it back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (bits) => {
        const text = formatIp({ family: 4, bits });
        expect(isIP(text)).toBe(4);
        expect(parseIp(text)).toEqual({ family: 4, bits });
      }),
      RUNS,
    );
  });

  test.each([
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    // Groups that look like a surrogate pair of UTF-16.
    ['2001:db8:d800:dc00::1', '2001:db8:d800:dc00::1'],
    ['d800:dfff:d800:dfff:d800:dfff:d800:dfff', 'd800:dfff:d800:dfff:d800:dfff:d800:dfff'],
  ])('%s is %s', (text, canonical) => {
    expect(formatIp(parseIp(text) as IpAddress)).toBe(canonical);
  });
});
