// Addresses of settings as multiaddrs, and what is read from multiaddrs.
import { describe, expect, test } from 'vitest';
import {
  advertisedOnBoundPort,
  advertiseMultiaddr,
  dialMultiaddr,
  isPrivateMultiaddr,
  listenMultiaddr,
  parseMultiaddr,
  peerIdOf,
  socketIp,
  withPeerId,
} from '../../../src/adapters/libp2p/addresses.ts';
import { isPrivateIp } from '../../../src/wire/public-address.ts';

describe('addresses', () => {
  test.each([
    ['0.0.0.0', '/ip4/0.0.0.0/tcp/9905'],
    ['::', '/ip6/::/tcp/9905'],
    ['[::1]', '/ip6/::1/tcp/9905'],
  ])('listen on %s', (ip, expected) => {
    expect(listenMultiaddr(ip, 9905)).toBe(expected);
  });

  test.each([
    ['192.168.1.1', '/ip4/192.168.1.1/tcp/9905'],
    ['192.168.1.1:8001', '/ip4/192.168.1.1/tcp/8001'],
    ['example.com:9906', '/dns/example.com/tcp/9906'],
    ['node.local', '/dns/node.local/tcp/9905'],
    ['2001:db8::1', '/ip6/2001:db8::1/tcp/9905'],
    ['[2001:db8::1]:8001', '/ip6/2001:db8::1/tcp/8001'],
    ['/dns4/node.example/tcp/9905', '/dns4/node.example/tcp/9905'],
    ['/ip4/192.0.2.1/tcp/1234/p2p/12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY', '/ip4/192.0.2.1/tcp/1234'],
  ])('advertise %s', (address, expected) => {
    expect(advertiseMultiaddr(address, 9905)).toBe(expected);
    expect(parseMultiaddr(expected).toString()).toBe(expected);
  });

  test.each([
    '',
    'a:b:c',
    'host:0',
    'host:70000',
    'x:',
    '/',
    '/dns4/node.example',
    '/ip4/192.0.2.1/udp/9905',
    '/ip4/300.0.2.1/tcp/9905',
    '/ip4/192.0.2.1/tcp/0',
  ])('refuses %j as an advertised address', (address) => {
    expect(() => advertiseMultiaddr(address, 9905)).toThrow(expect.objectContaining({ code: 'ADDRESS_INVALID' }));
  });

  test.each([
    ['/ip4/127.0.0.1/tcp/1', true],
    ['/ip4/10.1.2.3/tcp/1', true],
    ['/ip4/192.168.0.1/tcp/1', true],
    ['/ip4/100.64.0.1/tcp/1', true],
    ['/ip4/169.254.1.1/tcp/1', true],
    ['/ip6/::1/tcp/1', true],
    ['/ip6/fe80::1/tcp/1', true],
    ['/ip6zone/eth0/ip6/fe80::1/tcp/1', true],
    ['/ip6/fd00::1/tcp/1', true],
    ['/ip6/::ffff:10.0.0.1/tcp/1', true],
    ['/ip4/8.8.8.8/tcp/1', false],
    ['/ip6/2a00:1450::1/tcp/1', false],
    ['/dns4/example.com/tcp/1', false],
  ])('%s is private: %s', (address, expected) => {
    expect(isPrivateMultiaddr(parseMultiaddr(address))).toBe(expected);
  });

  test('an advertised multiaddr keeps its port on a node that binds any free one', () => {
    const bound = [parseMultiaddr('/ip4/127.0.0.1/tcp/5555')];
    const advertised = advertisedOnBoundPort(['/dns4/node.example/tcp/9905', 'node.example'], bound);
    expect(advertised.map(String)).toEqual(['/dns4/node.example/tcp/9905', '/dns/node.example/tcp/5555']);
  });

  test.each([
    '0.0.0.0',
    '10.255.0.1',
    '100.64.0.1',
    '100.127.255.255',
    '127.0.0.1',
    '169.254.1.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '::',
    '::1',
    'fc00::1',
    'fdff::1',
    'fe80::1',
    'febf::1',
    '::ffff:10.0.0.1',
    'fec0::1',
    '64:ff9b::10.0.0.1',
    '2002:a00:1::1',
    '64:ff9b:1::10.0.0.1',
    '::ffff:0:10.0.0.1',
    '::127.0.0.1',
    'no IP',
  ])('%s counts as a private IP', (ip) => {
    expect(isPrivateIp(ip)).toBe(true);
  });

  test.each([
    '8.8.8.8',
    '100.63.0.1',
    '100.128.0.1',
    '172.32.0.1',
    '192.0.2.1',
    '2a00:1450::1',
    '::ffff:8.8.8.8',
    '64:ff9b::8.8.8.8',
    '2002:808:808::1',
  ])('%s counts as a public IP', (ip) => {
    expect(isPrivateIp(ip)).toBe(false);
  });

  test('reads the peer ID at the end of an address', () => {
    const id = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY';
    expect(peerIdOf(parseMultiaddr(`/ip4/1.2.3.4/tcp/1/p2p/${id}`))).toBe(id);
    expect(peerIdOf(parseMultiaddr('/ip4/1.2.3.4/tcp/1'))).toBeUndefined();
    expect(() => parseMultiaddr('nonsense')).toThrow(expect.objectContaining({ code: 'ADDRESS_INVALID' }));
  });

  const id = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY';

  test.each([
    ['/ip4/1.2.3.4/tcp/1', '1.2.3.4'],
    ['/ip6/fe80::1/tcp/1', 'fe80::1'],
    ['/ip6zone/eth0/ip6/fe80::1/tcp/1', 'fe80::1'],
    ['/dns4/example.com/tcp/1', undefined],
    [`/ip4/1.2.3.4/tcp/1/p2p/${id}/p2p-circuit`, undefined],
  ])('the IP of %s is %s', (address, expected) => {
    expect(socketIp(parseMultiaddr(address))).toBe(expected);
  });

  test.each([
    '/ip4/1.2.3.4/tcp/1',
    '/ip6/::1/tcp/65535',
    '/ip6zone/eth0/ip6/fe80::1/tcp/1',
    '/dns/example.com/tcp/1',
    `/dns4/localhost/tcp/1/p2p/${id}`,
    `/dnsaddr/bootstrap.example.com/p2p/${id}`,
    `/ip4/1.2.3.4/tcp/1/p2p/${id}/p2p-circuit/p2p/${id}`,
    '/ip4/1.2.3.4/tcp/1/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN',
  ])('%s can be dialled', (address) => {
    expect(dialMultiaddr(address).toString()).toBe(address);
  });

  test.each([
    '',
    '/',
    'nonsense',
    '1.2.3.4:9905',
    '/ip4/1.2.3.4',
    '/ip4/1.2.3.4/tcp',
    '/ip4/1.2.3.4/tcp/0',
    '/ip4/1.2.3.4/tcp/65536',
    '/ip4/1.2.3.4/tcp/x',
    '/ip4/1.2.3.256/tcp/1',
    '/ip6/:::/tcp/1',
    '/ip4/1.2.3.4/udp/1',
    '/ip4/1.2.3.4/udp/1/quic-v1',
    '/tcp/1',
    '/unix/tmp%2fsocket',
    `/p2p/${id}`,
    '/p2p/notapeer',
    '/ip4/1.2.3.4/tcp/1/p2p/12D3KooWnope',
    '/ip4/1.2.3.4/tcp/1/p2p/',
    `/ip4/1.2.3.4/tcp/1/p2p/${id}/p2p/${id}`,
    `/ip4/1.2.3.4/tcp/1/p2p/${id}/tcp/1`,
    `/ip4/1.2.3.4/tcp/1/p2p/${id}/p2p-circuit`,
    `/ip4/1.2.3.4/tcp/1/p2p/${id}/p2p-circuit/p2p/notapeer`,
    `/p2p-circuit/p2p/${id}`,
    '/dnsaddr/bootstrap.example.com/p2p/notapeer',
  ])('%j cannot be dialled', (address) => {
    expect(() => dialMultiaddr(address)).toThrow(expect.objectContaining({ code: 'ADDRESS_INVALID' }));
  });

  test('gives advertised addresses without a port that of a listener of their IP family', () => {
    const bound = ['/ip4/127.0.0.1/tcp/4', '/ip6/::1/tcp/6', '/ip4/10.0.0.1/tcp/7'].map(parseMultiaddr);
    const texts = (listeners: typeof bound) =>
      advertisedOnBoundPort(['x.example', '2001:db8::1', '192.0.2.1', '192.0.2.2:9'], listeners).map(String);
    expect(texts(bound)).toEqual([
      '/dns/x.example/tcp/4',
      '/ip6/2001:db8::1/tcp/6',
      '/ip4/192.0.2.1/tcp/4',
      '/ip4/192.0.2.2/tcp/9',
    ]);
    expect(texts([])).toEqual([]);
  });

  test('adds a peer ID to an address, or returns nothing for an invalid or foreign one', () => {
    const id = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY';
    const whole = `/ip4/1.2.3.4/tcp/1/p2p/${id}`;
    expect(withPeerId('/ip4/1.2.3.4/tcp/1', id)).toBe(whole);
    expect(withPeerId(whole, id)).toBe(whole);
    expect(withPeerId(`${whole}/p2p-circuit`, id)).toBe(`${whole}/p2p-circuit/p2p/${id}`);
    for (const [address, peerId] of [
      ['nonsense', id],
      ['', id],
      [`/p2p/${id}`, id],
      ['/ip4/1.2.3.4/tcp/1', 'nobody'],
      [`/dns4/${'a'.repeat(501)}/tcp/1`, id],
      [whole, 'QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN'],
    ] as const)
      expect(withPeerId(address, peerId)).toBeUndefined();
  });
});
