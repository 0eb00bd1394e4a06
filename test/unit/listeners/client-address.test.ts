// Whose limits a request counts towards: the socket's address, or the one that trusted proxies forward.
import { describe, expect, test } from 'vitest';
import { AddressRanges, addressGroup, clientIp } from '../../../src/adapters/listeners/client-address.ts';

describe('the group of an address', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['nothing', 'nothing'],
  ])('of %s is %s', (address, group) => {
    expect(addressGroup(address)).toBe(group);
  });

  test('of a closed connection is empty', () => {
    expect(addressGroup(undefined)).toBe('');
  });
});

describe('the address of a client', () => {
  const proxies = new AddressRanges(['10.0.0.0/8', '2001:db8:f::/48']);
  const ip = (remoteAddress: string | undefined, forwarded?: string) =>
    clientIp({ socket: { remoteAddress }, headers: { 'x-forwarded-for': forwarded } }, proxies);

  test.each([
    ['no proxy: the header changes nothing', '192.0.2.1', '203.0.113.9', '192.0.2.1'],
    ['one proxy', '10.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['an invented entry before the real one', '10.0.0.1', '198.51.100.1, 203.0.113.9', '203.0.113.9'],
    ['two proxies', '10.0.0.1', '198.51.100.1, 203.0.113.9, 10.0.0.2', '203.0.113.9'],
    ['proxies alone', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['an entry that is no address', '10.0.0.1', '203.0.113.9, unknown, 10.0.0.2', '10.0.0.2'],
    ['an IPv4-mapped proxy', '::ffff:10.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['an IPv6 proxy and client', '2001:db8:f::1', '[2001:db8::7]:443', '2001:db8::7'],
    ['a port', '10.0.0.1', '203.0.113.9:54321', '203.0.113.9'],
    ['no header', '10.0.0.1', undefined, '10.0.0.1'],
    ['an empty header', '10.0.0.1', '', '10.0.0.1'],
    ['a closed connection', undefined, '203.0.113.9', undefined],
  ])('%s', (_what, remote, forwarded, expected) => {
    expect(ip(remote, forwarded)).toBe(expected);
  });
});
