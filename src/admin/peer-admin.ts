// What gRPC and the command line may ask and order: the ban system and the node behind one port.
import { parseBanKey } from '../bans/list/ban-key.ts';
import type { BanSystem } from '../bans/service.ts';
import type { PeerId } from '../domain/ids.ts';
import { P2PError } from '../lib/errors.ts';
import type { PeerRegistry, RegisteredPeer } from '../peers/registry.ts';
import type { BanEntry, BanReason } from '../ports/ban-store.ts';
import type { P2PNode, PeerRecord } from '../ports/p2p-node.ts';
import type { Explanation, PeerAdmin, PeerStanding, PeerView } from '../ports/peer-admin.ts';
import type { SyncPeerRow } from '../sync/choose-sync-peer.ts';
import { parsePeerId } from '../wire/peer-id.ts';

export interface PeerAdminDependencies {
  readonly bans: BanSystem;
  readonly node: Pick<P2PNode, 'currentlyConnectedPeers' | 'connectPeer' | 'disconnectPeer'>;
  readonly registry: Pick<PeerRegistry, 'get'>;
  /** A peer as the choice of a sync peer sees it. */
  readonly syncRow: (peer: RegisteredPeer) => SyncPeerRow;
  readonly isWhitelisted: (peerId: PeerId) => boolean;
}

const MAX_HOST_CHARS = 260;

export function peerAdmin(deps: PeerAdminDependencies): PeerAdmin {
  const { bans, node, isWhitelisted } = deps;
  return {
    peers: () => node.currentlyConnectedPeers().map((record) => view(record, deps)),
    ban: (text, untilMs, reason) => banned(bans, text, untilMs, reason),
    unban: async (text) => {
      const before = bans.manager.getBanScore(text.trim()) > 0;
      return (await bans.unban(text)).length > 0 || before;
    },
    isBanned: (text) => {
      if (parseBanKey(text) === undefined) throw noSubject(text);
      return bans.list.isBanned(text);
    },
    bans: () => bans.list.entries(),
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
    explain: (text) => explained(text, bans, isWhitelisted),
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
    banScore: bans.manager.getBanScore(id),
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

async function banned(bans: BanSystem, text: string, untilMs: number | undefined, reason = ''): Promise<BanEntry> {
  return await bans.list.add(text, untilMs, {
    reason: reason === '' ? 'banned by the operator' : reason,
    evidence: '',
    source: 'operator',
    because: undefined,
  });
}

function explained(text: string, bans: BanSystem, isWhitelisted: (peerId: PeerId) => boolean): Explanation {
  const key = parseBanKey(text);
  const subject = key?.key ?? checkedHost(text, (host) => bans.manager.accountOf(host).offences.length > 0);
  const inForce = bans.list.entries().filter((entry) => entry.key === subject || entry.because === subject);
  const covering = key === undefined ? undefined : bans.list.banOf(text);
  if (covering !== undefined && !inForce.some((entry) => entry.key === covering.key)) inForce.push(covering);
  const peerId = key?.kind === 'peer' ? key.key : undefined;
  return {
    subject,
    ...bans.manager.accountOf(subject),
    inForce,
    isWhitelisted: peerId !== undefined && isWhitelisted(peerId),
    addressesSeen: peerId === undefined ? [] : bans.seen.addressesOf(peerId),
  };
}

function checkedPeerId(text: string): PeerId {
  const peerId = parsePeerId(text.trim());
  if (peerId !== undefined) return peerId;
  throw new P2PError('INPUT_INVALID', 'this is no peer id; one looks like 12D3Koo…', {
    details: { given: text.slice(0, 128) },
  });
}

/** A DataHub's, with or without its port. A name without a dot may be a mistyped peer id, unless something is noted of it. */
function checkedHost(text: string, isNoted: (host: string) => boolean): string {
  const host = text
    .trim()
    .toLowerCase()
    .replace(/:\d{1,5}$/, '');
  const isName = host.length <= MAX_HOST_CHARS && /^[a-z0-9][a-z0-9._-]*$/.test(host);
  if (isName && (host.includes('.') || isNoted(host))) return host;
  throw noSubject(text);
}

function noSubject(text: string): P2PError {
  return new P2PError('INPUT_INVALID', 'give an IP, a subnet, a peer id (12D3Koo…), or a DataHub’s host', {
    details: { given: text.slice(0, 128) },
  });
}
