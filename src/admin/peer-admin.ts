// What gRPC and the command line may ask and order: the ban system and the node behind one port.
import type { BanService } from '../bans/service.ts';
import type { PeerId } from '../domain/ids.ts';
import type { BanReason } from '../domain/offence.ts';
import { P2PError } from '../lib/errors.ts';
import type { PeerRegistry, RegisteredPeer } from '../peers/registry.ts';
import type { P2PNode, PeerRecord } from '../ports/p2p-node.ts';
import type { PeerAdmin, PeerStanding, PeerView } from '../ports/peer-admin.ts';
import type { SyncPeerRow } from '../sync/choose-sync-peer.ts';
import { parsePeerId } from '../wire/peer-id.ts';

export interface PeerAdminDependencies {
  readonly bans: BanService;
  readonly node: Pick<P2PNode, 'currentlyConnectedPeers' | 'connectPeer' | 'disconnectPeer'>;
  readonly registry: Pick<PeerRegistry, 'get'>;
  /** A peer as the choice of a sync peer sees it. */
  readonly syncRow: (peer: RegisteredPeer) => SyncPeerRow;
  readonly isWhitelisted: (peerId: PeerId) => boolean;
}

export function peerAdmin(deps: PeerAdminDependencies): PeerAdmin {
  const { bans, node } = deps;
  return {
    peers: () => node.currentlyConnectedPeers().map((record) => view(record, deps)),
    ban: (text, untilMs, reason) => bans.ban(text, untilMs, reason),
    unban: async (text) => {
      const { lifted, hadScore } = await bans.unban(text);
      return lifted.length > 0 || hadScore;
    },
    isBanned: (text) => bans.isSubjectBanned(text),
    bans: () => bans.bans(),
    clearBans: () => bans.clear(),
    addScore: async (text, reason: BanReason) => {
      const outcome = bans.addScore(checkedPeerId(text), reason, {
        role: 'author',
        rule: 'operator',
        topic: '',
        hash: undefined,
      });
      return outcome.score;
    },
    explain: (text) => bans.explain(text),
    connect: (address) => node.connectPeer(address),
    disconnect: async (text) => {
      const peerId = checkedPeerId(text);
      if (!node.currentlyConnectedPeers().some(({ id }) => id === peerId))
        throw new P2PError('PEER_UNREACHABLE', 'there is no connection to this peer', { details: { peerId } });
      await node.disconnectPeer(peerId);
    },
  };
}

function view(record: PeerRecord, deps: PeerAdminDependencies): PeerView {
  const { bans, isWhitelisted } = deps;
  const known = deps.registry.get(record.id);
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
    ...standing(record.id, known, deps),
    banScore: bans.scoreOf(id),
    isWhitelisted: isWhitelisted(id),
  };
}

function standing(
  id: PeerId,
  known: RegisteredPeer | undefined,
  { bans, syncRow }: PeerAdminDependencies,
): PeerStanding {
  const row = known && syncRow(known);
  return {
    bestBlockHash: row?.claimed?.hash,
    claimedAtMs: known?.claimed?.atMs,
    provenHeight: row?.proven?.height,
    provenHash: row?.proven?.hash,
    dataHubUrl: row?.dataHubUrl,
    dataHubHealth: row?.dataHubHealth ?? 'unknown',
    lastMessageMs: row?.lastMessageMs,
    isBanned: bans.isBanned(id),
  };
}

function checkedPeerId(text: string): PeerId {
  const peerId = parsePeerId(text.trim());
  if (peerId !== undefined) return peerId;
  throw new P2PError('INPUT_INVALID', 'this is no peer id; one looks like 12D3Koo…', {
    details: { given: text.slice(0, 128) },
  });
}
