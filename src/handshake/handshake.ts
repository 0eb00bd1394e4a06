// Version and verack with the other nodes of a network (spec "Handshake Protocol"): a version to each peer that
// connects, a verack to each version, and a disconnection for peers of another network. A peer that sends nothing stays
// connected: gossip needs no handshake.

import type { PeerId } from '../domain/ids.ts';
import { omittedUrls } from '../peers/datahub/omitted-urls.ts';
import type { PeerRegistry } from '../peers/registry.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import type { DirectStreamHandler, P2PNode } from '../ports/p2p-node.ts';
import { encodeFor } from '../wire/format.ts';
import type { HandshakeMessage } from '../wire/handshake.ts';
import { type ChainTip, isAhead, judgeHandshake, ownHandshake } from './answer.ts';
import { type HandshakeCounters, type HandshakeWay, handshakeCounters } from './counters.ts';
import { Greeter } from './greeter.ts';
import { PeerPrefixes } from './peer-prefixes.ts';
import { Refusals } from './refusals.ts';
import { StreamIntake } from './stream-intake.ts';
import { StreamSender } from './stream-sender.ts';
import { type HandshakeNetwork, TopicVersions } from './topic-versions.ts';
import { Veracks } from './veracks.ts';

/** Protocol violations that penalize the sender of a handshake. */
export type HandshakeRule = 'author_mismatch' | 'peer_id_form' | 'hash_form';

export interface HandshakeDependencies {
  /** All nodes seen as one. */
  readonly node: Pick<P2PNode, 'sendToPeer' | 'disconnectPeer' | 'updatePeerHeight'>;
  readonly ownId: PeerId;
  /** The chain tracker: the tip of our own chain, undefined when it was never known. Must not reject. */
  readonly chain: { latestTip(): Promise<ChainTip | undefined> };
  readonly registry: Pick<PeerRegistry, 'heard'>;
  readonly isConnected: (peerId: PeerId) => boolean;
  readonly isBanned: (peerId: PeerId) => boolean;
  /** Penalizes the sender; must not throw. */
  readonly penalize?: (peerId: PeerId, rule: HandshakeRule) => void;
  /** Called for a version or verack of a peer that is ahead of us; must not throw. */
  readonly onAhead?: (peerId: PeerId) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** From 0 to 1; default Math.random. */
  readonly random?: () => number;
}

export interface HandshakeOptions {
  /** Never empty. */
  readonly networks: readonly HandshakeNetwork[];
  /** `teranode/bitcoin/<version>`. */
  readonly userAgent: string;
  readonly dataHubUrl: string;
  /** Bitmap: 1 is a full node. */
  readonly services: bigint;
  /** `p2p_handshake_topic_size`. */
  readonly topicSize: number;
  /** `p2p_handshake_topic_timeout`. */
  readonly topicTimeoutMs: number;
  /** False for DataHub URLs that the rules do not allow. */
  readonly mayUseUrl: (url: string) => boolean;
}

/** As Go says it when its chain does not answer. */
const UNKNOWN_TIP: ChainTip = { height: 0, hash: undefined };

export class Handshake {
  /** The handler of direct streams, for the node. Never rejects. */
  readonly streamHandler: DirectStreamHandler;
  private readonly deps: HandshakeDependencies;
  private readonly options: HandshakeOptions;
  private readonly topicPrefixes: readonly string[];
  private readonly counters: HandshakeCounters;
  private readonly omitted: Counter;
  private readonly prefixes: PeerPrefixes;
  private readonly refusals: Refusals;
  private readonly intake: StreamIntake;
  private readonly sender: StreamSender;
  private readonly topicVersions: TopicVersions;
  private readonly greeter: Greeter;
  private readonly veracks: Veracks;
  private stopping: Promise<void> | undefined;

