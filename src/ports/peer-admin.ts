// What an operator's tools (gRPC, the command line through it) ask of this node and tell it. Texts come from outside and are checked here.
import type { BanEntry, Explanation } from '../domain/ban.ts';
import type { BlockHash, PeerId } from '../domain/ids.ts';
import type { BanReason } from '../domain/offence.ts';

/** What decides whether we sync from a peer, as the choice sees it; undefined where this node does not know. */
export interface PeerStanding {
  /** As claimed last, with its height; goes with it when that is not repeated. */
  readonly bestBlockHash: BlockHash | undefined;
  /** Unix ms at which `height` was claimed. */
  readonly claimedAtMs: number | undefined;
  /** Highest block it announced with a header that we checked, or its best block where our chain has it. */
  readonly provenHeight: number | undefined;
  readonly provenHash: BlockHash | undefined;
  /** Where it serves blocks, as it says last; only URLs that may be used. */
  readonly dataHubUrl: string | undefined;
  /** As our checks found it last; unknown when it was not asked, or not lately. */
  readonly dataHubHealth: 'unknown' | 'healthy' | 'unhealthy';
  /** Unix ms of its last message that passed. */
  readonly lastMessageMs: number | undefined;
  /** Its peer id is: its connections are being ended. */
  readonly isBanned: boolean;
}

/** What this node knows of a connected peer; undefined where it does not know. */
export interface PeerView extends PeerStanding {
  readonly id: PeerId;
  /** Multiaddrs of its open connections. */
  readonly addresses: readonly string[];
  /** Multiaddr of our end of the first of them. */
  readonly localAddress: string | undefined;
  readonly direction: 'inbound' | 'outbound';
  /** Unix ms. */
  readonly connectedAtMs: number;
  /** As its handshake says, else as it says to libp2p. */
  readonly agentVersion: string | undefined;
  /** As its handshake says: a uint64 bitmap in decimal; 1 is a full node. */
  readonly services: string | undefined;
  /** Unix ms of the last application bytes each way. */
  readonly lastSendMs: number | undefined;
  readonly lastReceiveMs: number | undefined;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly pingMs: number | undefined;
  /** As first claimed, and as claimed last; the latter goes when it is not repeated. */
  readonly startingHeight: number | undefined;
  readonly height: number | undefined;
  /** The higher one of its scores as author and as relay. */
  readonly banScore: number;
  readonly isWhitelisted: boolean;
}

/**
 * Texts are as the caller sent them. What is no address, subnet, peer id, host or time throws P2PError INPUT_INVALID with a message that
 * says what would be right, and changes nothing.
 */
export interface PeerAdmin {
  /** Exactly the connected peers. */
  peers(): readonly PeerView[];
  /** IP, CIDR, `host:port` or peer id. `untilMs` undefined: `p2p_ban_default_duration` from now. Resolves when in force. */
  ban(text: string, untilMs: number | undefined, reason?: string): Promise<BanEntry>;
  /** Lifts it everywhere: list, scores, gate, dial back-off. False when there was nothing to lift. */
  unban(text: string): Promise<boolean>;
  isBanned(text: string): boolean;
  bans(): readonly BanEntry[];
  clearBans(): Promise<void>;
  /** Adds the reason's points to the peer's score as author. Resolves with the score after it. */
  addScore(peerId: string, reason: BanReason): Promise<number>;
  /** A peer id, an IP, or a DataHub's host. */
  explain(text: string): Explanation;
  /** A multiaddr. Throws PEER_UNREACHABLE within its own deadline of ten seconds. */
  connect(address: string): Promise<PeerId>;
  /** Throws PEER_UNREACHABLE when there is no connection to it. */
  disconnect(peerId: string): Promise<void>;
}
