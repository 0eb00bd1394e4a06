// Checks whether the DataHubs of peers answer (every 30 s, as in Go). Checks run outside the pipeline, a few at a time,
// and no machine is asked twice within an interval, whatever peers claim: otherwise all nodes of a network could be
// aimed at one URL.

import { backoffMs } from '../../lib/backoff.ts';
import { settledWithin } from '../../lib/deadline.ts';
import { type Repeating, repeating } from '../../lib/repeating.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DataHubProber, DataHubVerdict, ProbeRule } from '../../ports/datahub-prober.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import { machineOf } from '../../wire/public-address.ts';
import {
  DataHubHosts,
  type DataHubState,
  nextUrl,
  stateOf,
  type WatchedHost,
  type WatchedUrl,
} from './datahub-hosts.ts';
import { HostBudget } from './host-budget.ts';

export interface DataHubHealthDependencies {
  readonly prober: DataHubProber;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly random: () => number;
}

export interface DataHubHealthOptions {
  /** Interval between two requests to one machine; default 30 s, as in Go. */
  readonly intervalMs?: number;
  /** Maximum number of concurrent checks; default 4. */
  readonly maxParallel?: number;
  /** Maximum number of hosts, and so of requests per interval; default 1000, more than the connected peers. */
  readonly maxHosts?: number;
  /** Longest interval between checks of a failing host; default 10 min. */
  readonly maxBackOffMs?: number;
  /** Lifetime of a healthy result; default 5 min. */
  readonly healthyMs?: number;
}

const DEFAULTS = { intervalMs: 30_000, maxParallel: 4, maxHosts: 1000, maxBackOffMs: 600_000, healthyMs: 300_000 };
/** Interval at which the claimed URLs are read. */
const READ_INTERVAL_MS = 1000;
/** Share of an interval added at random, so that the checks of many nodes spread out. */
const JITTER = 0.1;
/** Budget entries per request: a name and two addresses. */
const ENTRIES_PER_REQUEST = 3;
const STOP_DEADLINE_MS = 500;

export class DataHubHealth {
  private readonly deps: DataHubHealthDependencies;
  private readonly options: Required<DataHubHealthOptions>;
  private readonly hosts: DataHubHosts;
  private readonly budget: HostBudget;
  private readonly checks: Counter;
  private readonly refused: Counter;
  private readonly sources = new Set<() => Iterable<string>>();
  private readonly running = new Set<Promise<void>>();
  private readonly lifetime = new AbortController();
  /** Running checks of hosts that did not answer the last one. */
  private unproven = 0;
  /** Hosts that were due when the claims were last read and still wait for a free slot. */
  private due: WatchedHost[] = [];
  private loop: Repeating | undefined;

  constructor(deps: DataHubHealthDependencies, options: DataHubHealthOptions = {}) {
    this.deps = deps;
    this.options = { ...DEFAULTS, ...options };
    const { maxHosts, maxBackOffMs, intervalMs } = this.options;
    this.hosts = new DataHubHosts({ maxHosts, keepMs: maxBackOffMs });
    this.budget = new HostBudget(deps, { intervalMs, maxEntries: maxHosts * ENTRIES_PER_REQUEST });
    const { metrics } = deps;
    this.checks = metrics.counter(
      'teranode_p2p_datahub_checks_total',
      'Checks of the DataHubs of peers, by outcome and reason',
      ['outcome', 'reason'],
    );
    this.refused = metrics.counter(
      'teranode_p2p_datahub_refused_total',
      'DataHub URLs claimed by peers that are not checked, by reason',
      ['reason'],
    );
    this.registerGauges();
  }

  /**
   * Checks the URLs that `urls` yields until the returned function is called. They are read every second, at most
   * `maxHosts` of them.
   */
  watch(urls: () => Iterable<string>): () => void {
    this.sources.add(urls);
    return () => this.sources.delete(urls);
  }

  /** The result of the last check; unknown when there is none or it has expired. */
  state(url: string): DataHubState {
    return stateOf(this.hosts.byUrl(url), this.deps.clock.monotonic());
  }

  /** For others that ask the same machines: takes the turn of this one, if nobody asked it within the interval. */
  readonly turnOf: ProbeRule = ({ host, addresses }) => (this.budget.take([host, ...addresses]) ? 'ask' : 'postponed');

  start(): void {
    if (this.loop !== undefined || this.lifetime.signal.aborted) return;
    const failed = (error: unknown) => this.deps.log.warn({ err: error }, 'failed to read DataHub URLs');
    this.loop = repeating(async () => this.round(), { firstMs: 0, nextMs: () => READ_INTERVAL_MS }, failed);
  }

  /** Aborts the running checks. May be called twice; bounded in time. */
  async stop(): Promise<void> {
    this.loop?.stop();
    this.lifetime.abort();
    await settledWithin(this.running, STOP_DEADLINE_MS);
  }

  /** One round: reads the claimed URLs and starts the checks that are due. Runs every second once started. */
  round(): void {
    const nowMs = this.deps.clock.monotonic();
    let left = this.options.maxHosts;
    for (const urls of this.sources) {
      for (const url of urls()) {
        if (left === 0) break;
        left -= 1;
        const outcome = this.hosts.want(url, nowMs);
        if (outcome !== 'watched') this.refused.add(1, { reason: outcome });
      }
    }
    this.hosts.purge(nowMs);
    this.due = this.dueHosts(nowMs);
    this.startDue();
  }

