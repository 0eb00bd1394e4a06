// Whether the DataHubs of peers answer (wire.md: every 30 s). Checks run beside the pipeline, few at a time, and no machine is asked twice in an
// interval, whatever peers claim: with every node of a network asking, a URL would else be a weapon (lessons, 6).

import { type Repeating, repeating } from '../../lib/repeating.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DataHubProber, DataHubVerdict, DialRule } from '../../ports/datahub-prober.ts';
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
  /** Between two requests to a machine; default 30 s, as in Go. */
  readonly intervalMs?: number;
  /** Checks at one time; default 4. */
  readonly maxParallel?: number;
  /** Hosts watched, and so requests in an interval; default 1000: more than peers that are connected at a time. */
  readonly maxHosts?: number;
  /** The most that a failing host is left alone; default 10 min. */
  readonly maxBackOffMs?: number;
  /** A healthy state that is not renewed for this long is none; default 5 min. */
  readonly healthyMs?: number;
}

const DEFAULTS = { intervalMs: 30_000, maxParallel: 4, maxHosts: 1000, maxBackOffMs: 600_000, healthyMs: 300_000 };
/** How often claims are read. */
const LOOK_MS = 1000;
/** Part of an interval that is added by chance, so that checks of many nodes do not fall together. */
const JITTER = 0.1;
/** A name and two addresses are charged for each request. */
const CHARGES_A_REQUEST = 3;
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
  /** Checks of hosts that were not alive when last asked. */
  private unproven = 0;
  /** Whose time had come when claims were read last, and who waits for a place. */
  private due: WatchedHost[] = [];
  private loop: Repeating | undefined;

  constructor(deps: DataHubHealthDependencies, options: DataHubHealthOptions = {}) {
    this.deps = deps;
    this.options = { ...DEFAULTS, ...options };
    const { maxHosts, maxBackOffMs, intervalMs } = this.options;
    this.hosts = new DataHubHosts({ maxHosts, keepMs: maxBackOffMs });
    this.budget = new HostBudget(deps, { intervalMs, maxEntries: maxHosts * CHARGES_A_REQUEST });
    const { metrics } = deps;
    this.checks = metrics.counter('teranode_p2p_datahub_checks_total', 'Checks of DataHubs of peers', [
      'outcome',
      'reason',
    ]);
    this.refused = metrics.counter('teranode_p2p_datahub_refused_total', 'Claims of DataHub URLs not watched', [
      'reason',
    ]);
    this.registerGauges();
  }

  /** What `urls` yields is checked from now on, until the returned function is called. Read each second, at most `maxHosts` of it. */
  watch(urls: () => Iterable<string>): () => void {
    this.sources.add(urls);
    return () => this.sources.delete(urls);
  }

  /** As last found; unknown when never asked, or not lately. */
  state(url: string): DataHubState {
    return stateOf(this.hosts.byUrl(url), this.deps.clock.monotonic());
  }

  start(): void {
    if (this.loop !== undefined || this.lifetime.signal.aborted) return;
    const failed = (error: unknown) => this.deps.log.warn({ err: error }, 'DataHub URLs not read');
    this.loop = repeating(async () => this.look(), { firstMs: 0, nextMs: () => LOOK_MS }, failed);
  }

  /** Aborts what runs; may be called twice; bounded in time. */
  async stop(): Promise<void> {
    this.loop?.stop();
    this.lifetime.abort();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, STOP_DEADLINE_MS);
    await Promise.race([Promise.all(this.running), late.promise]);
    clearTimeout(timer);
  }

  /** Reads what is claimed and starts the checks that are due. Done each second once started. */
  look(): void {
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

  /** Those whose time has come, due longest first. */
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

  /** One place is kept for hosts that were alive: those that never answer do not hold up the others. */
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
    // Bad news holds until it is asked again, however long that is put off.
    watched.found = { isHealthy, untilMs: nowMs + (isHealthy ? healthyMs : 2 * maxBackOffMs) };
    host.wasAlive = isHealthy;
    const hasHealthy = [...host.urls.values()].some((each) => stateOf(each, nowMs) === 'healthy');
    host.failures = hasHealthy ? 0 : host.failures + 1;
  }

  /** An interval after the check ended, or longer for a host that keeps failing: 30 s, 60 s, 120 s and so on. */
  private nextMs(host: WatchedHost): number {
    const { intervalMs, maxBackOffMs } = this.options;
    const doubledMs = intervalMs * 2 ** Math.max(0, host.failures - 1);
    const waitMs = Math.max(intervalMs, Math.min(doubledMs, maxBackOffMs));
    return this.deps.clock.monotonic() + waitMs + this.deps.random() * JITTER * intervalMs;
  }

  /** Who may be dialled in this check: each machine once an interval. A redirect within the host is an answer of a host that lives. */
  private ruleFor(host: WatchedHost): DialRule {
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
    gauge('hosts', 'Hosts of DataHub URLs watched', () => this.hosts.size);
    gauge('hosts_bound', 'Hosts of DataHub URLs watched at most', () => maxHosts);
    gauge('checks_running', 'Checks of DataHubs running', () => this.running.size);
    gauge('checks_bound', 'Checks of DataHubs running at most', () => maxParallel);
    gauge('charged', 'Names and addresses asked within the interval', () => this.budget.size);
    gauge('charged_bound', 'The same at most', () => maxHosts * CHARGES_A_REQUEST);
    for (const state of ['healthy', 'unhealthy', 'unknown'] as const) {
      const count = () => this.count((watched) => stateOf(watched, clock.monotonic()) === state);
      metrics.gauge('teranode_p2p_datahub_urls', 'DataHub URLs watched, by state', count, { state });
    }
  }

  private count(matches: (watched: WatchedUrl) => boolean): number {
    let count = 0;
    for (const host of this.hosts.all()) for (const watched of host.urls.values()) if (matches(watched)) count += 1;
    return count;
  }
}
