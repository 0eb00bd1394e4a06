// P2PNode on js-libp2p: joins topics, runs the topic handlers, dials peers and keeps connections. Decisions about
// messages come from the handlers; facts about connections stand in the peer book.
import type { Connection, IdentifyResult } from '@libp2p/interface';
import type { PeerId } from '../../domain/ids.ts';
import { orAfter, settledWithin } from '../../lib/deadline.ts';
import { P2PError } from '../../lib/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ConnectionPolicy } from '../../ports/connection-policy.ts';
import { type DeliveryRecord, NO_DELIVERIES } from '../../ports/deliveries.ts';
import type { NodeDiagnosis } from '../../ports/diagnosis.ts';
import type { Logger } from '../../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../ports/metrics.ts';
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
import { gateOf } from './connections/connection-gate.ts';
import { meterConnection } from './connections/connection-meter.ts';
import { Departures } from './connections/departures.ts';
import { DialStages } from './connections/dial-stage.ts';
import { OperatorAddresses } from './connections/operator-addresses.ts';
import { MAX_REMEMBERED_PEERS, PeerBook } from './connections/peer-book.ts';
import { addressGroup, localAddress, remoteIp } from './connections/remote-address.ts';
import { SilentConnections } from './connections/silent-connections.ts';
import { Traffic } from './connections/traffic.ts';
import { diagnosisOf } from './diagnosis.ts';
import { DIRECT_PROTOCOL, SEND_DEADLINE_MS, serveDirectStream } from './direct-stream.ts';
import { unreachable } from './discovery/dial-outcome.ts';
import { PeerKeeper } from './discovery/peer-keeper.ts';
import { Gossip } from './gossipsub/gossip.ts';
import { meshPeers } from './gossipsub/internals.ts';
import { MAX_GOSSIP_BYTES } from './gossipsub/options.ts';
import { topicDecision, topicValidator } from './gossipsub/topic-validator.ts';
import { boundAddresses, buildLibp2p, type TeranodeLibp2p } from './libp2p-options.ts';
import { listenFailed } from './listen-failure.ts';
import { sendOnStream } from './message-stream.ts';
import { type ReachabilityTests, testReachability } from './nat/reachability.ts';
import type { Libp2pNodeOptions } from './node-options.ts';
import { localEnd } from './patches/connection-socket.ts';
import { applyPatches } from './patches/index.ts';
import { PatchReport } from './patches/report.ts';
import { libPeerId, peerIdText } from './peer-ids.ts';

const CONNECT_DEADLINE_MS = 10_000;
const STOP_DEADLINE_MS = 2500;
/** How long a stop waits for the file of gossip's back-offs, and for a start that is under way. */
const STOP_STEP_MS = 500;
/** The envelope of a message (author, key, signature, topic) must fit into the largest RPC too. */
const MAX_PUBLISH_BYTES = MAX_GOSSIP_BYTES - 1024;

export interface Libp2pNodeDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: () => number;
  /** Decides who may connect; without a policy, everybody. */
  readonly policy?: ConnectionPolicy;
  /** Who delivers valid announcements first; without it nobody counts. */
  readonly deliveries?: DeliveryRecord;
}

export class Libp2pNode implements Required<P2PNode> {
  private readonly deps: Libp2pNodeDependencies;
  private readonly options: Libp2pNodeOptions;
  private readonly id: PeerId;
  private readonly handlers = new Map<string, TopicHandler>();
  private readonly book = new PeerBook();
  private readonly departures = new Departures();
  private readonly operators = new OperatorAddresses();
  private readonly stages: DialStages;
  private readonly traffic: Traffic;
  private readonly silent: SilentConnections;
  private readonly suppressed: Counter;
  private readonly report: PatchReport;
  private topics: readonly string[] = [];
  private libp2p: TeranodeLibp2p | undefined;
  private gossip: Gossip | undefined;
  private keeper: PeerKeeper | undefined;
  private reachability: ReachabilityTests | undefined;
  private onConnected: (peerId: PeerId) => void = () => {};
  private onDisconnected: (peerId: PeerId) => void = () => {};
  private starting: Promise<void> | undefined;
  private stopping: Promise<void> | undefined;

