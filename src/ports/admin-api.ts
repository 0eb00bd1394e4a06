// What operators' tools (gRPC, HTTP, the command line) can ask of this node and order it to do.

import type { BanEntry, Explanation, LiftedBan, OrderedBan } from '../domain/ban.ts';
import type { NetworkEndpoint } from '../domain/endpoint.ts';
import type { BlockHash, Hash, PeerId } from '../domain/ids.ts';
import type { FeePolicy, Storage } from '../domain/node-status.ts';
import type { Notification } from '../domain/notification.ts';
import type { BanReason } from '../domain/offence.ts';
import type { PeerEvent, PeerHistory } from '../domain/peer-history.ts';
import type { WireName } from '../wire/format.ts';
import type { BlockHeaderRecord } from './blockchain-client.ts';
import type { DeliveryStanding, LeagueRow } from './deliveries.ts';
import type { Diagnosis } from './diagnosis.ts';
import type { HealthCheck } from './health.ts';
import type { HistoryBlock, HistoryHour, HistoryRange } from './history-store.ts';
import type { ValidationDecision } from './p2p-node.ts';
import type { Spread } from './propagation.ts';
import type { EndedSync, SyncChoice, SyncPeer } from './sync-status.ts';

/** What decides whether this node syncs from a peer; undefined where unknown. */
export interface PeerStanding {
  /** As last claimed, with the height; undefined when the claim has expired. */
  readonly bestBlockHash: BlockHash | undefined;
  /** Unix ms at which `height` was claimed. */
  readonly claimedAtMs: number | undefined;
  /** The highest block that it announced with a header that we checked, or its best block when our chain has it. */
  readonly provenHeight: number | undefined;
  readonly provenHash: BlockHash | undefined;
  /** Where it serves blocks, as last announced; only a URL that may be used. */
  readonly dataHubUrl: string | undefined;
  /** Result of our last check; `unknown` without a recent one. */
  readonly dataHubHealth: 'unknown' | 'healthy' | 'unhealthy';
  /** Unix ms of its last valid message. */
  readonly lastMessageMs: number | undefined;
  /** Its peer ID is banned: its connections are being closed. */
  readonly isBanned: boolean;
}

/** What a peer says about itself; undefined where it said nothing. Only message-bus has more than the name. */
export interface PeerStatus {
  readonly clientName: string | undefined;
  /** The wires on which its messages came; empty before the first. */
  readonly wires: readonly WireName[];
  readonly storage: Storage | undefined;
  /** Where it takes transactions: http or https, also on a private host. */
  readonly propagationUrl: string | undefined;
  /** BSV per kilobyte. */
  readonly minMiningTxFee: number | undefined;
  readonly feePolicy: FeePolicy | undefined;
  readonly txCount: bigint | undefined;
  readonly subtreeCount: number | undefined;
  readonly connectedPeersCount: number | undefined;
}

/** How it delivers valid blocks and subtrees of other authors, over some hours. */
export type PeerDeliveries = Pick<DeliveryStanding, 'firstDeliveryShare' | 'meanDelayMs'>;

/** A connected peer; undefined where unknown. */
export interface PeerView extends PeerStanding, PeerStatus, PeerDeliveries {
  readonly id: PeerId;
  /** Multiaddrs of its open connections. */
  readonly addresses: readonly string[];
  /** Multiaddr of our end of the first connection. */
  readonly localAddress: string | undefined;
  readonly direction: 'inbound' | 'outbound';
  /** Unix ms. */
  readonly connectedAtMs: number;
  /** From its handshake, else from libp2p. */
  readonly agentVersion: string | undefined;
  /** From its handshake: a uint64 bitmap in decimal; 1 is a full node. */
  readonly services: string | undefined;
  /** Unix ms of the last application bytes in each direction. */
  readonly lastSendMs: number | undefined;
  readonly lastReceiveMs: number | undefined;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly pingMs: number | undefined;
  /** As first claimed, and as last claimed; the latter expires when it is not repeated. */
  readonly startingHeight: number | undefined;
  readonly height: number | undefined;
  /** The higher of its scores as author and as propagation source. */
  readonly banScore: number;
  readonly isWhitelisted: boolean;
}

/** A peer that is connected, was heard recently or has a history; undefined where unknown. */
export interface KnownPeer {
  readonly id: PeerId;
  readonly isConnected: boolean;
  /** Unix ms. */
  readonly connectedAtMs: number | undefined;
  /** Unix ms of its last valid message. */
  readonly lastMessageMs: number | undefined;
  /** As last claimed; undefined when the claim has expired. */
  readonly height: number | undefined;
  readonly bestBlockHash: BlockHash | undefined;
  /** Where it serves blocks; only a URL that may be used. */
  readonly dataHubUrl: string | undefined;
  readonly clientName: string | undefined;
  /** As claimed; undefined for a full node during its penalty for an incomplete block. */
  readonly storage: Storage | undefined;
  readonly banScore: number;
  readonly isBanned: boolean;
  /** That of a new peer when there was no experience yet. */
  readonly history: PeerHistory;
}

