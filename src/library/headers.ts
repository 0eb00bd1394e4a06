// `headers()`: a checked chain of headers in memory, kept up to date from announcements and DataHubs.
import type { TreeHeader } from '../chain/header-tree.ts';
import type { ChainEvent } from '../domain/chain-event.ts';
import type { BlockHash } from '../domain/ids.ts';
import { systemClock } from '../ports/clock.ts';
import type { Network } from '../wire/networks.ts';
import { ChainFeed } from './chain-feed.ts';
import { EventQueue } from './event-queue.ts';
import type { LostEvent } from './events.ts';
import type { FollowCounts, HeaderFollower } from './header-follower.ts';
import { Listener, type ListenerReady, type ListenerStats } from './listener.ts';
import { type ChainOptions, type ListenOptions, listenSettings, queueBounds } from './options.ts';

export interface HeadersOptions extends Omit<ListenOptions, 'chain'>, ChainOptions {}

export type HeaderEvent = ChainEvent | LostEvent;

export interface HeadersStats extends ListenerStats, FollowCounts {
  readonly headers: number;
}

/**
 * Yields `tip` for each new best header, and `reorg` right before it where the chain changed below the last one. Headers
 * that come in one answer of a DataHub, up to 2,000, are told by the last of them.
 */
export function headers(network: Network, options: HeadersOptions = {}): HeaderChain {
  return new HeaderChain(network, options);
}

/** Events have one reader: leaving its loop closes the chain and its listener. */
export class HeaderChain implements AsyncIterable<HeaderEvent, undefined>, AsyncDisposable {
  readonly ready: Promise<ListenerReady>;
  private readonly listener: Listener;
  private readonly follower: HeaderFollower;
  private readonly queue: EventQueue<HeaderEvent>;
  private readonly signal: AbortSignal | undefined;
  private readonly onAbort = () => void this.close();

  constructor(network: Network, options: HeadersOptions) {
    const settings = listenSettings(network, options);
    this.queue = new EventQueue<HeaderEvent>({
      ...queueBounds(options),
      lost: (byType, count) => ({ type: 'lost', atMs: systemClock.now(), count, byType }),
      onReturn: () => this.close(),
    });
    const peers = () => this.listener.peers();
    const feed = new ChainFeed({ peers, emit: (event) => this.queue.push(event) }, settings, options);
    this.follower = feed.follower;
    // Its own events are taken as they come.
    this.listener = new Listener(network, { ...options, maxQueuedEvents: 1 });
    this.listener.tap((event) => feed.heard(event));
    this.ready = this.listener.ready;
    this.ready.catch((error: unknown) => {
      this.queue.finish({ error });
      void this.close();
    });
    this.signal = options.signal;
    if (this.signal?.aborted === true) this.onAbort();
    else this.signal?.addEventListener('abort', this.onAbort, { once: true });
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<HeaderEvent, undefined> {
    return this.queue;
  }

  /** The best header; undefined until the chain has begun. */
  tip(): TreeHeader | undefined {
    return this.follower.tip();
  }

  get(hash: string): TreeHeader | undefined {
    return this.follower.get(hash as BlockHash);
  }

  /** Whether a header is on the best chain, as far back as it is kept. */
  isOnBestChain(hash: string): boolean {
    return this.follower.isOnBestChain(hash as BlockHash);
  }

  stats(): HeadersStats {
    const { lostCount: lost, length: queued } = this.queue;
    return { ...this.listener.stats(), ...this.follower.counts(), headers: this.follower.size, lost, queued };
  }

  /** Ends the loop, then the node. Never rejects; may be called twice. */
  async close(): Promise<void> {
    this.signal?.removeEventListener('abort', this.onAbort);
    this.queue.finish();
    this.follower.stop();
    await this.listener.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
