// Refuses connections before they are complete. Before the handshake: banned addresses, private ones where they are not
// allowed, addresses with too many unfinished or too frequent connections, addresses that crowd a node well over its
// high-water mark, and everybody at the hard limit. Once the peer ID is proven: banned peers, and more than
// `p2p_max_conns_per_peer` connections of one peer. Dials of this node are limited by the dial budget alone.
import type { ConnectionGater, PeerId as LibPeerId } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { ConnectionPolicy } from '../../../ports/connection-policy.ts';
import type { Metrics } from '../../../ports/metrics.ts';
import { parseMultiaddr, peerIdOf } from '../addresses.ts';
import type { ConnectionLimits, Libp2pNodeOptions } from '../node-options.ts';
import { peerIdText } from '../peer-ids.ts';
import { ArrivalRate } from './arrival-rate.ts';
import { DialBudget } from './dial-budget.ts';
import { allowedAddresses, type ResolveName, resolveNames } from './named-dials.ts';
import type { OperatorAddresses } from './operator-addresses.ts';
import type { PeerBook } from './peer-book.ts';
import { PendingInbound } from './pending-inbound.ts';
import { PrivateAddresses } from './private-addresses.ts';
import { addressGroup, isUnlocated, type RemoteEnd, remoteIp } from './remote-address.ts';
import { CROWD, crowdedAt, hardLimit } from './trimming.ts';

export interface GateDependencies {
  readonly book: PeerBook;
  readonly policy: ConnectionPolicy | undefined;
  /** undefined: private addresses are allowed. */
  readonly privateAddresses: PrivateAddresses | undefined;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
}

export interface NodeGate {
  readonly gater: ConnectionGater;
  readonly resolveName: ResolveName;
  readonly dialBudget: DialBudget;
  /** Whether an address is never dialled. */
  readonly refusesAddress: (address: Multiaddr) => boolean;
}

/** The gate of a node, how it resolves the names that it dials, and how often it dials. */
export function gateOf(
  deps: Omit<GateDependencies, 'privateAddresses'> & { readonly operators: OperatorAddresses },
  { staticPeers, bootstrapAddresses, allowPrivateIps, connections }: Libp2pNodeOptions,
): NodeGate {
  const listed = [...staticPeers, ...bootstrapAddresses];
  for (const address of listed) deps.operators.add(parseMultiaddr(address));
  const privateAddresses = allowPrivateIps === false ? new PrivateAddresses(listed) : undefined;
  const all = { ...deps, privateAddresses };
  const dialBudget = new DialBudget({ ...deps, isExempt: (address) => deps.operators.has(address) });
  const refusesAddress = (address: Multiaddr) => privateAddresses?.refusesAddress(address) === true;
  return { gater: connectionGate(all, connections), resolveName: dialLookup(all), dialBudget, refusesAddress };
}

export function connectionGate(
  { book, policy, privateAddresses, metrics, nowMs }: GateDependencies,
  { maxPerPeer, highWater }: ConnectionLimits,
): ConnectionGater {
  const when = counted(metrics);
  const ipRefused = refusesIp({ policy, privateAddresses }, when);
  const pending = new PendingInbound(metrics);
  const arrivals = new ArrivalRate({ nowMs, metrics });
  const addressRefused = (end: RemoteEnd): boolean => {
    const ip = remoteIp(end);
    return ip !== undefined && ipRefused(ip);
  };
  // Fails closed: a connection whose IP is not known could be one to a banned address.
  const socketRefused = (socket: RemoteEnd): boolean =>
    when(isUnlocated(socket), 'unknown_address') || addressRefused(socket);
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
    socketRefused(socket) ||
    when(book.connectionCount(peerIdText(peerId)) >= maxPerPeer, 'max_conns_per_peer');
  return {
    denyDialPeer: peerRefused,
    // js-libp2p's default refuses private addresses in browsers.
    denyDialMultiaddr: (remoteAddr) => addressRefused({ remoteAddr }),
    denyInboundConnection: (socket) =>
      socketRefused(socket) ||
      when(crowds(socket), 'crowding_address') ||
      when(isFull(), 'too_many_connections') ||
      when(!pending.take(socket), 'too_many_pending') ||
      when(!arrivals.take(addressGroup(socket)), 'too_fast'),
    denyInboundUpgradedConnection: (_peerId, connection) => {
      pending.done(connection);
      return false;
    },
    denyOutboundConnection: (peerId, socket) => peerRefused(peerId) || socketRefused(socket),
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

/**
 * How names are resolved for dials: without addresses that are refused, so that these are not reached by name either.
 */
function dialLookup({
  metrics,
  operators,
  ...who
}: Omit<GateDependencies, 'book' | 'nowMs'> & { readonly operators: OperatorAddresses }): ResolveName {
  return allowedAddresses(refusesIp(who, counted(metrics)), resolveNames(operators, metrics));
}

type Counted = (isRefused: boolean, reason: string) => boolean;

function counted(metrics: Metrics): Counted {
  const refused = metrics.counter(
    'teranode_p2p_connections_refused_total',
    'Connections refused before they were complete, by reason',
    ['reason'],
  );
  return (isRefused, reason) => {
    if (isRefused) refused.add(1, { reason });
    return isRefused;
  };
}

function refusesIp(
  { policy, privateAddresses }: Pick<GateDependencies, 'policy' | 'privateAddresses'>,
  when: Counted,
): (ip: string, name?: string) => boolean {
  return (ip, name) =>
    when(policy?.refusesAddress(ip) === true, 'banned_address') ||
    when(privateAddresses?.refuses(ip, name) === true, 'private_address');
}
