// `endpoints()`: the DataHub and propagation URLs of a network, live and checked.
import type { HttpDataHubClient } from '../adapters/datahub/datahub-client.ts';
import { dataHubUrlRules } from '../app/gossip-options.ts';
import type { NetworkEndpoint } from '../domain/endpoint.ts';
import { buildVersion } from '../lib/version.ts';
import { dataHubUrlCheck } from '../peers/datahub/datahub-url.ts';
import { EndpointDirectory } from '../peers/endpoint-directory.ts';
import { systemClock } from '../ports/clock.ts';
import { hashHeader } from '../wire/header.ts';
import { NETWORKS, type Network } from '../wire/networks.ts';
import { DropCounts } from './counts.ts';
import { EventQueue } from './event-queue.ts';
import type { LostEvent } from './events.ts';
import { Listener, type ListenerReady, type ListenerStats, SILENT_LOG } from './listener.ts';
import { inRange, type ListenOptions, listenSettings, queueBounds } from './options.ts';

export interface EndpointsOptions extends Omit<ListenOptions, 'chain'> {
  /** Age at which a check is repeated, 30 s to a week. Default 10 min. */
  readonly recheckMs?: number;
}

/** A URL was announced for the first time, what was said about it changed, or it was checked. */
export interface EndpointEvent {
  readonly type: 'endpoint';
  readonly atMs: number;
  readonly endpoint: NetworkEndpoint;
}

const RECHECK = { min: 30_000, max: 7 * 24 * 3_600_000, default: 600_000 } as const;
const COMPARE_INTERVAL_MS = 1000;

/** Joins a network; `list()` is the directory as it is now, and the loop yields what changes in it. */
export function endpoints(network: Network, options: EndpointsOptions = {}): EndpointList {
  return new EndpointList(network, options);
}

/** Events have one reader: leaving its loop closes the list and its listener. */
export class EndpointList implements AsyncIterable<EndpointEvent | LostEvent, undefined>, AsyncDisposable {
  readonly ready: Promise<ListenerReady>;
  private readonly listener: Listener;
  private readonly directory: EndpointDirectory;
  private readonly queue: EventQueue<EndpointEvent | LostEvent>;
  private readonly timer: NodeJS.Timeout;
  private readonly signal: AbortSignal | undefined;
  private readonly onAbort = () => void this.close();
  /** Row -> what was told of it. */
  private told = new Map<string, string>();

  constructor(network: Network, options: EndpointsOptions) {
    const recheckMs = inRange('recheckMs', options.recheckMs ?? RECHECK.default, RECHECK);
    const rules = dataHubUrlRules(listenSettings(network, options));
    this.queue = new EventQueue<EndpointEvent | LostEvent>({
      ...queueBounds(options),
      lost: (byType, count) => ({ type: 'lost', atMs: systemClock.now(), count, byType }),
      onReturn: () => this.close(),
    });
    // Its own events are not read.
    const listener = new Listener(network, { ...options, maxQueuedEvents: 1 });
    this.listener = listener;
    this.ready = listener.ready;
    this.ready.catch((error: unknown) => {
      this.queue.finish({ error });
      void this.close();
    });
    const client = new ClientOnDemand(rules.allowsPrivate);
    const registry = { list: () => listener.peers() };
    this.directory = new EndpointDirectory(
      { registry, client, clock: systemClock, log: options.log ?? SILENT_LOG, metrics: new DropCounts() },
      {
        genesisHash: hashHeader(NETWORKS[network].genesisHeader),
        allowsPrivate: rules.allowsPrivate,
        urlFault: dataHubUrlCheck(rules),
        recheckMs,
        onChecked: () => this.compare(),
      },
    );
    this.directory.start();
    this.timer = setInterval(() => this.compare(), COMPARE_INTERVAL_MS).unref();
    this.signal = options.signal;
    if (this.signal?.aborted === true) this.onAbort();
    else this.signal?.addEventListener('abort', this.onAbort, { once: true });
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<EndpointEvent | LostEvent, undefined> {
    return this.queue;
  }

  /** The directory now: at most 2,000 rows, those of connected peers first. */
  list(): NetworkEndpoint[] {
    return this.directory.list();
  }

  stats(): ListenerStats {
    const { lostCount: lost, length: queued } = this.queue;
    return { ...this.listener.stats(), lost, queued };
  }

  /** Ends the loop, then the node. Never rejects; may be called twice. */
  async close(): Promise<void> {
    this.signal?.removeEventListener('abort', this.onAbort);
    clearInterval(this.timer);
    this.queue.finish();
    this.directory.stop();
    await this.listener.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Tells the rows that are new or say something else, but for heights and times, which change all the time. */
  private compare(): void {
    const told = new Map<string, string>();
    for (const endpoint of this.directory.list()) {
      const { height: _height, lastSeenMs: _seen, isConnected: _connected, checked, ...stable } = endpoint;
      const { atMs: _at, ...result } = checked;
      const key = `${endpoint.peerId} ${endpoint.kind}`;
      const text = JSON.stringify({ ...stable, result }, (_name, value) =>
        typeof value === 'bigint' ? `${value}` : value,
      );
      if (this.told.get(key) !== text) this.queue.push({ type: 'endpoint', atMs: systemClock.now(), endpoint });
      told.set(key, text);
    }
    this.told = told;
  }
}

/** Its HTTP is loaded with the first request. */
class ClientOnDemand implements Pick<HttpDataHubClient, 'header'> {
  private readonly allowsPrivate: boolean;
  private client: Promise<HttpDataHubClient> | undefined;

  constructor(allowsPrivate: boolean) {
    this.allowsPrivate = allowsPrivate;
  }

  async header(...args: Parameters<HttpDataHubClient['header']>): ReturnType<HttpDataHubClient['header']> {
    this.client ??= import('../adapters/datahub/datahub-client.ts').then(
      ({ HttpDataHubClient: Client }) =>
        new Client({}, { allowsPrivate: this.allowsPrivate, userAgent: `teranode/bitcoin/${buildVersion().version}` }),
    );
    return await (await this.client).header(...args);
  }
}
