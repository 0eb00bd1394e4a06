// The streams on which we gossip. gossipsub opens them one after the other, each once: a peer that does not answer
// delays all others by 10 s, and a peer whose stream failed or was reset hears nothing of us while it stays connected.
// Here they are opened in parallel, and again when one is missing, as in go-libp2p-pubsub.
import type { Connection, PeerId as LibPeerId } from '@libp2p/interface';
import { backoffMs } from '../../../lib/backoff.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Counter, Metrics } from '../../../ports/metrics.ts';
import type { GossipsubParts, Stage } from './parts.ts';

interface OutboundStreamsParts {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly hasStream: (id: string) => boolean;
  /** Open connections, several to one peer perhaps. */
  readonly connections: () => readonly Connection[];
  readonly speaksGossip: (peerId: LibPeerId) => Promise<boolean>;
  /** Has gossipsub open a stream to the peer. */
  readonly reconnect: (peerId: LibPeerId, connection: Connection) => void;
}

/** A peer whose stream is missing, or was a short time ago. */
interface Missing {
  nextTryMs: number;
  tries: number;
  /** Since when it has a stream again. */
  backSinceMs: number | undefined;
}

const PAUSES = { firstMs: 1000, lastMs: 60_000 };
/** After so long a stream counts as stable, and its peer is forgotten here. */
const STABLE_MS = 60_000;

export class OutboundStreams implements Stage<'opening'> {
  readonly feature = 'parallelStreams';
  private readonly parts: OutboundStreamsParts;
  private readonly reopened: Counter;
  /** Peers to which a stream is being opened. */
  private readonly opening = new Set<string>();
  /** Connected peers only. */
  private readonly missing = new Map<string, Missing>();

  constructor(parts: OutboundStreamsParts) {
    this.parts = parts;
    this.reopened = parts.metrics.counter(
      'teranode_p2p_gossip_streams_reopened_total',
      'Attempts to open a gossip stream again to a peer that lost its own, by outcome',
      ['outcome'],
    );
    for (const outcome of ['opened', 'failed']) this.reopened.add(0, { outcome });
    parts.metrics.gauge(
      'teranode_p2p_gossip_streams_missing',
      'Connected peers that speak gossip and have no stream from us',
      () => [...this.missing.values()].filter(({ backSinceMs }) => backSinceMs === undefined).length,
    );
  }

  /** gossipsub waits for each before it begins the next one: the answer comes at once. */
  createOutboundStream(next: GossipsubParts['createOutboundStream']): GossipsubParts['createOutboundStream'] {
    return (peerId, connection) => {
      const id = peerId.toString();
      if (!this.opening.has(id)) {
        this.opening.add(id);
        const done = () => this.opened(id);
        next(peerId, connection).then(done, done);
      }
      return Promise.resolve();
    };
  }

  /** Called every second. */
  async reopenMissing(): Promise<void> {
    const connections = new Map<string, Connection>();
    for (const connection of this.parts.connections()) {
      const id = connection.remotePeer.toString();
      // Gossip does not run on limited connections.
      if (connection.status === 'open' && connection.limits === undefined && !connections.has(id))
        connections.set(id, connection);
    }
    for (const id of this.missing.keys()) if (!connections.has(id)) this.missing.delete(id);
    const nowMs = this.parts.clock.monotonic();
    await Promise.all([...connections].map(([id, connection]) => this.check(id, connection, nowMs)));
  }

  private opened(id: string): void {
    this.opening.delete(id);
    if (this.missing.has(id)) this.reopened.add(1, { outcome: this.parts.hasStream(id) ? 'opened' : 'failed' });
  }

  private async check(id: string, connection: Connection, nowMs: number): Promise<void> {
    const { missing } = this;
    const known = missing.get(id);
    if (this.parts.hasStream(id)) {
      if (known === undefined) return;
      known.backSinceMs ??= nowMs;
      if (nowMs - known.backSinceMs >= STABLE_MS) missing.delete(id);
      return;
    }
    if (this.opening.has(id)) return;
    if (known === undefined) {
      if (await this.parts.speaksGossip(connection.remotePeer))
        missing.set(id, { nextTryMs: nowMs + PAUSES.firstMs, tries: 1, backSinceMs: undefined });
      return;
    }
    known.backSinceMs = undefined;
    if (nowMs < known.nextTryMs) return;
    known.tries += 1;
    known.nextTryMs = nowMs + backoffMs(PAUSES, known.tries);
    this.parts.reconnect(connection.remotePeer, connection);
  }
}
