// What is refused before a connection is complete. Before any handshake: banned addresses, those with too many that are not complete or that come too fast, those that
// crowd a node well over its high-water mark, everybody at its hard limit. Once the id is proven: banned peers and more than `p2p_max_conns_per_peer` of one. What we dial is not bound.
import type { LookupFunction } from 'node:net';
import type { ConnectionGater, PeerId as LibPeerId } from '@libp2p/interface';
import type { ConnectionPolicy } from '../../../ports/connection-policy.ts';
import type { Metrics } from '../../../ports/metrics.ts';
import { parseMultiaddr, peerIdOf } from '../addresses.ts';
import type { ConnectionLimits } from '../node-options.ts';
import { peerIdText } from '../peer-ids.ts';
import { ArrivalRate } from './arrival-rate.ts';
import type { PeerBook } from './peer-book.ts';
import { PendingInbound } from './pending-inbound.ts';
import { addressGroup, allowedLookup, type RemoteEnd, remoteIp } from './remote-address.ts';
import { CROWD, crowdedAt, hardLimit } from './trimming.ts';

export interface GateDependencies {
  readonly book: PeerBook;
  readonly policy: ConnectionPolicy | undefined;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
}

export function connectionGate(
  { book, policy, metrics, nowMs }: GateDependencies,
  { maxPerPeer, highWater }: ConnectionLimits,
): ConnectionGater {
  const when = counted(metrics);
  const ipRefused = refusesIp(policy, when);
  const pending = new PendingInbound(metrics);
  const arrivals = new ArrivalRate({ nowMs, metrics });
  const addressRefused = (end: RemoteEnd): boolean => {
    const ip = remoteIp(end);
    return ip !== undefined && ipRefused(ip);
  };
  const peerRefused = (peerId: LibPeerId): boolean =>
    when(policy?.refusesPeer(peerIdText(peerId)) === true, 'banned_peer');
  const crowds = (socket: RemoteEnd): boolean => {
    const group = addressGroup(socket);
    return (
      group !== undefined && book.openConnections() >= crowdedAt(highWater) && book.openConnectionsOf(group) >= CROWD
    );
  };
  const isFull = () => book.openConnections() + pending.size() >= hardLimit(highWater);
  const encrypted = (peerId: LibPeerId, socket: RemoteEnd): boolean =>
    peerRefused(peerId) ||
    addressRefused(socket) ||
    when(book.connectionCount(peerIdText(peerId)) >= maxPerPeer, 'max_conns_per_peer');
  return {
    denyDialPeer: peerRefused,
    // js-libp2p's default refuses private addresses in browsers; ours refuses what is banned, wherever it is.
    denyDialMultiaddr: (remoteAddr) => addressRefused({ remoteAddr }),
    denyInboundConnection: (socket) =>
      addressRefused(socket) ||
      when(crowds(socket), 'crowding_address') ||
      when(isFull(), 'too_many_connections') ||
      when(!pending.take(socket), 'too_many_pending') ||
      when(!arrivals.take(addressGroup(socket)), 'too_fast'),
    denyInboundUpgradedConnection: (_peerId, connection) => {
      pending.done(connection);
      return false;
    },
    denyOutboundConnection: (peerId, socket) => peerRefused(peerId) || addressRefused(socket),
    denyInboundEncryptedConnection: encrypted,
    denyOutboundEncryptedConnection: encrypted,
    denyInboundRelayReservation: peerRefused,
    denyInboundRelayedConnection: (relay, remote) => peerRefused(relay) || peerRefused(remote),
    filterMultiaddrForPeer: (_peerId, address) => {
      const id = peerIdOf(parseMultiaddr(address.toString()));
      return id === undefined || policy?.refusesPeer(id as Parameters<ConnectionPolicy['refusesPeer']>[0]) !== true;
    },
  };
}

/** How names are resolved for dials: to addresses that are not banned, so that a banned machine is not reached by a name either. */
export function dialLookup({ policy, metrics }: Omit<GateDependencies, 'book' | 'nowMs'>): LookupFunction {
  return allowedLookup(refusesIp(policy, counted(metrics)));
}

type Counted = (isRefused: boolean, reason: string) => boolean;

function counted(metrics: Metrics): Counted {
  const refused = metrics.counter('teranode_p2p_connections_refused_total', 'Connections refused by the gate', [
    'reason',
  ]);
  return (isRefused, reason) => {
    if (isRefused) refused.add(1, { reason });
    return isRefused;
  };
}

function refusesIp(policy: ConnectionPolicy | undefined, when: Counted): (ip: string) => boolean {
  return (ip) => when(policy?.refusesAddress(ip) === true, 'banned_address');
}