/** The sync state of this node. */
export interface SyncView {
  /** undefined while the blockchain service does not answer. */
  readonly fsmState: string | undefined;
  readonly bestHeight: number | undefined;
  readonly bestBlockHash: Hash | undefined;
  /** undefined while no sync peer is chosen. */
  readonly syncPeer: SyncPeer | undefined;
  /** Why this sync peer, or why none; undefined before the first evaluation. */
  readonly choice: SyncChoice | undefined;
  /** undefined while no sync has ended. */
  readonly lastEnd: EndedSync | undefined;
}

/** Who this node is, and where it listens. */
export interface OwnAddresses {
  readonly peerId: PeerId;
  readonly version: string;
  /** By network: multiaddrs as bound, with the peer ID. */
  readonly networks: readonly {
    readonly wire: string;
    readonly topicPrefix: string;
    readonly listenAddresses: readonly string[];
  }[];
  /** undefined while HTTP is not served. */
  readonly httpUrl: string | undefined;
}

/** This node at a glance. */
export interface NodeView extends OwnAddresses, SyncView {
  readonly connectedPeers: number;
  readonly isReady: boolean;
  /** The checks of readiness. */
  readonly checks: readonly Pick<HealthCheck, 'name' | 'ok' | 'details'>[];
}

/** A gossip topic that this node has joined. */
export interface TopicView {
  /** Full name. */
  readonly name: string;
  readonly subscribers: readonly PeerId[];
  /** Peers with which full messages are exchanged. */
  readonly mesh: readonly PeerId[];
}

/** The best block that most peers claim. */
export interface NetworkTip {
  readonly height: number;
  readonly hash: BlockHash;
  /** Peers that claim it, and those of them for which the height is proven. */
  readonly claimedBy: number;
  readonly provenBy: number;
}

/** Peers that give themselves the same name. */
export interface OperatorRow {
  readonly clientName: string;
  readonly peers: number;
  readonly connectedPeers: number;
  /** undefined while none claims a height. */
  readonly lowestHeight: number | undefined;
  readonly highestHeight: number | undefined;
  /** Blocks that `highestHeight` is below the tip of the network; undefined while either is unknown. */
  readonly lag: number | undefined;
  /** Mean delay of its later deliveries behind the first; undefined while none of its peers is a neighbour with some. */
  readonly meanDelayMs: number | undefined;
  readonly full: number;
  readonly pruned: number;
}

/** How far peers are below the tip of the network, in blocks. */
export interface PeerLag {
  /** Peers that claim a height. */
  readonly peers: number;
  /** Of those, peers below the tip. */
  readonly behind: number;
  readonly median: number;
  readonly highest: number;
}

/** Gossip messages of the last minute. */
export interface TopicRate {
  /** Full name. */
  readonly name: string;
  readonly accepted: number;
  readonly ignored: number;
  readonly rejected: number;
}

/** Of each list of a NetworkView. */
export const MAX_NETWORK_ROWS = 100;

/** The network as this node hears it: connected peers, and authors heard recently. Lists: those with most peers. */
export interface NetworkView {
  /** undefined while no peer claims a block. */
  readonly tip: NetworkTip | undefined;
  readonly own: { readonly height: number; readonly hash: BlockHash } | undefined;
  /** Blocks that our own tip is below `tip`. */
  readonly lag: number | undefined;
  /** undefined while there is no tip. */
  readonly peerLag: PeerLag | undefined;
  readonly peers: number;
  readonly connectedPeers: number;
  readonly versions: readonly { readonly version: string; readonly peers: number }[];
  readonly operators: readonly OperatorRow[];
  /** Highest first. */
  readonly heights: readonly { readonly height: number; readonly peers: number }[];
  readonly topics: readonly TopicRate[];
  /** Neighbours by their share of first deliveries, greatest first. */
  readonly league: readonly LeagueRow[];
  /** How blocks and subtrees spread. */
  readonly spread: Spread;
}

/** An effective setting. */
export interface SettingView {
  readonly key: string;
  /** Secrets masked; empty when unset. */
  readonly value: string;
  /** `default`, `unset`, `environment p2p_port`, `settings.conf:12 p2p_port.dev`. */
  readonly origin: string;
}

/** The validation result of one gossip message. */
export interface RecentVerdict {
  /** Unix ms. */
  readonly atMs: number;
  /** Full name. */
  readonly topic: string;
  readonly author: PeerId;
  /** The propagation source. */
  readonly relay: PeerId;
  readonly decision: ValidationDecision;
  readonly isProcessed: boolean;
  /** Name of the validator that stopped it; undefined when it was processed. */
  readonly reason: string | undefined;
}

/**
 * Without node statuses: every node repeats its own, which would leave no room for other announcements. Tips and
 * reorganisations of our own chain are no announcements.
 */
export type RecentAnnouncement = Exclude<Notification, { readonly type: 'node_status' | 'tip' | 'reorg' }>;

/** Maximum number of recent announcements, and of recent validation results. */
export const MAX_RECENT = 200;

