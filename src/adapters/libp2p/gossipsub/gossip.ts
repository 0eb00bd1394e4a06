// Gossip of this node: gossipsub, with the stages that a network of Go nodes and hostile peers needs around it. The
// three lists below say what stands where: each reads in the order of travel, and gossipsub itself comes last.
import type { Connection, PeerId as LibPeerId } from '@libp2p/interface';
import type { PeerId } from '../../../domain/ids.ts';
import { type Repeating, repeating } from '../../../lib/repeating.ts';
import { TokenBucket } from '../../../lib/token-bucket.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { DeliveryRecord } from '../../../ports/deliveries.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Metrics } from '../../../ports/metrics.ts';
import type { Progress } from '../../../ports/progress.ts';
import type { TeranodeLibp2p } from '../libp2p-options.ts';
import type { Libp2pNodeOptions } from '../node-options.ts';
import { showKeptKeys, verifierOf } from '../patches/ed25519.ts';
import { FastVerification } from './fast-verification.ts';
import { InboundStreams } from './inbound-streams.ts';
import { GossipInternals } from './internals.ts';
import { KeylessMessages } from './keyless-messages.ts';
import { InvalidSignatures, MalformedLengths, MalformedRpcReport, UndecodableRpcs } from './malformed-rpc.ts';
import { BackoffLimits, NoScoreRecords, SeenCaches } from './memory.ts';
import { Meshsub13 } from './meshsub-1-3.ts';
import { MESH_SIZE, SEEN_KEEP_MS, unverifiedMessageId } from './options.ts';
import { OtherTopics } from './other-topics.ts';
import { OutboundBackpressure } from './outbound-backpressure.ts';
import { OutboundStreams } from './outbound-streams.ts';
import { PendingOutbound } from './pending-outbound.ts';
import { ValidationProgress } from './progress.ts';
import { RefusedGrafts } from './refused-grafts.ts';
import { RpcSplitting } from './rpc-splitting.ts';
import { SavedBackoffs } from './saved-backoffs.ts';
import { SeenMessages } from './seen-messages.ts';
import type { TopicDecision } from './topic-validator.ts';
import { VerificationScheduler } from './verification-scheduler.ts';

/** About 29 bytes each; two minutes at 8,000 messages per second. */
const MAX_SEEN_IDS = 1_000_000;
const CHECK_INTERVAL_MS = 1000;
const SAVE_INTERVAL_MS = 5000;
/** Log lines about errors of our own, which may come with every message. */
const ERROR_LINES = { perSecond: 0.1, burst: 1 };

export interface GossipDependencies {
  readonly libp2p: TeranodeLibp2p;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly decide: TopicDecision;
  readonly deliveries: DeliveryRecord;
  /** Called when a peer sent what no honest peer sends. */
  readonly penalize: (peerId: PeerId) => void;
}

export type GossipOptions = Pick<Libp2pNodeOptions, 'protocols' | 'graftBackoffFile' | 'verifier' | 'verifyThreads'> & {
  readonly topicNames: readonly string[];
};

export class Gossip {
  /** Messages in validation; undefined where gossipsub does not let us count them. */
  readonly progress: Progress | undefined;
  /** What verifies signatures, and why that is not the native addon: fields of a log line. */
  readonly verifier: { readonly verifier: string; readonly nativeAddon?: string | undefined };
  /** Subscriptions of peers to topics of others. */
  readonly otherTopics: Pick<OtherTopics, 'of'>;
  private readonly log: Logger;
  private readonly outboundStreams: OutboundStreams;
  private readonly backpressure: OutboundBackpressure;
  /** Whether gossipsub shows which peers have a stream of ours. */
  private readonly seesStreams: boolean;
  private readonly savedBackoffs: SavedBackoffs | undefined;
  private readonly loops: Repeating[] = [];

  /** Before libp2p starts. Throws LIBRARY_INCOMPATIBLE when gossipsub lacks a part that is required. */
  constructor(deps: GossipDependencies, options: GossipOptions) {
    const { libp2p, log, metrics, clock } = deps;
    const { pubsub } = libp2p.services;
    const internals = new GossipInternals(pubsub, log);
    const stages = { ...stagesOf(deps, internals, options), otherTopics: new OtherTopics(options.topicNames) };
    const { graftBackoffFile: backoffFile, topicNames } = options;
    const refusedGrafts = refusedGraftsOf({ libp2p, metrics, clock }, options);
    internals.install({
      incoming: [
        stages.inboundStreams,
        stages.malformedLengths,
        stages.undecodableRpcs,
        stages.otherTopics,
        ...refusedGrafts,
        stages.fastVerification,
        stages.progress,
        stages.verificationScheduler,
        stages.invalidSignatures,
        stages.seenCaches,
        stages.noScoreRecords,
        stages.backoffLimits,
      ],
      outgoing: [...refusedGrafts, stages.keylessMessages, stages.pendingOutbound, stages.rpcSplitting],
      opening: [stages.inboundStreams, stages.outboundStreams, stages.pendingOutbound, stages.meshsub13],
    });
    this.log = log;
    this.otherTopics = stages.otherTopics;
    libp2p.addEventListener('peer:disconnect', ({ detail }) => stages.otherTopics.forget(detail.toString()));
    this.outboundStreams = stages.outboundStreams;
    this.verifier = internals.supports('fastVerification') ? stages.verifier : { verifier: 'libp2p' };
    this.seesStreams = internals.supports('parallelStreams');
    this.progress = internals.supports('progress') ? stages.progress.progress : undefined;
    const connectedPeers = () => libp2p.getPeers().map(String);
    const saved = { log, clock, backoffs: internals.backoffs, connectedPeers };
    this.savedBackoffs = backoffFile === undefined ? undefined : new SavedBackoffs(saved, backoffFile, topicNames);
    this.backpressure = new OutboundBackpressure({ log, metrics }, () =>
      outboundGossip(libp2p.getConnections(), pubsub.protocols),
    );
  }

