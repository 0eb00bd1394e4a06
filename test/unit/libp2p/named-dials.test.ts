// Names are resolved before the transport sees them, and several addresses of a name race for the first socket.
import { createSocket, type Socket } from 'node:dgram';
import { promises as dns } from 'node:dns';
import type { Connection, DialTransportOptions, MultiaddrConnection, Transport, Upgrader } from '@libp2p/interface';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { afterEach, describe, expect, test } from 'vitest';
import {
  allowedAddresses,
  dialingNames,
  MAX_CLAIMED_LOOKUPS,
  type ResolveName,
  resolveNames,
} from '../../../src/adapters/libp2p/connections/named-dials.ts';
import { OperatorAddresses } from '../../../src/adapters/libp2p/connections/operator-addresses.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';
import { NameServer } from '../../support/name-server.ts';

const id = peer(1);
const never = new AbortController().signal;
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
  const noBudget = { isExempt: () => true, limited: (each: typeof dial) => each };
  const transport = dialingNames(() => ({ dial }) as unknown as Transport, names, noBudget)({});
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
  const { at } = setUp({ '192.0.2.1': 'connects' }, async (name, asksFor) => {
    asked.push([name, asksFor]);
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
  expect(await allowedAddresses(() => false)('localhost', 4, never)).toEqual(['127.0.0.1']);
  expect(await allowedAddresses((ip) => ip === '192.0.2.1')('localhost', 4, never)).toEqual(['127.0.0.1']);
  await expect(allowedAddresses((ip) => ip === '127.0.0.1')('localhost', 4, never)).rejects.toMatchObject({
    code: 'EADDRREFUSED',
  });
  await expect(allowedAddresses(() => false)('no-such-host.invalid', 0, never)).rejects.toMatchObject({
    syscall: 'getaddrinfo',
  });
});

describe('names that peers claim', () => {
  const systemServers = dns.getServers();
  let server: Socket | undefined;

  /** A name server that never answers. */
  async function silentServer(): Promise<void> {
    const socket = createSocket('udp4');
    server = socket;
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    dns.setServers([`127.0.0.1:${socket.address().port}`]);
  }

  afterEach(() => {
    dns.setServers(systemServers);
    server?.close();
    server = undefined;
  });

  test('are not resolved with getaddrinfo, unlike names that the operator gave', async () => {
    const names = new NameServer({ 'hub.example': ['192.0.2.7'] });
    dns.setServers([await names.start(0)]);
    const operators = new OperatorAddresses();
    operators.add(multiaddr('/dns4/localhost/tcp/9905'));
    const resolve = resolveNames(operators, new RecordedMetrics());
    try {
      expect(await resolve('hub.example', 0, never)).toEqual(['192.0.2.7']);
      expect(await resolve('localhost', 4, never)).toEqual(['127.0.0.1']);
      expect(names.asked).toEqual(['hub.example']);
    } finally {
      names.stop();
    }
  });

  test('are resolved a few at a time, and an abort cancels the lookups', async () => {
    await silentServer();
    const metrics = new RecordedMetrics();
    const resolve = resolveNames(new OperatorAddresses(), metrics);
    const ended = new AbortController();
    const lookups = Array.from({ length: MAX_CLAIMED_LOOKUPS }, (_each, i) => resolve(`${i}.example`, 4, ended.signal));
    const settled = Promise.allSettled(lookups);
    await expect(resolve('one-more.example', 4, never)).rejects.toThrow('too many lookups');
    expect(metrics.gaugeValue('teranode_p2p_claimed_name_lookups')).toBe(MAX_CLAIMED_LOOKUPS);
    ended.abort(new Error('enough'));
    for (const each of await settled) expect(each).toMatchObject({ status: 'rejected', reason: { message: 'enough' } });
    expect(metrics.gaugeValue('teranode_p2p_claimed_name_lookups')).toBe(0);
  });
});