  constructor(deps: Libp2pNodeDependencies, options: Libp2pNodeOptions) {
    this.deps = deps;
    this.options = options;
    this.id = options.privateKey.publicKey.toString() as PeerId;
    this.stages = new DialStages(options.presharedKey !== undefined);
    this.traffic = new Traffic(deps.clock, deps.metrics);
    this.silent = new SilentConnections(deps);
    this.report = new PatchReport(deps.log);
    this.suppressed = deps.metrics.counter(
      'teranode_p2p_publish_suppressed_total',
      'Messages not published because listen_mode forbids it',
      ['topic'],
    );
    const remembered = { name: 'teranode_p2p_remembered_peers', help: 'Peers remembered after they disconnected' };
    gaugeWithBound(deps.metrics, remembered, () => this.book.rememberedCount(), MAX_REMEMBERED_PEERS);
    deps.metrics.gauge('teranode_p2p_connected_peers', 'Peers with an open connection', () =>
      this.book.connectedCount(),
    );
  }

  start(
    signal: AbortSignal,
    streamHandler: DirectStreamHandler | undefined,
    topicNames: readonly string[],
  ): Promise<void> {
    const starting = this.startOnce(signal, streamHandler, topicNames);
    this.starting = starting;
    return starting;
  }

  private async startOnce(
    signal: AbortSignal,
    streamHandler: DirectStreamHandler | undefined,
    topicNames: readonly string[],
  ): Promise<void> {
    this.throwIfStopped(signal);
    this.topics = [...topicNames];
    const { libp2p, keeper, gossip } = await this.build();
    this.throwIfStopped(signal);
    this.libp2p = libp2p;
    this.keeper = keeper;
    this.gossip = gossip;
    await gossip.load();
    await keeper.serve();
    const received = (bytes: number) => this.traffic.received(bytes);
    if (streamHandler !== undefined) await serveDirectStream(libp2p, streamHandler, { log: this.deps.log, received });
    try {
      await libp2p.start();
    } catch (cause) {
      throw listenFailed(cause, this.options);
    }
    this.throwIfStopped(signal);
    for (const name of this.topics) libp2p.services.pubsub.subscribe(name);
    // Answers queries of the DHT at once, as Go nodes do in a private and in a public DHT.
    if (this.options.dht.role !== 'client') await libp2p.services.dht?.setMode('server', { force: true });
    this.throwIfStopped(signal);
    gossip.start();
    this.silent.start();
    await keeper.start();
    this.deps.log.info({ peerId: this.id, addresses: this.listenAddresses(), ...gossip.verifier }, 'node started');
  }

  /** The libp2p node with our parts around it, not started. */
  private async build(): Promise<{ libp2p: TeranodeLibp2p; keeper: PeerKeeper; gossip: Gossip }> {
    const { deps, options, report, topics, handlers, traffic, book, stages, operators, id: ownId } = this;
    const { log, metrics, policy, clock, deliveries } = deps;
    const gate = gateOf({ book, policy, metrics, operators, nowMs: () => clock.monotonic() }, options);
    const { refusesAddress } = gate;
    const libp2p = await buildLibp2p(options, topics, { ...gate, log, metrics, report, operators, deliveries });
    applyPatches(libp2p, { ...deps, report, refusesAddress }, options.protocolVersion);
    const accepted = (author: PeerId, from: PeerId) => keeper.messageReceived(author, from);
    const decide = topicDecision({ handlers, traffic, accepted });
    const gossip = new Gossip(
      { deliveries: NO_DELIVERIES, ...deps, libp2p, decide, penalize: (peerId) => deps.policy?.malformedRpc(peerId) },
      { ...options, topicNames: topics },
    );
    const keeper = new PeerKeeper(
      { ...deps, libp2p, book, stages, ownId, operators, refusesAddress },
      { ...options, topicNames: topics },
    );
    for (const name of topics) libp2p.services.pubsub.topicValidators.set(name, topicValidator(name, decide, ownId));
    this.listenToConnections(libp2p);
    this.reachability = testReachability({ ...deps, libp2p, report }, options);
    return { libp2p, keeper, gossip };
  }

  stop(): Promise<void> {
    this.stopping ??= this.stopOnce();
    return this.stopping;
  }

