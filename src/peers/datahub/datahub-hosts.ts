// The DataHub URLs that peers claim, by host: which is checked next, the last result, and how long it holds. Bounded
// whatever peers claim. No I/O.
import { machineOf, plainHost } from '../../wire/public-address.ts';

export type DataHubState = 'unknown' | 'healthy' | 'unhealthy';

export interface WatchedUrl {
  readonly url: string;
  /** Monotonic ms at which it was last claimed, and last checked. */
  wantedMs: number;
  askedMs: number | undefined;
  found: { readonly isHealthy: boolean; readonly untilMs: number } | undefined;
}

export interface WatchedHost {
  readonly name: string;
  readonly urls: Map<string, WatchedUrl>;
  wantedMs: number;
  /** Not checked before this; among the hosts that may be checked, the longest overdue comes first. */
  nextMs: number;
  dueMs: number;
  isAsking: boolean;
  /** Failed checks in a row since one of its URLs answered. */
  failures: number;
  wasAlive: boolean | undefined;
  /** Number of checks, to alternate between URLs. */
  turns: number;
}

export interface HostsOptions {
  readonly maxHosts: number;
  /** A URL that nobody claims any more is removed after this time. */
  readonly keepMs: number;
}

/** Maximum number of URLs (paths and ports) per host: a machine rarely serves more than two. */
export const MAX_URLS_PER_HOST = 8;
const MAX_URL_CHARS = 2048;

export class DataHubHosts {
  private readonly options: HostsOptions;
  /** Least recently claimed first. */
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

  /** Records a claim; otherwise the reason why it is not checked. */
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

  /** Removes URLs that were not claimed for `keepMs`. */
  purge(nowMs: number): void {
    for (const host of this.hosts.values()) {
      for (const { url, wantedMs } of host.urls.values())
        if (nowMs - wantedMs > this.options.keepMs) this.dropUrl(host, url);
      if (host.urls.size === 0 && !host.isAsking) this.hosts.delete(host.name);
    }
  }

  /** undefined when the table is full and all hosts in it were claimed in this round. */
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

  /** A full host evicts the URL that failed longest ago, so that invented paths cannot keep a real one out for good. */
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

/** The state of a URL now. */
export function stateOf(watched: WatchedUrl | undefined, nowMs: number): DataHubState {
  if (watched?.found === undefined || watched.found.untilMs <= nowMs) return 'unknown';
  return watched.found.isHealthy ? 'healthy' : 'unhealthy';
}

/**
 * The claimed URL of a host to check next: a healthy one in every second check, otherwise the one not checked for
 * longest. Invented paths can neither displace a real URL nor go unchecked.
 */
export function nextUrl(host: WatchedHost, nowMs: number): WatchedUrl | undefined {
  const wanted = [...host.urls.values()].filter(({ wantedMs }) => wantedMs >= host.wantedMs);
  const isHealthy = (watched: WatchedUrl) => stateOf(watched, nowMs) === 'healthy';
  const isHealthyTurn = host.turns % 2 === 0;
  const preferred = wanted.filter((watched) => isHealthy(watched) === isHealthyTurn);
  const from = preferred.length > 0 ? preferred : wanted;
  return from.sort((a, b) => (a.askedMs ?? -1) - (b.askedMs ?? -1))[0];
}

/** undefined for a text that is not an http or https URL. */
function hostName(url: string): string | undefined {
  if (url.length > MAX_URL_CHARS) return undefined;
  const parsed = URL.parse(url);
  const isHttp = parsed?.protocol === 'http:' || parsed?.protocol === 'https:';
  return parsed !== null && isHttp && parsed.hostname !== '' ? machineOf(plainHost(parsed.hostname)) : undefined;
}
