// The port that mirrors the specification's p2p.NodeI, method by method, so that users can bring a node of their own.
import type { PeerId } from '../domain/ids.ts';
import type { Progress } from './progress.ts';

/** What happens to a gossip message: forwarded, silently dropped, or dropped as invalid. */
export type ValidationDecision = 'accept' | 'ignore' | 'reject';

/** A gossip message whose signature has been verified. */
export interface GossipMessage {
  readonly topic: string;
  readonly bytes: Uint8Array;
  /** The peer that signed it. */
  readonly author: PeerId;
  /** The propagation source: the neighbour that sent it to us. For our own messages, ourselves. */
  readonly receivedFrom: PeerId;
  readonly seqno: bigint;
}

/** Validates a message inside gossipsub's validator: synchronous, never blocks. A rejected or ignored message is not forwarded. */
export type TopicHandler = (message: GossipMessage) => ValidationDecision;

/** An inbound direct stream, already negotiated. The handler owns it and must close or abort it. */
export interface DirectStream {
  readonly peerId: PeerId;
  /** Reads until the other side closes its writing side. Throws P2PError TIMEOUT or MESSAGE_TOO_LARGE. */
  readToEnd(maxBytes: number, deadlineMs: number): Promise<Uint8Array>;
  close(): Promise<void>;
  abort(reason: Error): void;
}

export type DirectStreamHandler = (stream: DirectStream) => void | Promise<void>;

/** A topic that the node has joined. */
export interface JoinedTopic {
  readonly name: string;
  /** Peers known to subscribe to it. */
  subscribers(): PeerId[];
  /** Peers that we exchange full messages of it with. */
  mesh(): PeerId[];
}

/** What the node knows of a peer. */
export interface PeerRecord {
  readonly id: PeerId;
  /** Addresses of live connections, else those known to the peer store. */
  readonly addresses: readonly string[];
  /** Our end of the first of its open connections; undefined for what runs through a relay. */
  readonly localAddress: string | undefined;
  readonly connected: boolean;
  readonly direction: 'inbound' | 'outbound' | undefined;
  /** Unix ms. */
  readonly connectedAtMs: number | undefined;
  readonly agentVersion: string | undefined;
  /** As last set by `updatePeerHeight`, however long ago, and as set first since it connected. */
  readonly height: number | undefined;
  readonly startingHeight: number | undefined;
  /** On its open connections, everything included. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Unix ms. */
  readonly lastSendMs: number | undefined;
  readonly lastReceiveMs: number | undefined;
  /** Round trip as last measured. */
  readonly pingMs: number | undefined;
}

export type PublishOutcome = 'published' | 'suppressed';

/** Spec: `p2p.NodeI`. */
export interface P2PNode {
  /** Joins the topics, listens, dials; resolves when listening. `streamHandler` serves the direct stream protocol. */
  start(
    signal: AbortSignal,
    streamHandler: DirectStreamHandler | undefined,
    topicNames: readonly string[],
  ): Promise<void>;
  /** May be called twice; bounded in time. */
  stop(): Promise<void>;

  /** One handler a topic; a topic without one is joined and relayed unread. Throws TOPIC_UNKNOWN. */
  setTopicHandler(topicName: string, handler: TopicHandler): void;
  getTopic(topicName: string): JoinedTopic | undefined;
  /**
   * Resolves when handed to the neighbours, or when the node keeps it to itself (`listen_only`). Throws MESSAGE_TOO_LARGE (over 1 MiB),
   * TOPIC_UNKNOWN, NODE_NOT_STARTED.
   */
  publish(topicName: string, bytes: Uint8Array): Promise<PublishOutcome>;

  hostId(): PeerId;
  /** Full multiaddrs with `/p2p/<id>` that the node listens on. */
  listenAddresses(): string[];
  /** Every peer known to the peer store (bounded), connected or not. */
  connectedPeers(): PeerRecord[];
  /** Exactly the peers with an open connection. */
  currentlyConnectedPeers(): PeerRecord[];
  /** Dials a multiaddr. Throws PEER_UNREACHABLE, ADDRESS_INVALID. */
  connectPeer(address: string, deadlineMs?: number): Promise<PeerId>;
  disconnectPeer(peerId: PeerId): Promise<void>;
  /** Sends one message on a new direct stream and closes the writing side. Throws PEER_UNREACHABLE. */
  sendToPeer(peerId: PeerId, bytes: Uint8Array, deadlineMs?: number): Promise<void>;
  /** Called once for each peer that goes from no connection to one. */
  setPeerConnectedCallback(callback: (peerId: PeerId) => void): void;
  /** Ours: called once for each peer whose last connection ended. */
  setPeerDisconnectedCallback(callback: (peerId: PeerId) => void): void;
  updatePeerHeight(peerId: PeerId, height: number): void;
  /** Ours: somebody may be reachable again (a ban was lifted), so listed peers are dialled without waiting for their back-off. */
  retryDials(): void;

  /** When application bytes were last sent; undefined before the first. */
  lastSend(): Date | undefined;
  lastRecv(): Date | undefined;
  bytesSent(): bigint;
  bytesReceived(): bigint;

  /**
   * Ours: monotonic ms at which the newest of the peer's open connections began, undefined for a peer without one. A node may leave it out; then
   * a neighbour that restarted with its clock set back is heard again only when its clock has made up for it.
   */
  connectedSinceMs?(peerId: PeerId): number | undefined;

  /** Ours, for liveness: messages of gossip that came in, and those that were judged. A node may leave it out. */
  gossipProgress?(): Progress | undefined;

  getProcessName(): string;
  updateBytesReceived(bytesCount: bigint): void;
}