  /** Before libp2p starts. */
  async load(): Promise<void> {
    await this.savedBackoffs?.load();
  }

  /** Once libp2p has started. */
  start(): void {
    const { log, backpressure, outboundStreams, seesStreams, savedBackoffs } = this;
    const every = (ms: number, task: () => Promise<void>, failure: string) => {
      const failed = (error: unknown) => log.warn({ err: error }, failure);
      this.loops.push(repeating(task, { firstMs: ms, nextMs: () => ms }, failed));
    };
    const check = async () => {
      backpressure.check();
      if (seesStreams) await outboundStreams.reopenMissing();
    };
    every(CHECK_INTERVAL_MS, check, 'failed to check gossip streams');
    if (savedBackoffs !== undefined)
      every(SAVE_INTERVAL_MS, () => savedBackoffs.save(), 'failed to save gossip back-offs');
  }

  /** Before libp2p stops. */
  async stop(): Promise<void> {
    for (const loop of this.loops) loop.stop();
    if (this.loops.length > 0) await this.savedBackoffs?.save();
  }
}

function outboundGossip(connections: readonly Connection[], protocols: readonly string[]) {
  const streams = connections.flatMap((connection) => connection.streams);
  return streams.filter(({ direction, protocol }) => direction === 'outbound' && protocols.includes(protocol));
}

/** On message-bus, where operators list other nodes as direct peers without asking them to list theirs. */
function refusedGraftsOf(
  { libp2p, metrics, clock }: Pick<GossipDependencies, 'libp2p' | 'metrics' | 'clock'>,
  { protocols, topicNames }: GossipOptions,
): readonly RefusedGrafts[] {
  if (protocols !== 'message-bus') return [];
  const stage = new RefusedGrafts({ metrics, nowMs: () => clock.monotonic() }, topicNames);
  libp2p.addEventListener('peer:disconnect', ({ detail }) => stage.peerDisconnected(detail));
  return [stage];
}

function stagesOf(
  { libp2p, log, metrics, clock, decide, deliveries, penalize }: GossipDependencies,
  internals: GossipInternals,
  { verifier: choice = 'auto', verifyThreads = 0 }: GossipOptions,
) {
  const { pubsub } = libp2p.services;
  const hasStream = (id: string) => internals.hasOutboundStream(id);
  const malformed = new MalformedRpcReport(metrics, penalize);
  const seen = new SeenMessages({ clock, metrics }, { keepMs: SEEN_KEEP_MS, maxIds: MAX_SEEN_IDS });
  const inboundStreams = new InboundStreams();
  const verifier = verifierOf(choice);
  showKeptKeys(metrics, verifier);
  if (verifyThreads > 0 && verifier.verifyPackedAsync === undefined)
    log.warn({ verifier: verifier.name }, 'p2p_verify_threads has no effect without the native addon');
  const errorLines = new TokenBucket(ERROR_LINES, clock.monotonic());
  const progress = new ValidationProgress(metrics);
  const verificationScheduler = new VerificationScheduler({
    metrics,
    nowMs: () => clock.monotonic(),
    streamOf: (id) => inboundStreams.of(id),
    isSeen: (message) => seen.has(unverifiedMessageId(message)),
    verification: () => fastVerification,
    maxBesideLoop: verifyThreads,
  });
  const fastVerification = new FastVerification({
    verifier,
    isBesideLoop: verifyThreads > 0,
    seen,
    decide,
    malformed,
    delivery: internals.delivery(),
    deliveries,
    progress: progress.progress,
    sendIDontWants: (id, topic, receivedFrom) => internals.sendIDontWants(id, topic, receivedFrom),
    enqueue: verificationScheduler.enqueue,
    failed: (error, topic) => {
      if (errorLines.take(clock.monotonic())) log.error({ topic, err: error }, 'failed to handle gossip message');
    },
  });
  return {
    verifier: { verifier: verifier.name, nativeAddon: verifier.addonFault },
    inboundStreams,
    malformedLengths: new MalformedLengths(malformed),
    undecodableRpcs: new UndecodableRpcs(malformed),
    progress,
    verificationScheduler,
    fastVerification,
    invalidSignatures: new InvalidSignatures(malformed),
    seenCaches: new SeenCaches(seen),
    noScoreRecords: new NoScoreRecords(),
    backoffLimits: new BackoffLimits(internals.backoffs),
    pendingOutbound: new PendingOutbound(metrics, {
      hasStream,
      subscribers: (topic) => pubsub.getSubscribers(topic).map(String),
      meshSize: MESH_SIZE,
    }),
    rpcSplitting: new RpcSplitting(internals.pendingIHaves),
    keylessMessages: new KeylessMessages(libp2p.peerId.toMultihash().bytes),
    meshsub13: new Meshsub13(),
    outboundStreams: new OutboundStreams({
      clock,
      metrics,
      hasStream,
      connections: () => libp2p.getConnections(),
      speaksGossip: (peerId) => speaksGossip(libp2p, peerId),
      reconnect: (peerId, connection) => internals.reconnect(peerId, connection),
    }),
  };
}

/** False while the peer is not identified yet. */
async function speaksGossip({ peerStore, services }: TeranodeLibp2p, peerId: LibPeerId): Promise<boolean> {
  const peer = await peerStore.get(peerId).catch(() => undefined);
  return peer?.protocols.some((protocol) => services.pubsub.protocols.includes(protocol)) ?? false;
}
