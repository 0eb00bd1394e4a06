// The port that mirrors the specification's p2p.NodeI, method by method, so that users can bring a node of their own.
import type { PeerId } from '../domain/ids.ts';
import type { NodeDiagnosis } from './diagnosis.ts';
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
  /** The author's, over topic, bytes, author and sequence number; absent where a node does not tell. */
  readonly signature?: Uint8Array | undefined;
}

/**
 * Validates a message inside gossipsub's validator: synchronous, never blocks. A rejected or ignored message is not
 * forwarded.
 */
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
  /** Addresses of open connections, else those known to the peer store. */
  readonly addresses: readonly string[];
  /** Our end of the first open connection; undefined for a connection through a circuit relay. */
  readonly localAddress: string | undefined;
  readonly direction: 'inbound' | 'outbound' | undefined;
  /** Unix ms. */
  readonly connectedAtMs: number | undefined;
  readonly agentVersion: string | undefined;
  /** On its open connections, protocol overhead included. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Unix ms. */
  readonly lastSendMs: number | undefined;
  readonly lastReceiveMs: number | undefined;
  /** Round trip as last measured. */
  readonly pingMs: number | undefined;
  /** This server does not read the others. */
  readonly connected?: boolean;
  /** As last set by `updatePeerHeight`, however long ago, and as set first since the peer connected. */
  readonly height?: number | undefined;
  readonly startingHeight?: number | undefined;
}

export type PublishOutcome = 'published' | 'suppressed';

/**
 * Spec: `p2p.NodeI`. This server calls the required members; a node may leave out the optional ones, which are for
 * programs that hold a node.
 */
export interface P2PNode {
  /** Joins the topics, listens, dials; resolves when listening. `streamHandler` serves the direct stream protocol. */
  start(
    signal: AbortSignal,
    streamHandler: DirectStreamHandler | undefined,
    topicNames: readonly string[],
  ): Promise<void>;
  /** May be called twice; bounded in time. */
  stop(): Promise<void>;

  /** One handler per topic; messages of a topic without a handler are forwarded unread. Throws TOPIC_UNKNOWN. */
  setTopicHandler(topicName: string, handler: TopicHandler): void;
  getTopic(topicName: string): JoinedTopic | undefined;
  /**
   * Resolves when the message was sent to the neighbours, or when the node suppresses it (`listen_only`). Throws
   * MESSAGE_TOO_LARGE (over 1 MiB), TOPIC_UNKNOWN, NODE_NOT_STARTED.
   */
  publish(topicName: string, bytes: Uint8Array): Promise<PublishOutcome>;

  hostId(): PeerId;
  /** Full multiaddrs with `/p2p/<id>` that the node listens on. */
  listenAddresses(): string[];
  /** Exactly the peers with an open connection. */
  currentlyConnectedPeers(): PeerRecord[];
  /** Dials a multiaddr. Throws PEER_UNREACHABLE, ADDRESS_INVALID. */
  connectPeer(address: string, deadlineMs?: number): Promise<PeerId>;
  disconnectPeer(peerId: PeerId): Promise<void>;
  /** Sends one message on a new direct stream and closes the writing side. Throws PEER_UNREACHABLE. */
  sendToPeer(peerId: PeerId, bytes: Uint8Array, deadlineMs?: number): Promise<void>;
  /** Called once for each peer that goes from no connection to one. */
  setPeerConnectedCallback(callback: (peerId: PeerId) => void): void;
  /** Not in the specification: called once for each peer whose last connection ended. */
  setPeerDisconnectedCallback(callback: (peerId: PeerId) => void): void;
  /** Not in the specification: a ban was lifted, so configured peers are dialled without waiting for their back-off. */
  retryDials(): void;

  /**
   * Not in the specification: monotonic ms at which the newest open connection of the peer began; undefined for a peer
   * without one. Without this member, messages of a neighbour that restarted with its clock set back are ignored until
   * its clock has caught up.
   */
  connectedSinceMs?(peerId: PeerId): number | undefined;
  /** Not in the specification: what operators need to find out why nothing is heard. */
  diagnosis?(): NodeDiagnosis;
  /** Not in the specification: gossip messages received and validated, for liveness. */
  gossipProgress?(): Progress | undefined;

  /** Told what each peer claims. Only a node that shows `height` in its records needs it. */
  updatePeerHeight?(peerId: PeerId, height: number): void;
  /** Every peer known to the peer store (bounded), connected or not. */
  connectedPeers?(): PeerRecord[];
  /** When application bytes were last sent; undefined before the first. */
  lastSend?(): Date | undefined;
  lastRecv?(): Date | undefined;
  bytesSent?(): bigint;
  bytesReceived?(): bigint;
  updateBytesReceived?(bytesCount: bigint): void;
  getProcessName?(): string;
}
