// The DataHub URLs that peers claim, by host: whose turn it is, what was found, how long it holds. Bounded whatever is claimed; nothing is
// asked here.
import { machineOf, plainHost } from '../../wire/public-address.ts';

export type DataHubState = 'unknown' | 'healthy' | 'unhealthy';

export interface WatchedUrl {
  readonly url: string;
  /** Monotonic ms at which it was last claimed, and last asked. */
  wantedMs: number;
  askedMs: number | undefined;
  found: { readonly isHealthy: boolean; readonly untilMs: number } | undefined;
}

export interface WatchedHost {
  readonly name: string;
  readonly urls: Map<string, WatchedUrl>;
  wantedMs: number;
  /** Not asked before; among those that may be asked, who is due longest comes first. */
  nextMs: number;
  dueMs: number;
  isAsking: boolean;
  /** In a row, since one of its URLs was alive. */
  failures: number;
  wasAlive: boolean | undefined;
  /** Turns taken, to alternate. */
  turns: number;
}

export interface HostsOptions {
  readonly maxHosts: number;
  /** What nobody claims any more is forgotten after this. */
  readonly keepMs: number;
}

/** Different paths and ports of one host that are known at a time: a machine rarely serves more than two. */
export const MAX_URLS_PER_HOST = 8;
const MAX_URL_CHARS = 2048;

export class DataHubHosts {
  private readonly options: HostsOptions;
  /** Claimed longest ago first. */
  private readonly hosts = new Map<string, WatchedHost>();
  private readonly urls = new Map<string, WatchedHost>();

  constructor(options: HostsOptions) {
    this.options = options;
  }

  get size(): number {
    return this.hosts.size;
  }

  all(): Iterable<WatchedHost> {
    return this.hosts.values();
  }

  byName(host: string): WatchedHost | undefined {
    return this.hosts.get(machineOf(host));
  }

  byUrl(url: string): WatchedUrl | undefined {
    return this.urls.get(url)?.urls.get(url);
  }

  /** Takes a claim; tells why not. */
  want(url: string, nowMs: number): 'watched' | 'form' | 'full' {
    const known = this.urls.get(url);
    const name = known?.name ?? hostName(url);
    if (name === undefined) return 'form';
    const host = known ?? this.hosts.get(name) ?? this.add(name, nowMs);
    if (host === undefined) return 'full';
    const watched = host.urls.get(url) ?? this.addUrl(host, url, nowMs);
    if (watched === undefined) return 'full';
    watched.wantedMs = nowMs;
    host.wantedMs = nowMs;
    this.hosts.delete(host.name);
    this.hosts.set(host.name, host);
    return 'watched';
  }

  /** Forgets what was not claimed for long. */
  purge(nowMs: number): void {
    for (const host of this.hosts.values()) {
      for (const { url, wantedMs } of host.urls.values())
        if (nowMs - wantedMs > this.options.keepMs) this.dropUrl(host, url);
      if (host.urls.size === 0 && !host.isAsking) this.hosts.delete(host.name);
    }
  }

  /** undefined while all the others are claimed as much. */
  private add(name: string, nowMs: number): WatchedHost | undefined {
    if (this.hosts.size >= this.options.maxHosts) {
      const oldest = this.hosts.values().next().value;
      if (oldest === undefined || oldest.isAsking || oldest.wantedMs >= nowMs) return undefined;
      for (const url of oldest.urls.keys()) this.urls.delete(url);
      this.hosts.delete(oldest.name);
    }
    const host: WatchedHost = {
      name,
      urls: new Map(),
      wantedMs: nowMs,
      nextMs: nowMs,
      dueMs: nowMs,
      isAsking: false,
      failures: 0,
      wasAlive: undefined,
      turns: 0,
    };
    this.hosts.set(name, host);
    return host;
  }

  /** Of too many URLs the one found dead longest ago makes room: who invents paths does not keep a real one out for good. */
  private addUrl(host: WatchedHost, url: string, nowMs: number): WatchedUrl | undefined {
    if (host.urls.size >= MAX_URLS_PER_HOST) {
      const dead = [...host.urls.values()].filter(({ found }) => found?.isHealthy === false);
      const oldest = dead.sort((a, b) => (a.askedMs ?? 0) - (b.askedMs ?? 0))[0];
      if (oldest === undefined) return undefined;
      this.dropUrl(host, oldest.url);
    }
    const watched: WatchedUrl = { url, wantedMs: nowMs, askedMs: undefined, found: undefined };
    host.urls.set(url, watched);
    this.urls.set(url, host);
    return watched;
  }

  private dropUrl(host: WatchedHost, url: string): void {
    host.urls.delete(url);
    this.urls.delete(url);
  }
}

/** What is known of a URL now. */
export function stateOf(watched: WatchedUrl | undefined, nowMs: number): DataHubState {
  if (watched?.found === undefined || watched.found.untilMs <= nowMs) return 'unknown';
  return watched.found.isHealthy ? 'healthy' : 'unhealthy';
}

/**
 * The URL of a host to ask next, of those that somebody claims: in every second turn one that is healthy, so that invented paths neither keep a
 * real one from being asked again nor are kept from being asked at all; else the one not asked longest.
 */
export function nextUrl(host: WatchedHost, nowMs: number): WatchedUrl | undefined {
  const wanted = [...host.urls.values()].filter(({ wantedMs }) => wantedMs >= host.wantedMs);
  const isHealthy = (watched: WatchedUrl) => stateOf(watched, nowMs) === 'healthy';
  const isHealthyTurn = host.turns % 2 === 0;
  const preferred = wanted.filter((watched) => isHealthy(watched) === isHealthyTurn);
  const from = preferred.length > 0 ? preferred : wanted;
  return from.sort((a, b) => (a.askedMs ?? -1) - (b.askedMs ?? -1))[0];
}

/** undefined for what is no URL of a DataHub. */
function hostName(url: string): string | undefined {
  if (url.length > MAX_URL_CHARS) return undefined;
  const parsed = URL.parse(url);
  const isHttp = parsed?.protocol === 'http:' || parsed?.protocol === 'https:';
  return parsed !== null && isHttp && parsed.hostname !== '' ? machineOf(plainHost(parsed.hostname)) : undefined;
}
