// P2PNode on js-libp2p: joins topics, runs the validators, dials and keeps peers. What it decides (judging messages, what to publish)
// comes from outside; what it knows about connections stands in the peer book.
import type { Connection, IdentifyResult, Stream } from '@libp2p/interface';
import type { PeerId } from '../../domain/ids.ts';
import { P2PError } from '../../lib/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ConnectionPolicy } from '../../ports/connection-policy.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import type {
  DirectStreamHandler,
  JoinedTopic,
  P2PNode,
  PeerRecord,
  PublishOutcome,
  TopicHandler,
} from '../../ports/p2p-node.ts';
import type { Progress } from '../../ports/progress.ts';
import { dialMultiaddr } from './addresses.ts';
import { connectionGate, dialLookup } from './connections/connection-gate.ts';
import { meterConnection } from './connections/connection-meter.ts';
import { MAX_REMEMBERED_PEERS, PeerBook } from './connections/peer-book.ts';
import { addressGroup, localAddress, remoteAddress, remoteIp } from './connections/remote-address.ts';
import { SilentConnections } from './connections/silent-connections.ts';
import { Traffic } from './connections/traffic.ts';
import { DIRECT_PROTOCOL, directStream, sendOnStream } from './direct-stream.ts';
import { PeerKeeper } from './discovery/peer-keeper.ts';
import { reportBrokenFrames } from './gossipsub/malformed-rpc.ts';
import { boundGossipMemory } from './gossipsub/memory.ts';
import { MAX_GOSSIP_BYTES, SEEN_KEEP_MS } from './gossipsub/options.ts';
import { GossipStreams } from './gossipsub/outbound-streams.ts';
import { gossipProgress } from './gossipsub/progress.ts';
import { sendInParts } from './gossipsub/rpc-splitting.ts';
import { SeenMessages } from './gossipsub/seen-messages.ts';
import { meshPeers, topicValidator } from './gossipsub/topic-validator.ts';
import { takeTurns } from './gossipsub/verification-scheduler.ts';
import { boundAddresses, buildLibp2p, type TeranodeLibp2p } from './libp2p-options.ts';
import type { Libp2pNodeOptions } from './node-options.ts';
import { boundDht } from './patches/dht-intake.ts';
import { installFastVerify } from './patches/ed25519-verify.ts';
import { boundPeerStore } from './patches/peer-store-bounds.ts';
import { installLazyWindowUpdates } from './patches/yamux-window.ts';
import { libPeerId, peerIdText } from './peer-ids.ts';

const CONNECT_DEADLINE_MS = 10_000;
const SEND_DEADLINE_MS = 10_000;
const STOP_DEADLINE_MS = 2500;
/** Parallel direct streams of one connection: a handshake is one short stream, and slow ones must not jam it. */
const MAX_DIRECT_STREAMS = 64;
/** About 100 bytes each; two minutes at 8,000 messages a second. */
const MAX_SEEN_IDS = 1_000_000;
/** Room for the envelope of a message (author, key, signature, topic) within the largest RPC. */
const MAX_PUBLISH_BYTES = MAX_GOSSIP_BYTES - 1024;

export interface Libp2pNodeDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: () => number;
  /** Who may connect; without one, everybody. */
  readonly policy?: ConnectionPolicy;
}

export class Libp2pNode implements P2PNode {
  private readonly deps: Libp2pNodeDependencies;
  private readonly options: Libp2pNodeOptions;
  private readonly id: PeerId;
  private readonly handlers = new Map<string, TopicHandler>();
  private readonly book = new PeerBook();
  private readonly traffic: Traffic;
  private readonly silent: SilentConnections;
  private readonly suppressed: Counter;
  private topics: readonly string[] = [];
  private libp2p: TeranodeLibp2p | undefined;
  private progress: Progress | undefined;
  private gossipStreams: GossipStreams | undefined;
  private keeper: PeerKeeper | undefined;
  private onConnected: (peerId: PeerId) => void = () => {};
  private onDisconnected: (peerId: PeerId) => void = () => {};
  private stopping: Promise<void> | undefined;

