// Dials on the word of a peer behind a relay.
import type { Connection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { expect, test, vi } from 'vitest';
import { holePunching } from '../../../src/adapters/libp2p/nat/hole-punching.ts';
import { peer } from '../../fakes/ban-parts.ts';

const RELAY = `/ip4/11.1.0.1/tcp/4001/p2p/${peer(1)}`;
const NAMED = Array.from({ length: 100 }, (_each, i) => multiaddr(`/ip4/45.10.0.${i}/tcp/9905`));

/** What the service dials with, connected to a peer through a relay that sees us. */
function punching({ isMapped }: { readonly isMapped: boolean }) {
  const relay = {
    remoteAddr: multiaddr(RELAY),
    remotePeer: peer(1),
    direction: 'outbound',
    timeline: { open: 1 },
    maConn: { socket: { localPort: 40_000 } },
  } as unknown as Connection;
  const relayed = {
    remoteAddr: multiaddr(`${RELAY}/p2p-circuit/p2p/${peer(2)}`),
    remotePeer: peer(2),
    timeline: { open: 2 },
  } as unknown as Connection;
  const dial = vi.fn(async () => relay);
  const openConnection = vi.fn(async (_addresses: unknown[]) => relay);
  const gate = vi.fn(async () => false);
  const components = {
    connectionManager: { openConnection, getConnections: () => [relay, relayed] },
    transportManager: { dial },
    connectionGater: { denyDialMultiaddr: gate },
    events: {
      addEventListener: (_type: string, listener: (event: unknown) => void) => {
        if (isMapped) listener({ detail: { connection: relay, observedAddr: multiaddr('/ip4/77.20.0.2/tcp/40000') } });
      },
    },
    addressManager: {},
    logger: { forComponent: () => () => {} },
  };
  const service = holePunching()(components as unknown as Parameters<ReturnType<typeof holePunching>>[0]);
  return { service: service as { readonly connectionManager: { openConnection: Open } }, dial, openConnection, gate };
}

type Open = (addresses: readonly unknown[], options: object) => Promise<Connection>;

test('few of the addresses that a peer names are dialled, past the gate, with a mapped port and without', async () => {
  const mapped = punching({ isMapped: true });
  await mapped.service.connectionManager.openConnection(NAMED, { priority: 100 });
  expect(mapped.dial).toHaveBeenCalledTimes(4);
  expect(mapped.gate).toHaveBeenCalledWith(multiaddr(`/ip4/45.10.0.0/tcp/9905/p2p/${peer(2)}`));
  expect(mapped.openConnection).not.toHaveBeenCalled();
  const unmapped = punching({ isMapped: false });
  await unmapped.service.connectionManager.openConnection(NAMED, { priority: 100 });
  expect(unmapped.dial).not.toHaveBeenCalled();
  expect(unmapped.openConnection.mock.calls[0]?.[0]).toHaveLength(4);
});

test('an attempt that is over before its dials begin dials nobody', async () => {
  const { service, dial } = punching({ isMapped: true });
  const late = { priority: 100, signal: AbortSignal.abort() };
  await expect(service.connectionManager.openConnection(NAMED, late)).rejects.toThrow('abort');
  expect(dial).not.toHaveBeenCalled();
});
