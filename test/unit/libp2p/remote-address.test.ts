// Where a peer is, and where we are for it: IPs of sockets, never names.
import { multiaddr } from '@multiformats/multiaddr';
import { expect, test } from 'vitest';
import { isUnlocated, localAddress, remoteIp } from '../../../src/adapters/libp2p/connections/remote-address.ts';
import { peer } from '../../fakes/ban-parts.ts';

const id = peer(1);

test.each<[address: string, ip: string | undefined, isUnknown: boolean]>([
  ['/ip4/192.0.2.1/tcp/1', '192.0.2.1', false],
  [`/ip4/127.0.0.1/tcp/1/p2p/${id}`, '127.0.0.1', false],
  [`/ip6/::1/tcp/1/p2p/${id}`, '::1', false],
  ['/ip6/::ffff:192.0.2.1/tcp/1', '::ffff:c000:201', false],
  ['/ip6zone/eth0/ip6/fe80::1/tcp/1', 'fe80::1', false],
  ['/dns4/hub.example/tcp/1', undefined, true],
  ['/dns/hub.local/tcp/1', undefined, true],
  [`/dns4/hub.example/tcp/1/p2p/${id}/p2p-circuit`, undefined, false],
  [`/ip4/192.0.2.1/tcp/1/p2p/${id}/p2p-circuit`, undefined, false],
])('a connection to %s is at IP %s; bans cannot be checked: %s', (address, ip, isUnknown) => {
  const end = { remoteAddr: multiaddr(address) };
  expect(remoteIp(end)).toBe(ip);
  expect(isUnlocated(end)).toBe(isUnknown);
});

test.each<[ip: string | undefined, port: number | undefined, whole: string | undefined]>([
  ['192.0.2.9', 9905, '/ip4/192.0.2.9/tcp/9905'],
  ['::ffff:192.0.2.9', 9905, '/ip4/192.0.2.9/tcp/9905'],
  ['2001:db8::9', 50_000, '/ip6/2001:db8::9/tcp/50000'],
  ['fe80::1%eth0', 1, '/ip6/fe80::1/tcp/1'],
  [undefined, undefined, undefined],
])('a socket bound to %s, port %s, gives our address as %s', (ip, port, whole) => {
  const socket = { localAddress: ip, localPort: port };
  const end = { remoteAddr: multiaddr('/ip4/192.0.2.1/tcp/1') };
  expect(localAddress(end, socket, peer(2))).toBe(whole && `${whole}/p2p/${peer(2)}`);
  const relayed = multiaddr(`/ip4/192.0.2.1/tcp/1/p2p/${id}/p2p-circuit`);
  expect(localAddress({ remoteAddr: relayed }, socket, peer(2))).toBeUndefined();
});

test('a connection without a socket has no local address', () => {
  expect(localAddress({ remoteAddr: multiaddr('/ip4/192.0.2.1/tcp/1') }, undefined, peer(2))).toBeUndefined();
});
