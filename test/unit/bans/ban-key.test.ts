// Each address, subnet and peer has one key, in whatever spelling.
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import { ipOfMultiaddr, masked, parseBanKey, withoutPort } from '../../../src/bans/list/ban-key.ts';
import { formatIp, type IpAddress, parseIp } from '../../../src/lib/ip.ts';
import { peerIdFromPublicKey } from '../../../src/wire/peer-id.ts';
import { peer } from '../../fakes/ban-parts.ts';

const RUNS = { numRuns: 2000 };
const RSA_ID = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';
const SECP_ID = peerIdFromPublicKey(Uint8Array.of(8, 2, 18, 33, 2, ...new Uint8Array(32).fill(7))) as string;

test.each([
  ['192.0.2.1', 'address', '192.0.2.1'],
  [' 192.0.2.1\n', 'address', '192.0.2.1'],
  ['::ffff:192.0.2.1', 'address', '192.0.2.1'],
  ['192.0.2.1:9905', 'address', '192.0.2.1'],
  ['[2001:DB8::1]:9905', 'address', '2001:db8::1'],
  ['[2001:db8::1]', 'address', '2001:db8::1'],
  ['[::ffff:192.0.2.1]:9905', 'address', '192.0.2.1'],
  ['2001:db8::1:9905', 'address', '2001:db8::1:9905'],
  ['192.0.2.77/24', 'subnet', '192.0.2.0/24'],
  ['192.0.2.77/25', 'subnet', '192.0.2.0/25'],
  ['192.0.2.129/25', 'subnet', '192.0.2.128/25'],
  ['255.255.255.255/1', 'subnet', '128.0.0.0/1'],
  ['192.0.2.77/0', 'subnet', '0.0.0.0/0'],
  ['192.0.2.77/32', 'address', '192.0.2.77'],
  ['::ffff:192.0.2.77/120', 'subnet', '192.0.2.0/24'],
  ['::ffff:0:0/96', 'subnet', '0.0.0.0/0'],
  ['::ffff:192.0.2.77/128', 'address', '192.0.2.77'],
  ['2001:db8:1:2:3::4/64', 'subnet', '2001:db8:1:2::/64'],
  ['[2001:db8:1:2:3::4]/64', 'subnet', '2001:db8:1:2::/64'],
  ['2001:db8:ffff::/33', 'subnet', '2001:db8:8000::/33'],
  ['2001:db8::ffff/127', 'subnet', '2001:db8::fffe/127'],
  ['2001:db8::1/128', 'address', '2001:db8::1'],
  ['2001:db8::1/0', 'subnet', '::/0'],
  ['FE80::1%eth0', 'address', 'fe80::1'],
  ['[fe80::1%25]:9905', 'address', 'fe80::1'],
  ['fe80::1%br-0.7/64', 'subnet', 'fe80::/64'],
  ['[fe80::1%eth0]/64', 'subnet', 'fe80::/64'],
  [peer(1), 'peer', peer(1)],
  [` ${peer(1)} `, 'peer', peer(1)],
  [RSA_ID, 'peer', RSA_ID],
  [SECP_ID, 'peer', SECP_ID],
])('parses %s as the %s %s', (text, kind, key) => {
  expect(parseBanKey(text)).toMatchObject({ kind, key });
});

test.each([
  ['empty', ''],
  ['blank', '   '],
  ['a name', 'example.com'],
  ['a name with port', 'example.com:80'],
  ['/33', '192.0.2.0/33'],
  ['/129', '2001:db8::/129'],
  ['a mapped prefix under 96', '::ffff:192.0.2.0/95'],
  ['a negative prefix', '192.0.2.0/-1'],
  ['a signed prefix', '192.0.2.0/+8'],
  ['no prefix', '192.0.2.0/'],
  ['an empty address', '/24'],
  ['two prefixes', '192.0.2.0/24/24'],
  ['a fraction', '192.0.2.0/24.5'],
  ['an exponent', '192.0.2.0/2e1'],
  ['a space before the prefix', '192.0.2.0/ 24'],
  ['a prefix with a leading zero', '192.0.2.0/024'],
  ['a mask in dots', '192.0.2.0/255.255.255.0'],
  ['a subnet with a port', '192.0.2.0/24:80'],
  ['a port before the prefix', '192.0.2.0:80/24'],
  ['an empty zone', 'fe80::1%'],
  ['two zones', 'fe80::1%a%b'],
  ['a zone of an IPv4 address', '192.0.2.1%eth0'],
  ['a zone behind the prefix', 'fe80::/10%eth0'],
  ['a zone of a peer id', `${peer(1)}%eth0`],
  ['leading zeros', '192.000.2.1'],
  ['a port over 65535', '192.0.2.1:65536'],
  ['a port over 65535 behind brackets', '[2001:db8::1]:99999'],
  ['a port with a sign', '192.0.2.1:-1'],
  ['an empty port', '192.0.2.1:'],
  ['six digits of port', '192.0.2.1:123456'],
  ['open brackets', '[2001:db8::1'],
  ['brackets that close twice', '[2001:db8::1]]'],
  ['text behind brackets', '[2001:db8::1]x'],
  ['a bracketed peer id', `[${peer(1)}]`],
  ['a peer id in another base', `k51${peer(1)}`],
  ['a cut peer id', peer(1).slice(0, -1)],
  ['a peer id with one changed letter case', peer(1).replace('K', 'k')],
  ['a peer id and more', `${peer(1)}x`],
  ['a multiaddr', '/ip4/192.0.2.1/tcp/9905'],
  ['a URL', 'http://192.0.2.1/'],
  ['10 KB', '1.'.repeat(5120)],
  ['an address in 10 KB of spaces', `192.0.2.1${' '.repeat(10_240)}`],
  ['unicode', '１９２.0.2.1'],
  ['NUL', '192.0.2.1\0'],
])('rejects %s', (_what, text) => {
  expect(parseBanKey(text)).toBeUndefined();
});

