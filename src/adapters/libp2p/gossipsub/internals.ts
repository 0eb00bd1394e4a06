// The only place that touches private parts of @libp2p/gossipsub (parts.ts names them). They are checked once, before
// gossip starts: without one its features are off and a log line says what is lost, or the start refuses. gossip.ts
// lists the stages that are put around them.
import type { GossipSub } from '@libp2p/gossipsub';
import type { Connection, PeerId as LibPeerId } from '@libp2p/interface';
import type { PeerId } from '../../../domain/ids.ts';
import { P2PError } from '../../../lib/errors.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Metrics } from '../../../ports/metrics.ts';
import { CompactMessageCache, type GossipsubCache } from './message-cache.ts';
import {
  CHAINS,
  type Chain,
  type Delivery,
  FEATURES,
  GOSSIPSUB_PARTS,
  type GossipFeature,
  type GossipsubPart,
  type GossipsubParts,
  type Hooks,
  IS_INTACT,
  lostWithout,
  REQUIRED,
  type Stage,
  WRITTEN_FOR,
  type WrappedPart,
} from './parts.ts';

/** Left out where gossipsub has none. */
interface LibraryMetrics {
  onMsgRecvPreValidation?(topic: string): void;
  onPrevalidationResult?(topic: string, code: string): void;
  onMsgRecvInvalid?(topic: string, reason: { readonly reason: string; readonly error?: string }): void;
}

const NONE = new Uint8Array(0);

export class GossipInternals {
  /** Topic → peer → when the back-off ends. */
  readonly backoffs: GossipsubParts['backoff'];
  /** Peer → IHAVEs that go with the next RPC to it. */
  readonly pendingIHaves: GossipsubParts['gossip'];
  private readonly outboundStreams: GossipsubParts['streamsOutbound'];
  private readonly pubsub: GossipSub;
  private readonly missing: ReadonlySet<GossipsubPart>;

  /**
   * Call before gossip starts. Logs each missing part; throws LIBRARY_INCOMPATIBLE when one is missing that is
   * required.
   */
  constructor(pubsub: GossipSub, log: Logger) {
    this.pubsub = pubsub;
    this.missing = new Set(GOSSIPSUB_PARTS.filter((part) => !IS_INTACT[part](read(pubsub, part))));
    for (const part of this.missing) {
      const harm = REQUIRED[part];
      if (harm !== undefined)
        throw new P2PError('LIBRARY_INCOMPATIBLE', `gossipsub has no '${part}': ${harm}`, { details: { part } });
      log.warn({ part, writtenFor: WRITTEN_FOR }, `gossipsub has no '${part}': ${lostWithout(part)}`);
    }
    this.backoffs = this.mapOf('backoff');
    this.pendingIHaves = this.mapOf('gossip');
    this.outboundStreams = this.mapOf('streamsOutbound');
  }

  supports(feature: GossipFeature): boolean {
    return FEATURES[feature].needs.every((part) => !this.missing.has(part));
  }

  /**
   * Puts the stages around gossipsub's own parts, in the order of travel: the first stage is called first, gossipsub
   * last.
   */
  install(chains: { readonly [Each in Chain]: readonly Stage<Each>[] }): void {
    for (const part of CHAINS.incoming) this.wrap(part, chains.incoming);
    for (const part of CHAINS.outgoing) this.wrap(part, chains.outgoing);
    for (const part of CHAINS.opening) this.wrap(part, chains.opening);
  }

  hasOutboundStream(id: string): boolean {
    return this.outboundStreams.has(id);
  }

  /** Tells mesh peers that they need not send us this message. */
  sendIDontWants(id: Uint8Array, topic: string, receivedFrom: string): void {
    if (!this.missing.has('sendIDontWants'))
      read(this.pubsub, 'sendIDontWants').call(this.pubsub, id, topic, receivedFrom);
  }

