// `headers()`: a checked chain of headers in memory, kept up to date from announcements and DataHubs.
import type { HttpDataHubClient } from '../adapters/datahub/datahub-client.ts';
import { dataHubUrlRules } from '../app/gossip-options.ts';
import type { TreeHeader } from '../chain/header-tree.ts';
import type { ChainEvent } from '../domain/chain-event.ts';
import type { BlockHash } from '../domain/ids.ts';
import { P2PError } from '../lib/errors.ts';
import { buildVersion } from '../lib/version.ts';
import { dataHubUrlCheck } from '../peers/datahub/datahub-url.ts';
import { systemClock } from '../ports/clock.ts';
import { parseHash } from '../wire/hash.ts';
import { NETWORKS, type Network } from '../wire/networks.ts';
import { EventQueue } from './event-queue.ts';
import type { ListenEvent, LostEvent } from './events.ts';
import { type Anchor, type FollowCounts, HeaderFollower } from './header-follower.ts';
import { Listener, type ListenerReady, type ListenerStats } from './listener.ts';
import { type ListenOptions, listenSettings, queueBounds } from './options.ts';

export interface HeadersOptions extends ListenOptions {
  /**
   * Where the chain begins: a header that you vouch for, or `genesis`. Default: `depth` headers before the first block
   * that is announced and whose headers a DataHub delivers; its height is then the announcer's word.
   */
  readonly anchor?: Anchor | 'genesis';
  /** 0 to 2000, default 100. */
  readonly depth?: number;
  /** Headers kept, 100 to 1,000,000; default 10,000, about 5 MB. */
  readonly maxHeaders?: number;
}

export type HeaderEvent = ChainEvent | LostEvent;

export interface HeadersStats extends ListenerStats, FollowCounts {
  readonly headers: number;
}

const DEFAULT_DEPTH = 100;
const MAX_DEPTH = 2000;
const DEFAULT_HEADERS = 10_000;
/** Further DataHubs that are asked when the announcer's own does not answer. */
const OTHER_URLS = 2;

/** Yields `tip` for each new best header, and `reorg` right before it where the chain changed below the last one. */
export function headers(network: Network, options: HeadersOptions = {}): HeaderChain {
  return new HeaderChain(network, options);
}

/** Events have one reader: leaving its loop closes the chain and its listener. */
export class HeaderChain implements AsyncIterable<HeaderEvent, undefined>, AsyncDisposable {
  readonly ready: Promise<ListenerReady>;
  private readonly listener: Listener;
  private readonly follower: HeaderFollower;
  private readonly queue: EventQueue<HeaderEvent>;
  private readonly isUsable: (url: string) => boolean;

  constructor(network: Network, options: HeadersOptions) {
    const { anchor, depth = DEFAULT_DEPTH, maxHeaders = DEFAULT_HEADERS } = options;
    if (!Number.isInteger(depth) || depth < 0 || depth > MAX_DEPTH)
      throw new P2PError('SETTINGS_INVALID', `invalid depth = ${depth} (expected an integer from 0 to ${MAX_DEPTH})`);
    if (!Number.isInteger(maxHeaders) || maxHeaders < 100 || maxHeaders > 1e6)
      throw new P2PError('SETTINGS_INVALID', `invalid maxHeaders = ${maxHeaders} (expected 100 to 1000000)`);
    const rules = dataHubUrlRules(listenSettings(network, options));
    const fault = dataHubUrlCheck(rules);
    this.isUsable = (url) => url !== '' && fault(url) === undefined;
    this.queue = new EventQueue<HeaderEvent>({
      ...queueBounds(options),
      lost: (byType, count) => ({ type: 'lost', atMs: systemClock.now(), count, byType }),
      onReturn: () => this.close(),
    });
    this.follower = new HeaderFollower(
      {
        client: clientOnDemand(rules.allowsPrivate),
        now: () => systemClock.now(),
        monotonic: () => systemClock.monotonic(),
        emit: (event) => this.queue.push(event),
      },
      { network: NETWORKS[network], anchor, depth, maxHeaders },
    );
    // Its own events are taken as they come.
    this.listener = new Listener(network, { ...options, maxQueuedEvents: 1 });
    this.listener.tap((event) => this.heard(event));
    this.ready = this.listener.ready;
    this.ready.catch((error: unknown) => this.queue.finish({ error }));
    const { signal } = options;
    if (signal?.aborted === true) void this.close();
    else signal?.addEventListener('abort', () => void this.close(), { once: true });
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
    this.queue.finish();
    this.follower.stop();
    await this.listener.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private heard(event: ListenEvent): void {
    if (event.type === 'block') {
      const { hash, height, header, author, dataHubUrl } = event;
      this.follower.announced({ hash, height, header, author, urls: this.urls(dataHubUrl) });
    } else if (event.type === 'node_status') {
      const { author, status } = event;
      const hash = parseHash(status.bestBlockHash);
      if (hash === undefined) return;
      const urls = this.urls(status.baseUrl);
      this.follower.announced({ hash, height: status.bestHeight, header: undefined, author, urls });
    }
  }

  /** The announcer's own, then those of other peers, in an order that nobody else chooses. */
  private urls(first: string): string[] {
    const others = this.listener.peers().flatMap(({ dataHubUrl }) => dataHubUrl ?? []);
    const from = Math.floor(Math.random() * (others.length + 1));
    const some = [...others.slice(from), ...others.slice(0, from)].slice(0, OTHER_URLS);
    return [...new Set([first, ...some])].filter(this.isUsable);
  }
}

/** Its HTTP is loaded with the first request. */
function clientOnDemand(allowsPrivate: boolean): Pick<HttpDataHubClient, 'headersBack' | 'headersFromAncestor'> {
  let client: Promise<HttpDataHubClient> | undefined;
  const loaded = () => {
    client ??= import('../adapters/datahub/datahub-client.ts').then(
      ({ HttpDataHubClient: Client }) =>
        new Client({}, { allowsPrivate, userAgent: `teranode/bitcoin/${buildVersion().version}` }),
    );
    return client;
  };
  return {
    headersBack: async (...args) => await (await loaded()).headersBack(...args),
    headersFromAncestor: async (...args) => await (await loaded()).headersFromAncestor(...args),
  };
}
