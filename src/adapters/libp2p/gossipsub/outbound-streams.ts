// The streams on which we gossip. gossipsub opens them one after the other and each once: a neighbour that does not answer keeps all others waiting
// for 10 s, and one whose stream failed or was reset hears nothing of us for as long as it stays connected. Here they are opened side by side,
// and again when they are missing, as in go-libp2p-pubsub.
import type { GossipSub } from '@libp2p/gossipsub';
import type { Connection, PeerId as LibPeerId } from '@libp2p/interface';
import { type Repeating, repeating } from '../../../lib/repeating.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Counter, Metrics } from '../../../ports/metrics.ts';
import type { TeranodeLibp2p } from '../libp2p-options.ts';
import { keepOneInboundStream } from './inbound-streams.ts';
import { type SendingStream, UnsentGossip } from './outbound-backpressure.ts';
import { HeldGossip } from './pending-outbound.ts';

/** The parts of the class that are used; private in its type. */
interface GossipInternals {
  readonly protocols: readonly string[];
  /** By peer id. */
  readonly streamsOutbound: ReadonlyMap<string, { readonly rawStream: SendingStream }>;
  /** Never rejects. */
  createOutboundStream(peerId: LibPeerId, connection: Connection): Promise<void>;
  /** Takes up the peer if it is not known, and has a stream opened to it. */
  onPeerConnected(peerId: LibPeerId, connection: Connection): void;
}

/** A peer whose stream is missing, or was a short time ago. */
interface Missing {
  nextTryMs: number;
  pauseMs: number;
  /** Since when it has a stream again. */
  backSinceMs: number | undefined;
}

const LOOK_MS = 1000;
const FIRST_PAUSE_MS = 1000;
const LAST_PAUSE_MS = 60_000;
/** A stream that lived so long is as good as new. */
const SETTLED_MS = 60_000;

export class GossipStreams {
  private readonly libp2p: TeranodeLibp2p;
  private readonly internals: GossipInternals;
  private readonly clock: Clock;
  private readonly log: Logger;
  private readonly reopened: Counter;
  /** Peers to which a stream is being opened. */
  private readonly opening = new Set<string>();
  /** Of connected peers only. */
  private readonly missing = new Map<string, Missing>();
  private readonly unsent: UnsentGossip;
  private readonly held: HeldGossip;
  private loop: Repeating | undefined;

  /** Before gossip starts. Throws TypeError when the library no longer has the parts that open streams. */
  constructor(
    libp2p: TeranodeLibp2p,
    deps: { readonly clock: Clock; readonly log: Logger; readonly metrics: Metrics },
  ) {
    this.libp2p = libp2p;
    this.internals = checked(libp2p.services.pubsub);
    this.clock = deps.clock;
    this.log = deps.log;
    this.reopened = deps.metrics.counter(
      'teranode_p2p_gossip_streams_reopened_total',
      'Streams of gossip opened again to neighbours that had lost theirs',
      ['outcome'],
    );
    for (const outcome of ['opened', 'failed']) this.reopened.add(0, { outcome });
    deps.metrics.gauge(
      'teranode_p2p_gossip_streams_missing',
      'Connected peers that speak gossip and have no stream of ours',
      () => [...this.missing.values()].filter(({ backSinceMs }) => backSinceMs === undefined).length,
    );
    this.unsent = new UnsentGossip(deps.metrics, () =>
      [...this.internals.streamsOutbound.values()].map(({ rawStream }) => rawStream),
    );
    this.held = new HeldGossip(libp2p.services.pubsub, deps.metrics, (id) => this.opening.has(id));
    this.openSideBySide();
    keepOneInboundStream(libp2p.services.pubsub);
  }

  start(): void {
    const failed = (error: unknown) => this.log.warn({ err: error }, 'streams of gossip could not be looked after');
    this.loop = repeating(() => this.tend(), { firstMs: LOOK_MS, nextMs: () => LOOK_MS }, failed);
  }

  stop(): void {
    this.loop?.stop();
  }

  /** gossipsub waits for each before it begins the next one. */
  private openSideBySide(): void {
    const { internals, opening } = this;
    const create = internals.createOutboundStream.bind(internals);
    internals.createOutboundStream = (peerId, connection) => {
      const id = peerId.toString();
      if (!opening.has(id)) {
        opening.add(id);
        const done = () => this.opened(id);
        create(peerId, connection).then(done, done);
      }
      return Promise.resolve();
    };
  }

  private opened(id: string): void {
    this.opening.delete(id);
    const isOpen = this.internals.streamsOutbound.has(id);
    this.held.opened(id, isOpen);
    if (this.missing.has(id)) this.reopened.add(1, { outcome: isOpen ? 'opened' : 'failed' });
  }

  private async tend(): Promise<void> {
    this.unsent.look();
    const connections = new Map<string, Connection>();
    for (const connection of this.libp2p.getConnections()) {
      const id = connection.remotePeer.toString();
      // Gossip does not run on limited connections.
      if (connection.status === 'open' && connection.limits === undefined && !connections.has(id))
        connections.set(id, connection);
    }
    for (const id of this.missing.keys()) if (!connections.has(id)) this.missing.delete(id);
    const nowMs = this.clock.monotonic();
    await Promise.all([...connections].map(([id, connection]) => this.tendPeer(id, connection, nowMs)));
  }

  private async tendPeer(id: string, connection: Connection, nowMs: number): Promise<void> {
    const { internals, missing } = this;
    const known = missing.get(id);
    if (internals.streamsOutbound.has(id)) {
      if (known === undefined) return;
      known.backSinceMs ??= nowMs;
      if (nowMs - known.backSinceMs >= SETTLED_MS) missing.delete(id);
      return;
    }
    if (this.opening.has(id)) return;
    if (known === undefined) {
      if (await this.speaksGossip(connection.remotePeer))
        missing.set(id, { nextTryMs: nowMs + FIRST_PAUSE_MS, pauseMs: FIRST_PAUSE_MS, backSinceMs: undefined });
      return;
    }
    known.backSinceMs = undefined;
    if (nowMs < known.nextTryMs) return;
    known.pauseMs = Math.min(LAST_PAUSE_MS, 2 * known.pauseMs);
    known.nextTryMs = nowMs + known.pauseMs;
    internals.onPeerConnected(connection.remotePeer, connection);
  }

  private async speaksGossip(peerId: LibPeerId): Promise<boolean> {
    try {
      const { protocols } = await this.libp2p.peerStore.get(peerId);
      return protocols.some((protocol) => this.internals.protocols.includes(protocol));
    } catch {
      // Not identified yet.
      return false;
    }
  }
}

function checked(pubsub: GossipSub): GossipInternals {
  const internals = pubsub as unknown as GossipInternals;
  const { createOutboundStream, onPeerConnected, streamsOutbound, protocols } = internals;
  const areThere = [createOutboundStream, onPeerConnected].every((part) => typeof part === 'function');
  if (!areThere || !(streamsOutbound instanceof Map) || !Array.isArray(protocols))
    throw new TypeError('gossipsub has not the parts that open streams');
  return internals;
}
