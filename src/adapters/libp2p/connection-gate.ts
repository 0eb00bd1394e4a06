// What is refused before a connection is complete: banned addresses before any handshake, banned peers and more than
// `p2p_max_conns_per_peer` of one peer once its id is proven.
import type { ConnectionGater, PeerId as LibPeerId } from '@libp2p/interface';
import type { ConnectionPolicy } from '../../ports/connection-policy.ts';
import type { Metrics } from '../../ports/metrics.ts';
import { parseMultiaddr, peerIdOf, socketIp } from './addresses.ts';
import type { PeerBook } from './peer-book.ts';
import { peerIdText } from './peer-ids.ts';

export interface GateDependencies {
  readonly book: PeerBook;
  readonly policy: ConnectionPolicy | undefined;
  readonly metrics: Metrics;
}

export function connectionGate({ book, policy, metrics }: GateDependencies, maxPerPeer: number): ConnectionGater {
  const refused = metrics.counter('teranode_p2p_connections_refused_total', 'Connections refused by the gate', [
    'reason',
  ]);
  const when = (isRefused: boolean, reason: string): boolean => {
    if (isRefused) refused.add(1, { reason });
    return isRefused;
  };
  const addressRefused = (address: Parameters<NonNullable<ConnectionGater['denyDialMultiaddr']>>[0]): boolean => {
    const ip = socketIp(parseMultiaddr(address.toString()));
    return when(ip !== undefined && policy?.refusesAddress(ip) === true, 'banned_address');
  };
  const peerRefused = (peerId: LibPeerId): boolean =>
    when(policy?.refusesPeer(peerIdText(peerId)) === true, 'banned_peer');
  const encrypted = (peerId: LibPeerId): boolean =>
    peerRefused(peerId) || when(book.connectionCount(peerIdText(peerId)) >= maxPerPeer, 'max_conns_per_peer');
  return {
    denyDialPeer: peerRefused,
    // js-libp2p's default refuses private addresses in browsers; ours refuses what is banned, wherever it is.
    denyDialMultiaddr: addressRefused,
    denyInboundConnection: (socket) => addressRefused(socket.remoteAddr),
    denyOutboundConnection: (peerId, socket) => peerRefused(peerId) || addressRefused(socket.remoteAddr),
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
