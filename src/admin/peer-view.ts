// A connected peer as operators see it: what the node knows of the connection, what the peer claims, and how we rate
// it.
import type { PeerId } from '../domain/ids.ts';
import type { FirstDeliveries } from '../peers/first-deliveries.ts';
import type { PeerRegistry, RegisteredPeer } from '../peers/registry.ts';
import type { PeerStanding, PeerStatus, PeerView } from '../ports/admin-api.ts';
import type { PeerRecord } from '../ports/p2p-node.ts';
import type { SyncPeerRow } from '../sync/choose-sync-peer.ts';

export interface PeerViewSources {
  readonly registry: Pick<PeerRegistry, 'get'>;
  /** A peer as the choice of a sync peer sees it. */
  readonly syncRow: (peer: RegisteredPeer) => SyncPeerRow;
  readonly isBanned: (peerId: PeerId) => boolean;
  readonly isWhitelisted: (peerId: PeerId) => boolean;
  readonly banScoreOf: (peerId: PeerId) => number;
  readonly deliveries: Pick<FirstDeliveries, 'standingOf'>;
}

export function peerView(record: PeerRecord, sources: PeerViewSources): PeerView {
  const known = sources.registry.get(record.id);
  const delivered = sources.deliveries.standingOf(record.id);
  const { id, addresses, localAddress, lastSendMs, lastReceiveMs, bytesSent, bytesReceived, pingMs } = record;
  return {
    id,
    addresses,
    localAddress,
    direction: record.direction ?? 'inbound',
    connectedAtMs: record.connectedAtMs ?? 0,
    agentVersion: known?.userAgent ?? record.agentVersion,
    services: known?.services?.toString(),
    lastSendMs,
    lastReceiveMs,
    bytesSent,
    bytesReceived,
    pingMs,
    startingHeight: known?.startingHeight,
    height: known?.claimed?.height,
    ...standing(record.id, known, sources),
    ...status(known),
    banScore: sources.banScoreOf(id),
    isWhitelisted: sources.isWhitelisted(id),
    firstDeliveryShare: delivered?.firstDeliveryShare ?? 0,
    meanDelayMs: delivered?.meanDelayMs,
  };
}

function status(known: RegisteredPeer | undefined): PeerStatus {
  return {
    clientName: known?.clientName,
    wires: known?.wires ?? [],
    storage: known?.storage,
    propagationUrl: known?.propagationUrl,
    minMiningTxFee: known?.minMiningTxFee,
    feePolicy: known?.feePolicy,
    txCount: known?.txCount,
    subtreeCount: known?.subtreeCount,
    connectedPeersCount: known?.connectedPeersCount,
  };
}

function standing(id: PeerId, known: RegisteredPeer | undefined, sources: PeerViewSources): PeerStanding {
  const row = known && sources.syncRow(known);
  return {
    bestBlockHash: row?.claimed?.hash,
    claimedAtMs: known?.claimed?.atMs,
    provenHeight: row?.proven?.height,
    provenHash: row?.proven?.hash,
    dataHubUrl: row?.dataHubUrl,
    dataHubHealth: row?.dataHubHealth ?? 'unknown',
    lastMessageMs: row?.lastMessageMs,
    isBanned: sources.isBanned(id),
  };
}