  constructor(deps: Libp2pNodeDependencies, options: Libp2pNodeOptions) {
    this.deps = deps;
    this.options = options;
    this.id = options.privateKey.publicKey.toString() as PeerId;
    this.traffic = new Traffic(deps.clock, deps.metrics);
    this.silent = new SilentConnections(deps);
    this.suppressed = deps.metrics.counter(
      'teranode_p2p_publish_suppressed_total',
      'Messages not published because of listen_mode',
      ['topic'],
    );
    deps.metrics.gauge('teranode_p2p_remembered_peers', 'Peers remembered after they left', () =>
      this.book.rememberedCount(),
    );
    deps.metrics.gauge(
      'teranode_p2p_remembered_peers_bound',
      'Peers remembered after they left at most',
      () => MAX_REMEMBERED_PEERS,
    );
    deps.metrics.gauge('teranode_p2p_connected_peers', 'Peers with an open connection', () =>
      this.book.connectedCount(),
    );
  }

  async start(
    signal: AbortSignal,
    streamHandler: DirectStreamHandler | undefined,
    topicNames: readonly string[],
  ): Promise<void> {
    const verifier = await installFastVerify();
    installLazyWindowUpdates();
    signal.throwIfAborted();
    this.topics = [...topicNames];
    const { metrics, policy } = this.deps;
    const nowMs = () => this.deps.clock.monotonic();
    const gate = connectionGate({ book: this.book, policy, metrics, nowMs }, this.options.connections);
    const libp2p = await buildLibp2p(this.options, this.topics, gate, metrics, dialLookup({ policy, metrics }));
    this.libp2p = libp2p;
    boundPeerStore(libp2p, metrics);
    boundDht(libp2p.services.dht, this.deps);
    boundGossipMemory(
      libp2p.services.pubsub,
      new SeenMessages(this.deps, { keepMs: SEEN_KEEP_MS, maxIds: MAX_SEEN_IDS }),
    );
    sendInParts(libp2p.services.pubsub);
    reportBrokenFrames(libp2p.services.pubsub, metrics, (peerId) => policy?.malformedRpc(peerId));
    takeTurns(libp2p.services.pubsub, metrics);
    this.progress = gossipProgress(libp2p.services.pubsub, metrics);
    this.gossipStreams = new GossipStreams(libp2p, this.deps);
    this.listenToConnections(libp2p);
    if (streamHandler !== undefined) await this.serveDirectStream(libp2p, streamHandler);
    try {
      await libp2p.start();
    } catch (cause) {
      throw new P2PError('LISTEN_FAILED', `cannot listen on port ${this.options.port}`, {
        cause,
        details: { listen: this.options.listenIps },
      });
    }
    for (const name of this.topics) {
      libp2p.services.pubsub.topicValidators.set(name, topicValidator(name, this.handlers, this.traffic, this.id));
      libp2p.services.pubsub.subscribe(name);
    }
    // As Go's private DHT with a known network and its public one do: answer queries at once.
    await libp2p.services.dht.setMode('server', { force: true });
    this.keeper = new PeerKeeper(
      { ...this.deps, libp2p, book: this.book, ownId: this.id },
      { ...this.options, topicNames: this.topics },
    );
    this.gossipStreams.start();
    this.silent.start();
    await this.keeper.start();
    this.deps.log.info({ peerId: this.id, addresses: this.listenAddresses(), verifier }, 'node started');
  }

  stop(): Promise<void> {
    this.stopping ??= this.stopOnce();
    return this.stopping;
  }

  private async stopOnce(): Promise<void> {
    this.gossipStreams?.stop();
    this.silent.stop();
    await this.keeper?.stop();
    const { libp2p } = this;
    this.libp2p = undefined;
    if (libp2p === undefined) return;
    const deadline = new Promise<'late'>((resolve) => setTimeout(resolve, STOP_DEADLINE_MS, 'late').unref());
    const outcome = await Promise.race([Promise.resolve(libp2p.stop()), deadline]);
    if (outcome === 'late') this.deps.log.warn({ deadlineMs: STOP_DEADLINE_MS }, 'node did not stop in time');
  }