  /** What gossipsub does with a message before and after its validation, for messages that others validate. */
  delivery(): Delivery {
    const { pubsub } = this;
    const [forward, keep] = [bound(pubsub, 'forwardMessage'), bound(pubsub, 'mcache.put')];
    const delivered = bound(pubsub, 'gossipTracer.deliverMessage');
    const rejected = bound(pubsub, 'gossipTracer.rejectMessage');
    const { metrics } = pubsub as unknown as { readonly metrics?: LibraryMetrics | null };
    return {
      received: (topic) => metrics?.onMsgRecvPreValidation?.(topic),
      finished: ({ receivedFrom, message, id }, outcome) => {
        const { topic, from = NONE, seqno = NONE } = message;
        const code = outcome === 'accept' ? 'valid' : outcome === 'duplicate' ? 'duplicate' : 'invalid';
        metrics?.onPrevalidationResult?.(topic, code);
        if (code === 'valid') {
          delivered(id);
          keep({ msgId: Buffer.concat([from, seqno]), msgIdStr: id }, message, true);
          forward(id, message, receivedFrom.toString());
        } else if (code === 'duplicate') {
          delivered(id, true);
        } else {
          const isDecided = outcome === 'ignore' || outcome === 'reject';
          if (isDecided) rejected(id, outcome);
          metrics?.onMsgRecvInvalid?.(topic, isDecided ? { reason: outcome } : { reason: 'error', error: outcome });
        }
      },
    };
  }

  /** Has gossipsub open a stream to the peer, where it can. */
  reconnect(peerId: LibPeerId, connection: Connection): void {
    if (this.supports('reopenedStreams')) read(this.pubsub, 'onPeerConnected').call(this.pubsub, peerId, connection);
  }

  private wrap<Part extends WrappedPart>(part: Part, stages: readonly Stage[]): void {
    const hooks = stages.filter(({ feature }) => this.supports(feature)).map((stage) => hookOf(stage, part));
    const first = hooks.reduceRight((next, hook) => hook?.(next) ?? next, bound(this.pubsub, part));
    if (hooks.some((hook) => hook !== undefined)) write(this.pubsub, part, first);
  }

  /** An empty map in the place of one that is missing: the features that need it are off. */
  private mapOf<Part extends 'backoff' | 'gossip' | 'streamsOutbound'>(part: Part): GossipsubParts[Part] {
    return this.missing.has(part) ? (new Map() as GossipsubParts[Part]) : read(this.pubsub, part);
  }
}

/** For gossipsub, which uses no more of its own cache than the functions, and whether `msgs` has an ID. */
export function messageCache(metrics: Metrics): GossipsubCache {
  return new CompactMessageCache({ metrics }) as unknown as GossipsubCache;
}

/** Peers in the mesh of a topic; empty where gossipsub does not tell. */
export function meshPeers(pubsub: GossipSub, topic: string): PeerId[] {
  const { getMeshPeers } = pubsub as unknown as Partial<GossipsubParts>;
  return (getMeshPeers?.call(pubsub, topic) ?? []) as PeerId[];
}

function hookOf<Part extends WrappedPart>(stage: Hooks, part: Part): Hooks[Part] {
  return stage[part]?.bind(stage) as Hooks[Part];
}

/** The object that holds the part, and the part's name in it: `score.validateMessage` stands in `score`. */
function placeOf(pubsub: GossipSub, part: GossipsubPart): [Record<string, unknown>, string] {
  const holder = pubsub as unknown as Record<string, unknown>;
  const [first, second] = part.split('.') as [string, string?];
  return second === undefined ? [holder, first] : [(holder[first] ?? {}) as Record<string, unknown>, second];
}

function read<Part extends GossipsubPart>(pubsub: GossipSub, part: Part): GossipsubParts[Part] {
  const [holder, name] = placeOf(pubsub, part);
  return holder[name] as GossipsubParts[Part];
}

function write<Part extends GossipsubPart>(pubsub: GossipSub, part: Part, value: GossipsubParts[Part]): void {
  const [holder, name] = placeOf(pubsub, part);
  holder[name] = value;
}

/** A function that can be called without the object that holds it; anything else as it is. */
function bound<Part extends GossipsubPart>(pubsub: GossipSub, part: Part): GossipsubParts[Part] {
  const [holder, name] = placeOf(pubsub, part);
  const value = holder[name];
  return (typeof value === 'function' ? value.bind(holder) : value) as GossipsubParts[Part];
}
