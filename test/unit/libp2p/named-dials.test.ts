// Names are resolved before the transport sees them, and several addresses of a name race for the first socket.
import type { Connection, DialTransportOptions, MultiaddrConnection, Transport, Upgrader } from '@libp2p/interface';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { expect, test } from 'vitest';
import {
  allowedAddresses,
  dialingNames,
  type ResolveName,
} from '../../../src/adapters/libp2p/connections/named-dials.ts';
import { peer } from '../../fakes/ban-parts.ts';

const id = peer(1);
const NAMED = multiaddr(`/dns/hub.example/tcp/9905/p2p/${id}`);

/** A transport whose sockets connect, fail or hang as `outcomes` says, by host. */
function setUp(
  outcomes: Readonly<Record<string, 'connects' | 'refused' | 'hangs' | 'bad handshake'>>,
  resolve?: ResolveName,
) {
  const dialled: string[] = [];
  const aborted: string[] = [];
  const upgraded: string[] = [];
  const options = {
    signal: new AbortController().signal,
    upgrader: {
      upgradeOutbound: async ({ remoteAddr }: MultiaddrConnection) => {
        upgraded.push(`${remoteAddr}`);
        return { remoteAddr } as Connection;
      },
      upgradeInbound() {},
      createInboundAbortSignal() {},
      getStreamMuxers() {},
      getConnectionEncrypters() {},
    } as unknown as Upgrader,
  };
  const dial = async (remoteAddr: Multiaddr, { upgrader, signal }: DialTransportOptions): Promise<Connection> => {
    dialled.push(`${remoteAddr}`);
    const outcome = outcomes[remoteAddr.getComponents()[0]?.value ?? ''];
    if (outcome === 'refused') throw new Error(`refused by ${remoteAddr}`);
    if (outcome === 'hangs') {
      return new Promise((_resolve, reject) =>
        signal?.addEventListener('abort', () => {
          aborted.push(`${remoteAddr}`);
          reject(new Error('aborted'));
        }),
      );
    }
    const connection = await upgrader.upgradeOutbound({ remoteAddr } as MultiaddrConnection, { signal });
    if (outcome === 'bad handshake') throw new Error('bad handshake');
    return connection;
  };
  const names = resolve ?? (async () => Object.keys(outcomes));
  const transport = dialingNames(() => ({ dial }) as unknown as Transport, names)({});
  const at = (address: Multiaddr, changes: { signal?: AbortSignal } = {}) =>
    transport.dial(address, { ...options, ...changes } as DialTransportOptions);
  return { at, dialled, aborted, upgraded };
}

test('a name is dialled at its IP, with port and peer ID, and the connection has that address', async () => {
  const { at, dialled } = setUp({ '192.0.2.1': 'connects' });
  expect(`${(await at(NAMED)).remoteAddr}`).toBe(`/ip4/192.0.2.1/tcp/9905/p2p/${id}`);
  expect(dialled).toEqual([`/ip4/192.0.2.1/tcp/9905/p2p/${id}`]);
});

test.each([
  ['dns', 0],
  ['dns4', 4],
  ['dns6', 6],
] as const)('/%s asks for addresses of IP family %i', async (protocol, family) => {
  const asked: unknown[] = [];
  const { at } = setUp({ '192.0.2.1': 'connects' }, async (...args) => {
    asked.push(args);
    return ['192.0.2.1'];
  });
  await at(multiaddr(`/${protocol}/hub.example/tcp/1`));
  expect(asked).toEqual([['hub.example', family]]);
});

test('a link-local address keeps its zone', async () => {
  const { at, dialled } = setUp({ eth0: 'connects' }, async () => ['fe80::1%eth0']);
  await at(multiaddr('/dns6/hub.local/tcp/1'));
  expect(dialled).toEqual(['/ip6zone/eth0/ip6/fe80::1/tcp/1']);
});

test('an IP is dialled as it is', async () => {
  const { at, dialled } = setUp({ '192.0.2.1': 'connects' }, () => Promise.reject(new Error('resolved')));
  await at(multiaddr('/ip4/192.0.2.1/tcp/1'));
  expect(dialled).toEqual(['/ip4/192.0.2.1/tcp/1']);
});

test('an address that refuses or hangs does not keep the next from being tried', async () => {
  const { at, aborted } = setUp({ '192.0.2.1': 'refused', '192.0.2.2': 'hangs', '192.0.2.3': 'connects' });
  expect(`${(await at(NAMED)).remoteAddr}`).toContain('192.0.2.3');
  expect(aborted).toEqual([`/ip4/192.0.2.2/tcp/9905/p2p/${id}`]);
});

test('the first socket that connects is used, even when its handshake fails', async () => {
  const { at, dialled } = setUp({ '192.0.2.1': 'bad handshake', '192.0.2.2': 'connects' });
  await expect(at(NAMED)).rejects.toThrow('bad handshake');
  expect(dialled).toHaveLength(1);
});

test('when every address fails the error holds all of them', async () => {
  const { at } = setUp({ '192.0.2.1': 'refused', '192.0.2.2': 'refused' });
  const failed = at(NAMED);
  await expect(failed).rejects.toBeInstanceOf(AggregateError);
  await expect(failed).rejects.toMatchObject({ errors: [{}, {}] });
});

test('an abort ends a dial that hangs, and one whose name does not resolve', async () => {
  const reason = new Error('enough');
  const hanging = new AbortController();
  const dial = setUp({ '192.0.2.1': 'hangs' }).at(NAMED, { signal: hanging.signal });
  setTimeout(() => hanging.abort(reason), 10);
  await expect(dial).rejects.toThrow('aborted');
  const unresolved = new AbortController();
  const lookup = setUp({}, () => new Promise(() => {})).at(NAMED, { signal: unresolved.signal });
  unresolved.abort(reason);
  await expect(lookup).rejects.toBe(reason);
});

test('a name without an address fails', async () => {
  await expect(setUp({}).at(NAMED)).rejects.toThrow('no address');
});

test('a name resolves to the addresses that are not banned', async () => {
  expect(await allowedAddresses(() => false)('localhost', 4)).toEqual(['127.0.0.1']);
  expect(await allowedAddresses((ip) => ip === '192.0.2.1')('localhost', 4)).toEqual(['127.0.0.1']);
  await expect(allowedAddresses((ip) => ip === '127.0.0.1')('localhost', 4)).rejects.toMatchObject({
    code: 'EADDRREFUSED',
  });
  await expect(allowedAddresses(() => false)('no-such-host.invalid', 0)).rejects.toMatchObject({
    syscall: 'getaddrinfo',
  });
});