  private listenToConnections(libp2p: TeranodeLibp2p): void {
    libp2p.addEventListener('connection:open', ({ detail: connection }) => this.connectionOpened(connection));
    libp2p.addEventListener('connection:close', ({ detail: connection }) => this.connectionClosed(connection));
    libp2p.addEventListener('peer:identify', ({ detail }) => this.peerIdentified(detail));
  }

  private connectionOpened(connection: Connection): void {
    const peerId = peerIdText(connection.remotePeer);
    const meter = meterConnection(connection, this.deps.clock);
    this.silent.watch(connection, meter);
    const isFirst = this.book.opened(peerId, connection.id, {
      address: remoteAddress(connection),
      localAddress: localAddress(connection, this.hostId()),
      group: addressGroup(connection),
      direction: connection.direction,
      openedAtMs: this.deps.clock.now(),
      sinceMs: this.deps.clock.monotonic(),
      meter,
      pingMs: () => connection.rtt,
    });
    this.deps.policy?.connectionOpened(peerId, remoteIp(connection));
    if (!isFirst) return;
    this.deps.log.debug(
      { peerId, direction: connection.direction, address: connection.remoteAddr.toString() },
      'peer connected',
    );
    this.keeper?.peerCame(peerId);
    this.onConnected(peerId);
  }

  private connectionClosed(connection: Connection): void {
    const peerId = peerIdText(connection.remotePeer);
    if (!this.book.closed(peerId, connection.id)) return;
    this.deps.log.debug({ peerId }, 'peer disconnected');
    this.keeper?.peerLost(peerId);
    this.onDisconnected(peerId);
  }

  private peerIdentified(identified: IdentifyResult): void {
    const peerId = peerIdText(identified.peerId);
    this.book.identified(peerId, identified.agentVersion);
    this.keeper?.peerIdentified(identified);
  }

  private async serveDirectStream(libp2p: TeranodeLibp2p, handler: DirectStreamHandler): Promise<void> {
    const serve = async (stream: Stream, connection: Connection) => {
      try {
        await handler(directStream(stream, peerIdText(connection.remotePeer), (bytes) => this.traffic.received(bytes)));
        if (stream.status === 'open') await stream.close({ signal: AbortSignal.timeout(SEND_DEADLINE_MS) });
      } catch (error) {
        stream.abort(error instanceof Error ? error : new Error('direct stream handler failed'));
        this.deps.log.debug({ err: error }, 'direct stream failed');
      }
    };
    await libp2p.handle(DIRECT_PROTOCOL, serve, {
      maxInboundStreams: MAX_DIRECT_STREAMS,
      runOnLimitedConnection: true,
    });
  }

  setTopicHandler(topicName: string, handler: TopicHandler): void {
    if (this.libp2p !== undefined && !this.topics.includes(topicName)) throw unknownTopic(topicName);
    this.handlers.set(topicName, handler);
  }

  getTopic(topicName: string): JoinedTopic | undefined {
    const pubsub = this.libp2p?.services.pubsub;
    if (pubsub === undefined || !this.topics.includes(topicName)) return undefined;
    return {
      name: topicName,
      subscribers: () => pubsub.getSubscribers(topicName).map(peerIdText),
      mesh: () => meshPeers(pubsub, topicName),
    };
  }