/** WHATWG first: ipaddr.js takes `::1.2.3.4` for a mapped address. */
function oracle(text: string) {
  return ipaddr.process(text.includes(':') ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text);
}

describe('properties', () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6());

  test('masks a subnet as ipaddr.js does, and parses its key to the same key', () => {
    fc.assert(
      fc.property(address, fc.integer({ min: 0, max: 128 }), (text, bits) => {
        const ip = oracle(text);
        const isMapped = ip.kind() === 'ipv4' && text.includes(':');
        const prefix = isMapped ? bits - 96 : bits;
        const key = parseBanKey(`${text}/${bits}`);
        const width = ip.kind() === 'ipv4' ? 32 : 128;
        if (prefix < 0 || prefix > width) {
          expect(key).toBeUndefined();
          return;
        }
        const network =
          ip.kind() === 'ipv4'
            ? ipaddr.IPv4.networkAddressFromCIDR(`${ip.toString()}/${prefix}`)
            : ipaddr.IPv6.networkAddressFromCIDR(`${ip.toString()}/${prefix}`);
        const canonical = formatIp(parseIp(network.toString()) as IpAddress);
        expect(key?.key).toBe(prefix === width ? canonical : `${canonical}/${prefix}`);
        expect(parseBanKey(key?.key ?? '')).toEqual(key);
      }),
      RUNS,
    );
  });

  test('parses the key of an address to the same key, with or without a port', () => {
    fc.assert(
      fc.property(address, fc.integer({ min: 0, max: 65_535 }), (text, port) => {
        const key = parseBanKey(text);
        expect(key?.kind).toBe('address');
        expect(parseBanKey(key?.key ?? '')).toEqual(key);
        expect(parseBanKey(text.includes(':') ? `[${text}]:${port}` : `${text}:${port}`)).toEqual(key);
      }),
      RUNS,
    );
  });

  test('masking keeps the bits of the prefix, clears all others, and is idempotent', () => {
    fc.assert(
      fc.property(address, fc.integer({ min: 0, max: 128 }), (text, bits) => {
        const ip = parseIp(text) as IpAddress;
        const prefix = ip.family === 4 ? Math.min(bits, 32) : bits;
        const once = masked(ip, prefix);
        expect(masked(once, prefix)).toEqual(once);
        const parsed = ipaddr.parse(formatIp(ip));
        expect(parsed.match(ipaddr.parse(formatIp(once)) as never, prefix)).toBe(true);
      }),
      RUNS,
    );
  });

  test('never throws, and parses each of its keys to the same key', () => {
    const soup = fc.string({ unit: fc.constantFrom(...'0123456789abf:./[]%- 12D3KooW'), maxLength: 60 });
    fc.assert(
      fc.property(fc.oneof(soup, fc.string({ unit: 'binary' })), (text) => {
        const key = parseBanKey(text);
        if (key !== undefined) expect(parseBanKey(key.key)).toEqual(key);
      }),
      { numRuns: 500 },
    );
  });
});

test.each([
  ['/ip4/192.0.2.1/tcp/9905', '192.0.2.1'],
  [`/ip4/192.0.2.1/tcp/9905/p2p/${peer(1)}`, '192.0.2.1'],
  ['/ip6/2001:db8::1/tcp/9905', '2001:db8::1'],
  ['/dns4/example.com/tcp/9905', undefined],
  [`/ip4/192.0.2.1/tcp/9905/p2p/${peer(1)}/p2p-circuit`, undefined],
  [`/ip4/192.0.2.1/tcp/9905/p2p/${peer(1)}/p2p-circuit/p2p/${peer(2)}`, undefined],
  ['/ip6zone/eth0/ip6/fe80::1/tcp/1', 'fe80::1'],
  ['/ip6/fe80::1%eth0/tcp/1', 'fe80::1'],
  ['/ip6zone/eth0/tcp/1', undefined],
  [`/p2p/${peer(1)}`, undefined],
  ['', undefined],
])('finds in %s the IP %s', (address, ip) => {
  expect(ipOfMultiaddr(address)).toBe(ip);
});

test.each([
  ['192.0.2.1:0', '192.0.2.1'],
  ['192.0.2.1:65535', '192.0.2.1'],
  ['example.com:80', 'example.com'],
  ['::1', '::1'],
  ['::', '::'],
  [':80', ':80'],
])('removes the port of %s, which leaves %s', (text, host) => {
  expect(withoutPort(text)).toBe(host);
});
