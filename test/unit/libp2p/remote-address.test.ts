// Where a peer is, and where we are for it, is what the socket says, whatever name it was dialled by.
import type { LookupAddress } from 'node:dns';
import { multiaddr } from '@multiformats/multiaddr';
import { expect, test } from 'vitest';
import {
  allowedLookup,
  localAddress,
  remoteAddress,
  remoteIp,
} from '../../../src/adapters/libp2p/connections/remote-address.ts';
import { peer } from '../../fakes/ban-parts.ts';

const id = peer(1);

test.each<[address: string, socketIp: string | undefined, ip: string | undefined, whole: string]>([
  ['/ip4/192.0.2.1/tcp/1', '192.0.2.1', '192.0.2.1', '/ip4/192.0.2.1/tcp/1'],
  [`/dns4/localhost/tcp/1/p2p/${id}`, '127.0.0.1', '127.0.0.1', `/ip4/127.0.0.1/tcp/1/p2p/${id}`],
  [`/dns6/localhost/tcp/1/p2p/${id}`, '::1', '::1', `/ip6/::1/tcp/1/p2p/${id}`],
  ['/dns/hub.example/tcp/1', '::ffff:192.0.2.1', '::ffff:192.0.2.1', '/ip6/::ffff:192.0.2.1/tcp/1'],
  ['/dns/hub.local/tcp/1', 'fe80::1%eth0', 'fe80::1', '/ip6/fe80::1/tcp/1'],
  ['/ip6zone/eth0/ip6/fe80::1/tcp/1', 'fe80::1%eth0', 'fe80::1', '/ip6zone/eth0/ip6/fe80::1/tcp/1'],
  ['/dns4/hub.example/tcp/1', undefined, undefined, '/dns4/hub.example/tcp/1'],
  [
    `/dns4/hub.example/tcp/1/p2p/${id}/p2p-circuit`,
    '192.0.2.1',
    undefined,
    `/dns4/hub.example/tcp/1/p2p/${id}/p2p-circuit`,
  ],
])('%s with a socket to %s is at %s, as %s', (address, socketIp, ip, whole) => {
  const socket = { remoteAddr: multiaddr(address), socket: { remoteAddress: socketIp } };
  for (const end of [socket, { remoteAddr: socket.remoteAddr, maConn: socket }]) {
    expect(remoteIp(end)).toBe(ip);
    expect(remoteAddress(end)).toBe(whole);
  }
});

test.each<[ip: string | undefined, port: number | undefined, whole: string | undefined]>([
  ['192.0.2.9', 9905, '/ip4/192.0.2.9/tcp/9905'],
  ['::ffff:192.0.2.9', 9905, '/ip4/192.0.2.9/tcp/9905'],
  ['2001:db8::9', 50_000, '/ip6/2001:db8::9/tcp/50000'],
  ['fe80::1%eth0', 1, '/ip6/fe80::1/tcp/1'],
  [undefined, undefined, undefined],
])('a socket at %s, port %s, is our end at %s', (ip, port, whole) => {
  const socket = { localAddress: ip, localPort: port };
  const end = { remoteAddr: multiaddr('/dns4/hub.example/tcp/1'), socket };
  for (const each of [end, { remoteAddr: end.remoteAddr, maConn: end }])
    expect(localAddress(each, peer(2))).toBe(whole && `${whole}/p2p/${peer(2)}`);
  const relayed = multiaddr(`/ip4/192.0.2.1/tcp/1/p2p/${id}/p2p-circuit`);
  expect(localAddress({ remoteAddr: relayed, maConn: end }, peer(2))).toBeUndefined();
});

function lookUp(refused: readonly string[], name: string, all: boolean): Promise<string | readonly LookupAddress[]> {
  return new Promise((resolve, reject) =>
    allowedLookup((ip) => refused.includes(ip))(name, { all, family: 4 }, (error, found) =>
      error === null ? resolve(found) : reject(error),
    ),
  );
}

test.each([true, false])('a name resolves to what may be dialled, or to nothing (all: %s)', async (all) => {
  const found = all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1';
  expect(await lookUp(['192.0.2.1'], 'localhost', all)).toEqual(found);
  await expect(lookUp(['127.0.0.1'], 'localhost', all)).rejects.toMatchObject({ code: 'EADDRREFUSED' });
  await expect(lookUp([], 'no-such-host.invalid', all)).rejects.toMatchObject({ syscall: 'getaddrinfo' });
});
