// What is announced of the addresses that a node listens on, before and after other peers have tested them.
import type { Connection, IdentifyResult } from '@libp2p/interface';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { beforeEach, expect, test, vi } from 'vitest';
import { Listening } from '../../../src/adapters/libp2p/nat/listening.ts';
import { ReachabilityTests } from '../../../src/adapters/libp2p/nat/reachability.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const PUBLIC = '/ip4/45.10.0.2/tcp/9905';
const OWN_ID = peer(1).toString();

interface Known {
  readonly multiaddr: Multiaddr;
  verified: boolean;
  expires: number;
}

let listening: Listening;
let addresses: Known[];
let results: Map<string, { success: number; failure: number }>;
let identify: (event: CustomEvent<IdentifyResult>) => void;
const asked = vi.fn();

function start(bound: readonly string[]) {
  addresses = bound.map((text) => ({ multiaddr: multiaddr(text), verified: false, expires: 0 }));
  const listen = vi.fn(async () => {});
  const addressManager = {
    getAddresses: () => [],
    getAddressesWithMetadata: () => addresses,
    removeObservedAddr: () => {
      for (const each of addresses) each.expires = Number.POSITIVE_INFINITY;
    },
    addPublicAddressMapping: (_ip: string, _port: number, ip: string, port: number) =>
      addresses.push({ multiaddr: multiaddr(`/ip4/${ip}/tcp/${port}`), verified: false, expires: 0 }),
  };
  listening = new Listening();
  listening.service()({
    peerId: peer(1),
    peerStore: { patch: async () => undefined },
    transportManager: { getAddrs: () => bound.map((text) => multiaddr(text)), listen },
    addressManager,
  } as unknown as Parameters<ReturnType<Listening['service']>>[0]);
  results = new Map();
  const connections: Connection[] = [];
  const libp2p = {
    getConnections: () => connections,
    addEventListener: (_type: string, listener: typeof identify) => {
      identify = listener;
    },
  };
  const autonat = {
    ask: async (connection: Connection) => asked(connection),
    results: (address: string) => results.get(address),
    forget: (address: string) => void results.delete(address),
  };
  const log = recordingLogger();
  const deps = { libp2p, listening, autonat, log, metrics: new RecordedMetrics() };
  const tests = new ReachabilityTests(deps, { portMap: false, relayClient: true, forceReachability: undefined });
  tests.start();
  const connect = (ip: string, observedAddr?: string) => {
    const connection = { remoteAddr: multiaddr(`/ip4/${ip}/tcp/1`), status: 'open' } as unknown as Connection;
    connections.push(connection);
    const protocols = ['/libp2p/autonat/2/dial-request'];
    const seen = observedAddr === undefined ? {} : { observedAddr: multiaddr(observedAddr) };
    identify({ detail: { connection, protocols, ...seen } } as unknown as CustomEvent<IdentifyResult>);
  };
  return { connect, listen, log, stop: () => tests.stop() };
}

const announced = () => listening.announced([], OWN_ID).map(String);
const round = () => vi.advanceTimersByTimeAsync(10_000);

beforeEach(() => {
  vi.useFakeTimers();
  asked.mockReset();
  return () => vi.useRealTimers();
});

test('a public listen address is announced until peers of three networks cannot reach it', async () => {
  const { listen, log, connect, stop } = start([PUBLIC, '/ip4/192.168.7.2/tcp/9905']);
  connect('11.1.0.1');
  await round();
  expect(asked).toHaveBeenCalledTimes(1);
  expect(announced()).toEqual([`${PUBLIC}/p2p/${OWN_ID}`]);
  results.set(PUBLIC, { success: 0, failure: 2 });
  await round();
  expect(announced()).toHaveLength(1);
  results.set(PUBLIC, { success: 0, failure: 3 });
  await round();
  expect(announced()).toEqual([]);
  expect(listen).toHaveBeenCalledTimes(1);
  expect(log.lines.at(-1)?.fields.reachability).toBe('private');
  for (const each of addresses) each.verified = true;
  await round();
  expect(announced()).toEqual([`${PUBLIC}/p2p/${OWN_ID}`]);
  expect(log.lines.at(-1)?.fields.reachability).toBe('public');
  stop();
});

test('behind a NAT the address at which two peers see the node is tested with the port that it listens on', async () => {
  const { connect, stop } = start(['/ip4/127.0.0.1/tcp/9905', '/ip4/192.168.7.2/tcp/9905']);
  connect('11.1.0.1', '/ip4/45.10.0.2/tcp/40001');
  connect('11.1.0.1', '/ip4/45.10.0.2/tcp/40002');
  await round();
  expect(addresses).toHaveLength(2);
  expect(asked).not.toHaveBeenCalled();
  connect('13.1.0.1', '/ip4/45.10.0.2/tcp/40003');
  await round();
  await round();
  expect(addresses.map((each) => each.multiaddr.toString()).slice(2)).toEqual([PUBLIC]);
  expect(asked).toHaveBeenCalled();
  expect(announced()).toEqual([]);
  stop();
});