  private async stopOnce(): Promise<void> {
    this.silent.stop();
    await this.keeper?.stop();
    await settledWithin([Promise.resolve(this.gossip?.stop())], STOP_STEP_MS);
    // A start that is under way gives up at its next step; only then is it known what it has opened.
    await settledWithin(this.starting === undefined ? [] : [this.starting], STOP_STEP_MS);
    const { libp2p } = this;
    this.libp2p = undefined;
    if (libp2p === undefined) return;
    const outcome = await orAfter(Promise.resolve(libp2p.stop()), STOP_DEADLINE_MS, 'late');
    if (outcome === 'late') this.deps.log.warn({ deadlineMs: STOP_DEADLINE_MS }, 'node did not stop in time');
  }

  private throwIfStopped(signal: AbortSignal): void {
    signal.throwIfAborted();
    if (this.stopping !== undefined)
      throw new P2PError('NODE_NOT_STARTED', 'the node was stopped while it was starting');
  }

  private listenToConnections(libp2p: TeranodeLibp2p): void {
    libp2p.addEventListener('connection:open', ({ detail: connection }) => this.connectionOpened(connection));
    libp2p.addEventListener('connection:close', ({ detail: connection }) => this.connectionClosed(connection));
    libp2p.addEventListener('peer:identify', ({ detail }) => this.peerIdentified(detail));
  }

  private connectionOpened(connection: Connection): void {
    const peerId = peerIdText(connection.remotePeer);
    const meter = meterConnection(connection, this.deps.clock, this.report);
    this.silent.watch(connection, meter);
    const isFirst = this.book.opened(peerId, connection.id, {
      address: connection.remoteAddr.toString(),
      localAddress: localAddress(connection, localEnd(connection), this.hostId()),
      group: addressGroup(connection),
      direction: connection.direction,
      openedAtMs: this.deps.clock.now(),
      sinceMs: this.deps.clock.monotonic(),
      meter,
      pingMs: () => connection.rtt,
    });
    this.departures.watch(connection, peerId, this.deps.clock);
    this.deps.policy?.connectionOpened(peerId, remoteIp(connection));
    if (!isFirst) return;
    this.deps.log.debug(
      { peerId, direction: connection.direction, address: connection.remoteAddr.toString() },
      'peer connected',
    );
    this.keeper?.peerConnected(peerId);
    this.onConnected(peerId);
  }

  private connectionClosed(connection: Connection): void {
    const peerId = peerIdText(connection.remotePeer);
    if (!this.book.closed(peerId, connection.id)) return;
    this.deps.log.debug({ peerId }, 'peer disconnected');
    this.keeper?.peerDisconnected(peerId);
    this.onDisconnected(peerId);
  }

  private peerIdentified(identified: IdentifyResult): void {
    const peerId = peerIdText(identified.peerId);
    this.book.identified(peerId, identified.agentVersion, identified.protocolVersion);
    this.keeper?.peerIdentified(identified);
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
    // A message over the limit would end our stream to every peer.
    if (bytes.byteLength > MAX_PUBLISH_BYTES) {
      throw new P2PError('MESSAGE_TOO_LARGE', 'the message is larger than gossip allows', {
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
    // Bound addresses, not announced ones: an operator who does not share private addresses still sees where to
    // connect.
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
    this.operators.add(target);
    const progress = this.stages.of(target);
    const options = { signal: AbortSignal.timeout(deadlineMs), onProgress: progress.onProgress };
    try {
      return peerIdText((await this.running().dial(target, options)).remotePeer);
    } catch (cause) {
      throw unreachable(address, cause, progress);
    }
  }

  /** Aborts: a peer that does not read would keep open a connection that is closed gracefully. */
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
      throw new P2PError('PEER_UNREACHABLE', 'failed to send the message to the peer', { details: { peerId }, cause });
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

  diagnosis(): NodeDiagnosis {
    const { topics, book, departures, libp2p, gossip, keeper, reachability } = this;
    return diagnosisOf({ topics, book, departures, libp2p, gossip, keeper, reachability });
  }

  gossipProgress(): Progress | undefined {
    return this.gossip?.progress;
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
