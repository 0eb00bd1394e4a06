// Our version on the handshake topic: once at start, when enough peers subscribe or the time for that is over, and for
// peers that refused it on a stream. One message serves all of them, so the network receives few, however many peers
// refuse streams.

import type { PeerId } from '../domain/ids.ts';
import { withDeadline } from '../lib/deadline.ts';
import { type Repeating, repeating } from '../lib/repeating.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { WireFormat } from '../wire/format.ts';
import type { HandshakeCounters } from './counters.ts';

/** A network as the handshake sees it. */
export interface HandshakeNetwork {
  readonly topicPrefix: string;
  /** Full name of its handshake topic. */
  readonly topic: string;
  readonly wire: Pick<WireFormat, 'name' | 'encode'>;
  readonly node: Pick<P2PNode, 'publish' | 'getTopic'>;
  /** Whether this network's node has a connection to the peer. */
  readonly isConnected: (peerId: PeerId) => boolean;
}

export interface TopicVersionsOptions {
  readonly networks: readonly HandshakeNetwork[];
  /** `p2p_handshake_topic_size`: number of subscribers to wait for at start; 0: do not wait. */
  readonly topicSize: number;
  /** `p2p_handshake_topic_timeout`: how long to wait for them. */
  readonly topicTimeoutMs: number;
}

export interface TopicVersionsDependencies {
  readonly version: (network: HandshakeNetwork) => Promise<Uint8Array>;
  readonly counters: HandshakeCounters;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Minimum time between two versions on the topic. */
const MIN_INTERVAL_MS = 5000;
const CHECK_INTERVAL_MS = 100;
const PUBLISH_DEADLINE_MS = 5000;

export class TopicVersions {
  private readonly deps: TopicVersionsDependencies;
  private readonly options: TopicVersionsOptions;
  private waiting: Repeating | undefined;
  private timer: NodeJS.Timeout | undefined;
  private publishedMs = Number.NEGATIVE_INFINITY;
  private stopped = false;

  constructor(deps: TopicVersionsDependencies, options: TopicVersionsOptions) {
    this.deps = deps;
    this.options = options;
  }

  /** Publishes the version at start. */
  start(): void {
    const { clock } = this.deps;
    const latestMs = clock.monotonic() + this.options.topicTimeoutMs;
    const check = async () => {
      if (this.subscribers() < this.options.topicSize && clock.monotonic() < latestMs) return;
      this.waiting?.stop();
      this.request();
    };
    this.waiting = repeating(check, { firstMs: 0, nextMs: () => CHECK_INTERVAL_MS }, (error) =>
      this.deps.log.error({ err: error }, 'failed to count subscribers of the handshake topic'),
    );
  }

  /** Publishes a version now, or once the minimum time since the last one is over; requests until then are merged. */
  request(): void {
    if (this.stopped || this.timer !== undefined) return;
    const waitMs = this.publishedMs + MIN_INTERVAL_MS - this.deps.clock.monotonic();
    this.timer = setTimeout(() => void this.publish(), Math.max(0, waitMs)).unref();
  }

  stop(): void {
    this.stopped = true;
    this.waiting?.stop();
    clearTimeout(this.timer);
  }

  private subscribers(): number {
    const all = new Set<PeerId>();
    for (const { topic, node } of this.options.networks)
      for (const peerId of node.getTopic(topic)?.subscribers() ?? []) all.add(peerId);
    return all.size;
  }

  private async publish(): Promise<void> {
    this.timer = undefined;
    this.publishedMs = this.deps.clock.monotonic();
    for (const network of this.options.networks) {
      const { topic, node } = network;
      try {
        const bytes = await this.deps.version(network);
        if (this.stopped) return;
        const outcome = await withDeadline(node.publish(topic, bytes), PUBLISH_DEADLINE_MS);
        this.deps.counters.sent('version', 'topic', outcome === 'suppressed' ? 'suppressed' : 'sent');
      } catch (error) {
        this.deps.counters.sent('version', 'topic', 'failed');
        this.deps.log.debug({ topic, err: error }, 'failed to publish version');
      }
    }
  }
}
