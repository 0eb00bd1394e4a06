// What is refused before a connection is complete: here, more than `p2p_max_conns_per_peer` of one peer.
import type { ConnectionGater } from '@libp2p/interface';
import type { Metrics } from '../../ports/metrics.ts';
import type { PeerBook } from './peer-book.ts';
import { peerIdText } from './peer-ids.ts';

export function connectionGate(book: PeerBook, maxPerPeer: number, metrics: Metrics): ConnectionGater {
  const refused = metrics.counter('teranode_p2p_connections_refused_total', 'Connections refused by the gate', [
    'reason',
  ]);
  const tooMany = (peerId: Parameters<NonNullable<ConnectionGater['denyInboundEncryptedConnection']>>[0]) => {
    if (book.connectionCount(peerIdText(peerId)) < maxPerPeer) return false;
    refused.add(1, { reason: 'max_conns_per_peer' });
    return true;
  };
  return {
    // js-libp2p's default refuses private addresses in browsers only; said here so that it stays so.
    denyDialMultiaddr: () => false,
    denyInboundEncryptedConnection: tooMany,
    denyOutboundEncryptedConnection: tooMany,
  };
}
