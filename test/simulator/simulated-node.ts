// A P2P node without libp2p: our port above, simulated links below. It does what gossipsub does for the rest of the
// server: drops known messages and wrong signatures, asks the topic handler, and forwards what that accepts.
import type { PeerId } from '../../src/domain/ids.ts';
import { P2PError } from '../../src/lib/errors.ts';
import type { ConnectionPolicy } from '../../src/ports/connection-policy.ts';
import type {
  DirectStreamHandler,
  GossipMessage,
  JoinedTopic,
  P2PNode,
  PeerRecord,
  PublishOutcome,
  TopicHandler,
  ValidationDecision,
} from '../../src/ports/p2p-node.ts';
import type { Links } from './links.ts';
import { EPOCH_MS, type VirtualTime } from './virtual-time.ts';

export interface SignedMessage {
  readonly topic: string;
  readonly bytes: Uint8Array;
  readonly author: PeerId;
  readonly seqno: bigint;
  readonly signature: number;
}

/** What the links know of a node, ours or an adversary's. */
export interface GossipHost {
  readonly id: PeerId;
  readonly name: string;
  readonly ip: string;
  readonly isUp: boolean;
  readonly dials: readonly PeerId[];
  mayConnect(other: GossipHost): boolean;
  opened(other: GossipHost, direction: 'inbound' | 'outbound'): void;
  closed(other: PeerId): void;
  receive(message: SignedMessage, from: PeerId): void;
  receiveDirectly(from: PeerId, bytes: Uint8Array): void;
}

export interface Identity {
  readonly id: PeerId;
  readonly name: string;
  readonly ip: string;
  /** In the place of a private key: whoever knows it can sign. */
  readonly secret: number;
}

