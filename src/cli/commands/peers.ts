// `teranode-p2p peers`: lists, connects and disconnects the peers of a running node over its gRPC.
import type { AttemptOutcome, PeerClient, PeerStanding, PeerSummary } from '../../client/index.ts';
import { P2PError } from '../../lib/errors.ts';
import { type Terminal, terminalOf } from '../terminal.ts';
import type { Action, Output } from './connection.ts';
import { byteCount, type Cell, isoTime, table, visible } from './table.ts';

export const listPeers: Action = async (client, _argument, _flags, io) => {
  const peers = await listedPeers(client);
  return {
    people: peers.length === 0 ? 'no peers\n' : peerTable(peers, terminalOf(io)),
    programs: peers.map(shownPeer),
  };
};

/** Throws PEER_UNREACHABLE. */
export const connectPeer: Action = async (client, address) =>
  attempted(`connected to ${address}`, { address }, await client.connectPeer(address));

/** Throws PEER_UNREACHABLE when it is not connected. */
export const disconnectPeer: Action = async (client, id) =>
  attempted(`disconnected from ${id}`, { id }, await client.disconnectPeer(id));

function attempted(line: string, subject: object, outcome: AttemptOutcome): Output {
  if (!outcome.success) throw new P2PError('PEER_UNREACHABLE', visible(outcome.error));
  return { people: `${visible(line)}\n`, programs: [{ ok: true, ...subject }] };
}

type ListedPeer = PeerSummary & Partial<PeerStanding>;

/** Falls back to `getPeers`, the only list that the Go service has; its heights are 0 when they are unknown, too. */
async function listedPeers(client: PeerClient): Promise<readonly ListedPeer[]> {
  try {
    return await client.listPeers();
  } catch (error) {
    if (!(error instanceof P2PError) || error.details.grpcCode !== 'UNIMPLEMENTED') throw error;
    return (await client.getPeers()).map((peer) => ({ ...peer, height: peer.height ?? 0 }));
  }
}

function shownPeer(listed: ListedPeer): unknown {
  const { connectedAtMs, lastSendMs, lastReceiveMs, claimedAtMs, lastMessageMs, ...peer } = listed;
  return {
    ...peer,
    connectedAt: isoTime(connectedAtMs),
    lastSend: isoTime(lastSendMs) || undefined,
    lastReceive: isoTime(lastReceiveMs) || undefined,
    claimedAt: isoTime(claimedAtMs) || undefined,
    lastMessage: isoTime(lastMessageMs) || undefined,
  };
}

function peerTable(peers: readonly ListedPeer[], terminal: Terminal): string {
  return table(
    [
      'id',
      'address',
      'direction',
      'since',
      { head: 'height', isNumber: true },
      'DataHub',
      { head: 'ban score', isNumber: true },
      { head: 'ping', isNumber: true },
      { head: 'sent', isNumber: true },
      { head: 'received', isNumber: true },
      'agent',
    ],
    peers.map((peer) => [
      peer.id,
      peer.address,
      peer.direction,
      isoTime(peer.connectedAtMs),
      String(peer.height ?? ''),
      peer.dataHubUrl === undefined ? '' : dataHub(peer.dataHubHealth ?? ''),
      peer.isBanned ? { text: 'banned', color: 'red' } : peer.isWhitelisted ? 'whitelisted' : String(peer.banScore),
      peer.pingMs === undefined ? '' : `${Number(peer.pingMs.toPrecision(3))} ms`,
      byteCount(peer.bytesSent),
      byteCount(peer.bytesReceived),
      peer.agentVersion ?? '',
    ]),
    terminal,
  );
}

function dataHub(health: string): Cell {
  return health === 'unhealthy' ? { text: health, color: 'red' } : health;
}