/** Longest reason that an operator may give for a ban. */
export const MAX_REASON_CHARS = 200;

/** Maximum number of headers in one answer; a block is found by its height when it is not further below the tip. */
export const MAX_HEADERS = 100;

/** Maximum number of peers to catch up from. */
export const MAX_CATCH_UP_PEERS = 1000;

/** Reasons that an operator may give; the specification's other two are only given by this node itself. */
export const SCORE_REASONS = [
  'invalid_subtree',
  'protocol_violation',
  'spam',
  'invalid_block',
] as const satisfies readonly BanReason[];

export type ScoreReason = (typeof SCORE_REASONS)[number];

export interface BanPage {
  /** Number of bans in force on all pages. */
  readonly total: number;
  readonly bans: readonly BanEntry[];
}

/**
 * Takes texts as the caller sent them and parses each once. A text that is not an address, subnet, peer ID, host,
 * reason or time of the kind needed throws P2PError INPUT_INVALID, with a message that says what is expected, and
 * changes nothing. Lists show the current state.
 */
export interface AdminApi {
  /** The peers with an open connection. */
  peers(): readonly PeerView[];
  /** One connected peer; undefined when there is no connection to it. */
  peer(peerId: string): PeerView | undefined;
  /** Dials a multiaddr. Throws PEER_UNREACHABLE within its own deadline of ten seconds. */
  connect(address: string): Promise<PeerId>;
  /** Throws PEER_UNREACHABLE when there is no connection to the peer. */
  disconnect(peerId: string): Promise<void>;
  /**
   * Adds the points of a reason to the peer's score as author. Resolves with the new score. The reason is one of
   * SCORE_REASONS; on the network of 2026 also `catchup_failure` or `catchup_malicious`, and any other is `unknown`.
   */
  addScore(peerId: string, reason: string): Promise<number>;

  /** Neighbours by their share of first deliveries, the greatest first; also those that left some hours ago. */
  league(): readonly LeagueRow[];

  knownPeers(): readonly KnownPeer[];
  /** undefined for a peer that is not connected, was not heard recently and has no history. */
  knownPeer(peerId: string): KnownPeer | undefined;
  /**
   * Peers that are not banned and have a usable DataHub URL: full nodes before pruned ones before others, then by
   * reputation; at most `MAX_CATCH_UP_PEERS`.
   */
  peersForCatchUp(): readonly KnownPeer[];
  /** Resolves when it is recorded. Throws RPC_FAILED when the service that keeps the histories does not answer. */
  recordPeerEvent(peerId: string, event: PeerEvent): Promise<void>;
  /** Of one peer, or of all. Resolves with the number of peers that were reset. Throws RPC_FAILED likewise. */
  resetReputation(peerId: string | undefined): Promise<number>;

  /** Bans in force in the order in which they were added. `limit` undefined: all from `offset` on. */
  banPage(offset: number, limit: number | undefined): BanPage;
  isBanned(subject: string): boolean;
  /**
   * IP, CIDR, `host:port` or peer ID. `untilMs` undefined: `p2p_ban_default_duration` from now; at most ten years ahead.
   * Resolves when the ban is in force, and says whether it is stored.
   */
  ban(subject: string, untilMs: number | undefined, reason?: string): Promise<OrderedBan>;
  /** Lifts the ban everywhere: list, scores, connection gate, dial back-off. */
  unban(subject: string): Promise<LiftedBan>;
  /** Lifts every ban. `hadAny` is false when there were none. */
  clearBans(): Promise<Pick<LiftedBan, 'hadAny' | 'isStored'>>;
  /** A peer ID, an IP, a subnet, or the host of a DataHub. */
  explain(subject: string): Explanation;

  /** `isBrief`: only what is known at once, without chain and health. */
  status(isBrief: boolean): Promise<NodeView>;
  sync(): Promise<SyncView>;
  network(): NetworkView;
  /** Throws HISTORY_OFF when none is kept, STORE_UNAVAILABLE. */
  historyBlocks(range: HistoryRange): Promise<readonly HistoryBlock[]>;
  /** Throws likewise. */
  historyHours(range: HistoryRange): Promise<readonly HistoryHour[]>;
  /**
   * Headers of our own chain, newest first. `block`: hash of any block, or height of one of the latest `MAX_HEADERS`;
   * empty: the tip. `count`: 1 to `MAX_HEADERS`. Empty when there is no such block. Throws what the blockchain service
   * throws, and TIMEOUT.
   */
  headers(block: string, count: number): Promise<readonly BlockHeaderRecord[]>;
  topics(): readonly TopicView[];
  diagnosis(): Diagnosis;
  settings(): readonly SettingView[];
  /** Announcements of peers and of this node, latest first; at most `MAX_RECENT`. */
  recentAnnouncements(): readonly RecentAnnouncement[];
  /** Latest first; at most `MAX_RECENT`. */
  recentVerdicts(): readonly RecentVerdict[];
  /** URLs that peers announce, as they were checked last. */
  endpoints(): readonly NetworkEndpoint[];
}