/** A stand-in for Ed25519 that is fast and depends on every byte. */
export function signatureOf(secret: number, message: Omit<SignedMessage, 'signature'>): number {
  let hash = (0x811c9dc5 ^ secret ^ Number(message.seqno & 0xffffffffn)) >>> 0;
  for (const byte of message.bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

export interface SimulatedNodeDependencies {
  readonly time: VirtualTime;
  readonly links: Links;
  readonly policy: ConnectionPolicy;
  readonly secretOf: (author: PeerId) => number | undefined;
  /** Called with each message that reached the topic handler, after it decided. */
  readonly onDecided: (message: SignedMessage, from: PeerId, decision: ValidationDecision) => void;
  readonly onPublished: (message: SignedMessage) => void;
  /** Ms by which this machine's clock is ahead. */
  readonly skewMs: () => number;
}

interface Connection {
  readonly ip: string;
  readonly direction: 'inbound' | 'outbound';
  readonly sinceMs: number;
}

/** As long as the seen cache of our gossipsub remembers. */
const SEEN_MS = 120_000;
const NS_PER_MS = 1_000_000n;

export class SimulatedNode implements P2PNode, GossipHost {
  readonly id: PeerId;
  readonly name: string;
  readonly ip: string;
  readonly dials: readonly PeerId[];
  isUp = false;
  private readonly deps: SimulatedNodeDependencies;
  private readonly secret: number;
  private readonly handlers = new Map<string, TopicHandler>();
  private readonly connections = new Map<PeerId, Connection>();
  /** Ids of messages, oldest first. */
  private readonly seen = new Map<string, number>();
  private topics: ReadonlySet<string> = new Set();
  private streamHandler: DirectStreamHandler | undefined;
  private seqno = 0n;
  private connectedCallback: (peerId: PeerId) => void = () => {};
  private disconnectedCallback: (peerId: PeerId) => void = () => {};

  constructor(deps: SimulatedNodeDependencies, identity: Identity, dials: readonly PeerId[]) {
    this.deps = deps;
    this.id = identity.id;
    this.name = identity.name;
    this.ip = identity.ip;
    this.secret = identity.secret;
    this.dials = dials;
  }

  async start(
    _signal: AbortSignal,
    streamHandler: DirectStreamHandler | undefined,
    topicNames: readonly string[],
  ): Promise<void> {
    this.streamHandler = streamHandler;
    this.topics = new Set(topicNames);
    // As in go-libp2p-pubsub: the time of the start in nanoseconds, then one more for each message.
    this.seqno = BigInt(Math.floor(EPOCH_MS + this.deps.time.nowMs + this.deps.skewMs())) * NS_PER_MS;
    this.isUp = true;
    this.deps.links.add(this);
  }

  async stop(): Promise<void> {
    if (!this.isUp) return;
    this.isUp = false;
    this.deps.links.remove(this);
  }

  setTopicHandler(topicName: string, handler: TopicHandler): void {
    this.handlers.set(topicName, handler);
  }

  getTopic(topicName: string): JoinedTopic | undefined {
    if (!this.topics.has(topicName)) return undefined;
    const peers = () => [...this.connections.keys()];
    return { name: topicName, subscribers: peers, mesh: peers };
  }

  async publish(topicName: string, bytes: Uint8Array): Promise<PublishOutcome> {
    if (!this.isUp) throw new P2PError('NODE_NOT_STARTED', 'not started');
    this.seqno += 1n;
    const unsigned = { topic: topicName, bytes, author: this.id, seqno: this.seqno };
    const message = { ...unsigned, signature: signatureOf(this.secret, unsigned) };
    this.deps.onPublished(message);
    this.isKnown(message);
    this.forward(message, this.id);
    return 'published';
  }

  hostId(): PeerId {
    return this.id;
  }

  listenAddresses(): string[] {
    return [`/ip4/${this.ip}/tcp/9905/p2p/${this.id}`];
  }

  currentlyConnectedPeers(): PeerRecord[] {
    return [...this.connections].map(([id, { ip, direction, sinceMs }]) => ({
      id,
      addresses: [`/ip4/${ip}/tcp/9905/p2p/${id}`],
      localAddress: `/ip4/${this.ip}/tcp/9905`,
      direction,
      connectedAtMs: EPOCH_MS + sinceMs,
      agentVersion: 'teranode/bitcoin/v0.0.0-simulated',
      bytesSent: 0,
      bytesReceived: 0,
      lastSendMs: undefined,
      lastReceiveMs: undefined,
      pingMs: undefined,
      connected: true,
    }));
  }

  async connectPeer(): Promise<PeerId> {
    throw new P2PError('PEER_UNREACHABLE', 'simulated nodes dial the peers of their list only');
  }

  async disconnectPeer(peerId: PeerId): Promise<void> {
    this.deps.links.disconnect(this.id, peerId);
  }

  async sendToPeer(peerId: PeerId, bytes: Uint8Array): Promise<void> {
    if (!this.isUp || !this.deps.links.sendDirectly(this, peerId, bytes))
      throw new P2PError('PEER_UNREACHABLE', 'not connected');
  }

  setPeerConnectedCallback(callback: (peerId: PeerId) => void): void {
    this.connectedCallback = callback;
  }

  setPeerDisconnectedCallback(callback: (peerId: PeerId) => void): void {
    this.disconnectedCallback = callback;
  }

  retryDials(): void {
    if (this.isUp) this.deps.links.dialAll(this);
  }

  connectedSinceMs(peerId: PeerId): number | undefined {
    return this.connections.get(peerId)?.sinceMs;
  }

  mayConnect({ id, ip }: GossipHost): boolean {
    const { policy } = this.deps;
    return !policy.refusesAddress(ip) && !policy.refusesPeer(id);
  }

  opened({ id, ip }: GossipHost, direction: 'inbound' | 'outbound'): void {
    this.connections.set(id, { ip, direction, sinceMs: this.deps.time.nowMs });
    this.deps.policy.connectionOpened(id, ip);
    this.connectedCallback(id);
  }

  closed(peerId: PeerId): void {
    if (this.connections.delete(peerId)) this.disconnectedCallback(peerId);
  }

  receive(message: SignedMessage, from: PeerId): void {
    if (!this.isUp) return;
    const { author, topic, bytes, seqno } = message;
    const secret = this.deps.secretOf(author);
    if (secret === undefined || signatureOf(secret, message) !== message.signature) return;
    if (this.isKnown(message)) return;
    const envelope: GossipMessage = { topic, bytes, author, receivedFrom: from, seqno };
    const decision = this.handlers.get(topic)?.(envelope) ?? 'accept';
    this.deps.onDecided(message, from, decision);
    if (decision === 'accept') this.forward(message, from);
  }

  receiveDirectly(from: PeerId, bytes: Uint8Array): void {
    if (!this.isUp) return;
    const stream = { peerId: from, readToEnd: async () => bytes, close: async () => {}, abort: () => {} };
    void this.streamHandler?.(stream);
  }

  private forward(message: SignedMessage, from: PeerId): void {
    for (const id of this.connections.keys())
      if (id !== from && id !== message.author) this.deps.links.send(this, id, message);
  }

  /** Remembers the message. */
  private isKnown({ author, seqno }: SignedMessage): boolean {
    const { nowMs } = this.deps.time;
    for (const [id, atMs] of this.seen) {
      if (nowMs - atMs < SEEN_MS) break;
      this.seen.delete(id);
    }
    const id = `${author}${seqno}`;
    if (this.seen.has(id)) return true;
    this.seen.set(id, nowMs);
    return false;
  }
}
