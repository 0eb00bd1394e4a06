// Our version on the handshake topic: once at start, when somebody listens or nobody came in time, and for peers that did not take it over a
// stream. One serves all who wait for it, so however many peers refuse streams, the network hears one now and then.

import type { PeerId } from '../domain/ids.ts';
import { withDeadline } from '../lib/deadline.ts';
import { type Repeating, repeating } from '../lib/repeating.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { WireFormat } from '../wire/format.ts';
import type { Tally } from './tally.ts';

/** A network as the handshake sees it. */
export interface HandshakeNetwork {
  readonly topicPrefix: string;
  /** Full name of its handshake topic. */
  readonly topic: string;
  readonly wire: Pick<WireFormat, 'encode'>;
  readonly node: Pick<P2PNode, 'publish' | 'getTopic'>;
  /** Whether this network's node has a connection to the peer. */
  readonly isConnected: (peerId: PeerId) => boolean;
}

export interface TopicVersionsOptions {
  readonly networks: readonly HandshakeNetwork[];
  /** `p2p_handshake_topic_size`: subscribers awaited at start; 0: none. */
  readonly topicSize: number;
  /** `p2p_handshake_topic_timeout`: how long they are awaited. */
  readonly topicTimeoutMs: number;
}

export interface TopicVersionsDependencies {
  readonly version: (network: HandshakeNetwork) => Promise<Uint8Array>;
  readonly tally: Tally;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Between two versions: peers that refuse streams and come in a row wait this long, as long as a late Go server at start. */
const MIN_INTERVAL_MS = 5000;
const LOOK_INTERVAL_MS = 100;
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

  /** The version at start. */
  start(): void {
    const { clock } = this.deps;
    const latestMs = clock.monotonic() + this.options.topicTimeoutMs;
    const look = async () => {
      if (this.subscribers() < this.options.topicSize && clock.monotonic() < latestMs) return;
      this.waiting?.stop();
      this.request();
    };
    this.waiting = repeating(look, { firstMs: 0, nextMs: () => LOOK_INTERVAL_MS }, (error) =>
      this.deps.log.error({ err: error }, 'subscribers of the handshake topic not counted'),
    );
  }

  /** A version now, or as soon as the last is long enough ago; several requests until then are one. */
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
        this.deps.tally.sent('version', 'topic', outcome === 'suppressed' ? 'suppressed' : 'sent');
      } catch (error) {
        this.deps.tally.sent('version', 'topic', 'failed');
        this.deps.log.debug({ topic, err: error }, 'version not published');
      }
    }
  }
}