  async publish(topicName: string, bytes: Uint8Array): Promise<PublishOutcome> {
    const { pubsub } = this.running().services;
    if (!this.topics.includes(topicName)) throw unknownTopic(topicName);
    // A message over the limit silences this node at every neighbour for good, so it never leaves.
    if (bytes.byteLength > MAX_PUBLISH_BYTES) {
      throw new P2PError('MESSAGE_TOO_LARGE', 'message exceeds what gossip carries', {
        details: { bytes: bytes.byteLength, maxBytes: MAX_PUBLISH_BYTES },
      });
    }
    if (!this.options.mayPublish(topicName)) {
      this.suppressed.add(1, { topic: topicName });
      return 'suppressed';
    }
    await pubsub.publish(topicName, bytes);
    this.traffic.sent(bytes.byteLength);
    return 'published';
  }

  hostId(): PeerId {
    return this.id;
  }

  listenAddresses(): string[] {
    const { libp2p } = this;
    if (libp2p === undefined) return [];
    // What is bound, not what is announced: with private addresses kept back the operator still sees where to connect.
    const own = `/p2p/${this.id}`;
    return boundAddresses(libp2p).map((address) => {
      const text = address.toString();
      return text.endsWith(own) ? text : `${text}${own}`;
    });
  }

  connectedPeers(): PeerRecord[] {
    return this.book.allRecords();
  }

  currentlyConnectedPeers(): PeerRecord[] {
    return this.book.connectedRecords();
  }

  async connectPeer(address: string, deadlineMs = CONNECT_DEADLINE_MS): Promise<PeerId> {
    const target = dialMultiaddr(address);
    try {
      const connection = await this.running().dial(target, { signal: AbortSignal.timeout(deadlineMs) });
      return peerIdText(connection.remotePeer);
    } catch (cause) {
      throw new P2PError('PEER_UNREACHABLE', 'no connection could be made', { details: { address }, cause });
    }
  }

  /** At once: one that does not read would keep a connection that is closed politely. */
  async disconnectPeer(peerId: PeerId): Promise<void> {
    for (const connection of this.running().getConnections(libPeerId(peerId)))
      connection.abort(new Error('disconnected by this node'));
  }

  async sendToPeer(peerId: PeerId, bytes: Uint8Array, deadlineMs = SEND_DEADLINE_MS): Promise<void> {
    const signal = AbortSignal.timeout(deadlineMs);
    try {
      const stream = await this.running().dialProtocol(libPeerId(peerId), DIRECT_PROTOCOL, {
        signal,
        runOnLimitedConnection: true,
      });
      await sendOnStream(stream, bytes, signal);
    } catch (cause) {
      throw new P2PError('PEER_UNREACHABLE', 'the message could not be handed over', { details: { peerId }, cause });
    }
    this.traffic.sent(bytes.byteLength);
  }

  setPeerConnectedCallback(callback: (peerId: PeerId) => void): void {
    this.onConnected = callback;
  }

  setPeerDisconnectedCallback(callback: (peerId: PeerId) => void): void {
    this.onDisconnected = callback;
  }

  updatePeerHeight(peerId: PeerId, height: number): void {
    this.book.setHeight(peerId, height);
  }

  retryDials(): void {
    this.keeper?.retryDials();
  }

  lastSend(): Date | undefined {
    return this.traffic.lastSend();
  }

  lastRecv(): Date | undefined {
    return this.traffic.lastRecv();
  }

  bytesSent(): bigint {
    return this.traffic.bytesSent();
  }

  bytesReceived(): bigint {
    return this.traffic.bytesReceived();
  }

  connectedSinceMs(peerId: PeerId): number | undefined {
    return this.book.connectedSinceMs(peerId);
  }

  gossipProgress(): Progress | undefined {
    return this.progress;
  }

  getProcessName(): string {
    return this.options.processName;
  }

  updateBytesReceived(bytesCount: bigint): void {
    this.traffic.received(Number(bytesCount));
  }

  private running(): TeranodeLibp2p {
    if (this.libp2p === undefined) throw new P2PError('NODE_NOT_STARTED', 'the node is not running');
    return this.libp2p;
  }
}

function unknownTopic(topicName: string): P2PError {
  return new P2PError('TOPIC_UNKNOWN', 'the node was not started with this topic', { details: { topicName } });
}
