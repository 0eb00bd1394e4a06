// Finds out whether the feed went silent: no valid message from anyone for longer than a bound, while at least one peer
// that could send some is connected. Every full node announces its status every ten seconds, so a feed with peers is
// never silent for long, however rare blocks are. It has no timer of its own: the caller tells it of messages and asks.
import type { Clock } from '../ports/clock.ts';

/**
 * `alone`: no connected peer shares a topic with this node, so nothing can be expected. `flowing`: messages come, or
 * are not overdue yet. `silent`: overdue.
 */
export type FeedState = 'alone' | 'flowing' | 'silent';

export interface Feed {
  readonly state: FeedState;
  /** Since the last valid message or, if that is later, since peers that share a topic are connected; 0 while alone. */
  readonly silentForMs: number;
  /** Connected peers that share a topic, as last asked. */
  readonly peers: number;
}

/** What began with a message or a check. */
export type FeedChange = { readonly to: FeedState; readonly from: FeedState; readonly feed: Feed };

export interface SilenceDependencies {
  readonly clock: Clock;
  /** Number of connected peers that subscribe to a topic of ours. Asked at each check. */
  readonly peers: () => number;
  /** Called once for each change of the state. */
  readonly changed?: (change: FeedChange) => void;
}

export interface SilenceOptions {
  /** Full names of the topics; others are not counted. */
  readonly topics: readonly string[];
  /** The feed is silent when no valid message came for longer. */
  readonly silentAfterMs: number;
}

export class Silence {
  private readonly deps: SilenceDependencies;
  private readonly silentAfterMs: number;
  /** Unix ms of the last valid message; as many entries as topics. */
  private readonly lastMs: Map<string, number | undefined>;
  private state: FeedState = 'alone';
  private peers = 0;
  /** Monotonic ms from which silence counts. */
  private sinceMs: number;

  constructor(deps: SilenceDependencies, { topics, silentAfterMs }: SilenceOptions) {
    this.deps = deps;
    this.silentAfterMs = silentAfterMs;
    this.lastMs = new Map(topics.map((topic) => [topic, undefined]));
    this.sinceMs = deps.clock.monotonic();
  }

  /** A valid message came. Cheap enough for each one. */
  heard(topic: string): void {
    if (!this.lastMs.has(topic)) return;
    this.lastMs.set(topic, this.deps.clock.now());
    this.sinceMs = this.deps.clock.monotonic();
    if (this.state === 'silent') this.become('flowing');
  }

  /** To be called about every second: how long peers are connected shows only here. */
  check(): Feed {
    const nowMs = this.deps.clock.monotonic();
    this.peers = this.deps.peers();
    if (this.peers === 0 || this.state === 'alone') this.sinceMs = Math.max(this.sinceMs, nowMs);
    this.become(this.peers === 0 ? 'alone' : nowMs - this.sinceMs > this.silentAfterMs ? 'silent' : 'flowing');
    return this.feed();
  }

  /** As of the last check or message. */
  feed(): Feed {
    const { state, peers } = this;
    return { state, peers, silentForMs: state === 'alone' ? 0 : this.deps.clock.monotonic() - this.sinceMs };
  }

  /** Unix ms of the last valid message of each topic; undefined before the first. */
  lastMessages(): ReadonlyMap<string, number | undefined> {
    return this.lastMs;
  }

  private become(to: FeedState): void {
    const from = this.state;
    if (to === from) return;
    this.state = to;
    this.deps.changed?.({ to, from, feed: this.feed() });
  }
}