  /** The hosts that are due, longest overdue first. */
  private dueHosts(nowMs: number): WatchedHost[] {
    return [...this.hosts.all()]
      .filter((host) => !host.isAsking && host.nextMs <= nowMs && host.wantedMs >= nowMs)
      .sort((a, b) => a.dueMs - b.dueMs);
  }

  private startDue(): void {
    while (!this.lifetime.signal.aborted && this.running.size < this.options.maxParallel) {
      const at = this.due.findIndex((host) => this.mayStart(host));
      const [host] = at < 0 ? [] : this.due.splice(at, 1);
      if (host === undefined) return;
      this.startCheck(host);
    }
  }

  /** One slot is reserved for hosts that answered last time, so that dead hosts cannot block them. */
  private mayStart(host: WatchedHost): boolean {
    return host.wasAlive === true || this.unproven < Math.max(1, this.options.maxParallel - 1);
  }

  private startCheck(host: WatchedHost): void {
    const watched = nextUrl(host, this.deps.clock.monotonic());
    if (watched === undefined) return;
    const isUnproven = host.wasAlive !== true;
    if (isUnproven) this.unproven += 1;
    host.isAsking = true;
    const check = this.check(host, watched).finally(() => {
      if (isUnproven) this.unproven -= 1;
      host.isAsking = false;
      this.running.delete(check);
      this.startDue();
    });
    this.running.add(check);
  }

  private async check(host: WatchedHost, watched: WatchedUrl): Promise<void> {
    const { clock, prober, log } = this.deps;
    const verdict = await prober
      .probe(watched.url, this.lifetime.signal, this.ruleFor(host))
      .catch((): DataHubVerdict => ({ outcome: 'dead', reason: 'unreachable', details: 'the check failed' }));
    const { outcome, reason, details } = verdict;
    this.checks.add(1, { outcome, reason });
    const before = stateOf(watched, clock.monotonic());
    host.turns += 1;
    watched.askedMs = clock.monotonic();
    if (outcome !== 'postponed') this.found(host, watched, outcome === 'alive');
    host.nextMs = this.nextMs(host);
    if (outcome !== 'postponed') host.dueMs = host.nextMs;
    const after = stateOf(watched, clock.monotonic());
    if (after !== before) log.debug({ url: watched.url, state: after, reason, details }, 'DataHub state changed');
  }

  private found(host: WatchedHost, watched: WatchedUrl, isHealthy: boolean): void {
    const nowMs = this.deps.clock.monotonic();
    const { healthyMs, maxBackOffMs } = this.options;
    // A failure holds until the next check, however late that is.
    watched.found = { isHealthy, untilMs: nowMs + (isHealthy ? healthyMs : 2 * maxBackOffMs) };
    host.wasAlive = isHealthy;
    const hasHealthy = [...host.urls.values()].some((each) => stateOf(each, nowMs) === 'healthy');
    host.failures = hasHealthy ? 0 : host.failures + 1;
  }

  /** One interval after the check ended; longer for a host that keeps failing: 30 s, 60 s, 120 s and so on. */
  private nextMs(host: WatchedHost): number {
    const { intervalMs, maxBackOffMs } = this.options;
    const waitMs = Math.max(intervalMs, backoffMs({ firstMs: intervalMs, lastMs: maxBackOffMs }, host.failures));
    return this.deps.clock.monotonic() + waitMs + this.deps.random() * JITTER * intervalMs;
  }

  /**
   * Which machines this check may dial: each once per interval. A redirect within the host proves that the host is
   * alive.
   */
  private ruleFor(host: WatchedHost): ProbeRule {
    let isFirst = true;
    return (target) => {
      const isRedirect = !isFirst;
      isFirst = false;
      if (isRedirect && machineOf(target.host) === host.name) return 'alive';
      if (this.budget.take([target.host, ...target.addresses])) return 'ask';
      const wasAlive = isRedirect ? this.hosts.byName(target.host)?.wasAlive : undefined;
      if (wasAlive === undefined) return 'postponed';
      return wasAlive ? 'alive' : 'dead';
    };
  }

  private registerGauges(): void {
    const { metrics, clock } = this.deps;
    const { maxHosts, maxParallel } = this.options;
    const gauge = (name: string, help: string, read: () => number) =>
      metrics.gauge(`teranode_p2p_datahub_${name}`, help, read);
    gauge('hosts', 'Hosts whose DataHub URLs are checked', () => this.hosts.size);
    gauge('hosts_bound', 'Maximum number of hosts whose DataHub URLs are checked', () => maxHosts);
    gauge('checks_running', 'DataHub checks running', () => this.running.size);
    gauge('checks_bound', 'Maximum number of concurrent DataHub checks', () => maxParallel);
    gauge('charged', 'Names and addresses that were sent a DataHub check within the interval', () => this.budget.size);
    gauge(
      'charged_bound',
      'Maximum number of names and addresses that are sent a DataHub check within the interval',
      () => maxHosts * ENTRIES_PER_REQUEST,
    );
    for (const state of ['healthy', 'unhealthy', 'unknown'] as const) {
      const count = () => this.count((watched) => stateOf(watched, clock.monotonic()) === state);
      metrics.gauge('teranode_p2p_datahub_urls', 'DataHub URLs of peers, by state', count, { state });
    }
  }

  private count(matches: (watched: WatchedUrl) => boolean): number {
    let count = 0;
    for (const host of this.hosts.all()) for (const watched of host.urls.values()) if (matches(watched)) count += 1;
    return count;
  }
}
