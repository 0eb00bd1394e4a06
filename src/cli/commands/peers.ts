// `teranode-p2p peers`: who is connected to a running node, by its gRPC.
import { parseArgs } from 'node:util';
import type { AttemptOutcome, PeerClient, PeerStanding, PeerSummary } from '../../client/index.ts';
import { P2PError } from '../../lib/errors.ts';
import { type Action, administer, CONNECTION_OPTIONS, type CommandIo, exactly, type Output } from './connection.ts';
import { isoTime, table, visible } from './table.ts';

const ACTIONS: Readonly<Record<string, Action<unknown>>> = {
  list: async (client, rest) => {
    exactly([], rest, 'peers list');
    const peers = await listedPeers(client);
    return { people: peers.length === 0 ? 'no peers\n' : peerTable(peers), programs: peers.map(shownPeer) };
  },
  connect: async (client, rest) => {
    const [address] = exactly(['multiaddr'], rest, 'peers connect <multiaddr>');
    return attempted(`connected to ${address}`, { address }, await client.connectPeer(address));
  },
  disconnect: async (client, rest) => {
    const [id] = exactly(['peer id'], rest, 'peers disconnect <peer id>');
    return attempted(`disconnected from ${id}`, { id }, await client.disconnectPeer(id));
  },
};

/** Throws INPUT_INVALID, PEER_UNREACHABLE, RPC_FAILED and what the settings may throw. */
export async function peersCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  const given = parseArgs({ args: [...argv], allowPositionals: true, options: CONNECTION_OPTIONS });
  return await administer('peers', ACTIONS, given, io);
}

function attempted(line: string, subject: object, outcome: AttemptOutcome): Output {
  if (!outcome.success) throw new P2PError('PEER_UNREACHABLE', visible(outcome.error));
  return { people: `${visible(line)}\n`, programs: [{ ok: true, ...subject }] };
}

type ListedPeer = PeerSummary & Partial<PeerStanding>;

/** The Go service has `getPeers` alone. */
async function listedPeers(client: PeerClient): Promise<readonly ListedPeer[]> {
  try {
    return await client.listPeers();
  } catch (error) {
    if (error instanceof P2PError && error.details.grpcCode === 'UNIMPLEMENTED') return await client.getPeers();
    throw error;
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

function peerTable(peers: readonly ListedPeer[]): string {
  return table(
    ['id', 'address', 'direction', 'since', 'height', 'DataHub', 'score', 'ping ms', 'sent', 'received', 'agent'],
    peers.map((peer) => [
      peer.id,
      peer.address,
      peer.direction,
      isoTime(peer.connectedAtMs),
      String(peer.height ?? ''),
      peer.dataHubUrl === undefined ? '' : (peer.dataHubHealth ?? ''),
      peer.isBanned ? 'banned' : peer.isWhitelisted ? 'whitelisted' : String(peer.banScore),
      String(peer.pingMs ?? ''),
      String(peer.bytesSent),
      String(peer.bytesReceived),
      peer.agentVersion ?? '',
    ]),
  );
}