  constructor(deps: HandshakeDependencies, options: HandshakeOptions) {
    this.deps = deps;
    this.options = options;
    // For peers of which no network is known.
    const [first] = options.networks;
    if (first === undefined) throw new RangeError('the handshake needs at least one network');
    this.topicPrefixes = options.networks.map(({ topicPrefix }) => topicPrefix);
    const counters = handshakeCounters(deps.metrics);
    this.counters = counters;
    this.omitted = omittedUrls(deps.metrics);
    this.prefixes = new PeerPrefixes({ ...deps, counters }, options.networks);
    this.refusals = new Refusals({ ...deps, counters });
    this.intake = new StreamIntake({
      counters,
      take: (message, peerId) => this.receive(message, peerId, 'stream'),
      hashMalformed: (peerId) => deps.penalize?.(peerId, 'hash_form'),
    });
    this.streamHandler = this.intake.handler;
    const { random = Math.random } = deps;
    const sender = new StreamSender({ ...deps, counters });
    this.sender = sender;
    const version = (network: HandshakeNetwork) => this.own('version', network);
    this.topicVersions = new TopicVersions({ ...deps, counters, version }, options);
    this.greeter = new Greeter({
      ...deps,
      random,
      sender,
      counters,
      prefixKnown: (peerId) => this.prefixes.known(peerId),
      version: (peerId) => version(this.prefixes.of(peerId) ?? first),
      publishOnTopic: () => this.topicVersions.request(),
    });
    this.veracks = new Veracks({
      ...deps,
      sender,
      counters,
      verack: (topicPrefix, peerId) => this.own('verack', this.prefixes.withPrefix(topicPrefix, peerId) ?? first),
    });
  }

  /** Publishes one version on the topic; call it when the node runs. Streams and connections are served before. */
  start(): void {
    this.topicVersions.start();
  }

  /** Ends everything that waits or is open. Bounded in time; may be called twice. */
  stop(): Promise<void> {
    this.stopping ??= this.stopOnce();
    return this.stopping;
  }

  /** A peer has its first connection; `isConnected` is true for it already. */
  peerConnected(peerId: PeerId): void {
    if (this.deps.isBanned(peerId)) return;
    this.veracks.forget(peerId);
    this.prefixes.forget(peerId);
    this.greeter.greet(peerId);
  }

  /** A version or verack that came by gossip; its author is proven. */
  topicMessage(message: HandshakeMessage, author: PeerId): void {
    this.receive(message, author, 'topic');
  }

  private async stopOnce(): Promise<void> {
    this.topicVersions.stop();
    this.greeter.stop();
    this.prefixes.stop();
    this.veracks.stop();
    this.intake.stop();
    await this.sender.stop();
  }

  private receive(message: HandshakeMessage, sender: PeerId, way: HandshakeWay): void {
    if (this.stopping !== undefined) return;
    const { isBanned, penalize, node, ownId, registry } = this.deps;
    const { topicPrefixes } = this;
    const { mayUseUrl } = this.options;
    const judgement = judgeHandshake(message, { ownId, sender, topicPrefixes, isBanned, mayUseUrl });
    this.counters.received(message.type, way, judgement.outcome);
    if (judgement.outcome === 'author_mismatch') penalize?.(sender, judgement.rule);
    if (judgement.outcome === 'other_prefix') this.refusals.refuse(sender, message.topicPrefix);
    if (judgement.outcome !== 'accepted') return;
    this.deps.log.trace({ peerId: sender, type: message.type, way }, 'handshake received');
    if (this.deps.isConnected(sender)) this.prefixes.said(sender, message.topicPrefix);
    registry.heard(sender, judgement.patch);
    if ('dataHubUrl' in judgement.patch && judgement.patch.dataHubUrl === undefined)
      this.omitted.add(1, { topic: 'handshake' });
    node.updatePeerHeight?.(sender, message.bestHeight);
    if (judgement.isAnswered) this.veracks.request(sender, message.topicPrefix);
    if (this.deps.onAhead !== undefined) void this.compare(message, sender, this.deps.onAhead);
  }

  private async compare(message: HandshakeMessage, sender: PeerId, onAhead: (peerId: PeerId) => void): Promise<void> {
    const own = await this.deps.chain.latestTip();
    if (own !== undefined && this.stopping === undefined && isAhead(message, own)) onAhead(sender);
  }

  private async own(type: HandshakeMessage['type'], { wire, topicPrefix }: HandshakeNetwork): Promise<Uint8Array> {
    const identity = { ...this.options, peerId: this.deps.ownId };
    const tip = (await this.deps.chain.latestTip()) ?? UNKNOWN_TIP;
    return encodeFor(wire, { kind: 'handshake', message: ownHandshake(type, topicPrefix, identity, tip) });
  }
}
