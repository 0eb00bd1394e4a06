// The DataHub and propagation URLs of the registered peers, each checked now and then: does it lead to the public
// internet, does it answer, has it our genesis block. Bounded in URLs, in requests at a time, and in requests to one
// machine, because peers choose the URLs.
import type { EndpointCheck, EndpointKind, NetworkEndpoint } from '../domain/endpoint.ts';
import type { BlockHash } from '../domain/ids.ts';
import { BoundedMap } from '../lib/bounded-map.ts';
import { type Repeating, repeating } from '../lib/repeating.ts';
import type { Clock } from '../ports/clock.ts';
import type { DataHubAnswer, DataHubClient, FetchedHeader } from '../ports/datahub-client.ts';
import type { Logger } from '../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../ports/metrics.ts';
import { isPrivateHost, plainHost } from '../wire/public-address.ts';
import { HostBudget } from './datahub/host-budget.ts';
import type { PeerRegistry, RegisteredPeer } from './registry.ts';

export interface EndpointDirectoryDependencies {
  readonly registry: Pick<PeerRegistry, 'list'>;
  readonly client: Pick<DataHubClient, 'header'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface EndpointDirectoryOptions {
  readonly genesisHash: BlockHash;
  /** Whether private addresses are requested. */
  readonly allowsPrivate: boolean;
  /** What is wrong with a URL; undefined when it may be requested. */
  readonly urlFault: (url: string) => string | undefined;
  /** Age at which a check is repeated; default 10 min. */
  readonly recheckMs?: number;
  /** Interval of rounds; default 1 s. */
  readonly roundMs?: number;
  /** Called with a URL that was checked. Must not throw. */
  readonly onChecked?: (url: string) => void;
}

/** URLs with a result; the one checked longest ago leaves first. */
export const MAX_CHECKED_URLS = 2000;
/** Rows that `list` returns, connected peers first. */
export const MAX_ENDPOINTS = 2000;
const MAX_PARALLEL = 2;
/** Between two requests to one machine, as of the DataHub checks. */
const MACHINE_INTERVAL_MS = 30_000;
const RECHECK_MS = 600_000;
const ROUND_MS = 1000;
const UNCHECKED: EndpointCheck = {
  public: undefined,
  answers: undefined,
  sameGenesis: undefined,
  reason: 'not checked yet',
  atMs: undefined,
};

interface Result extends EndpointCheck {
  readonly dueMs: number;
}

export class EndpointDirectory {
  private readonly deps: EndpointDirectoryDependencies;
  private readonly options: EndpointDirectoryOptions;
  private readonly results = new BoundedMap<string, Result>({ max: MAX_CHECKED_URLS });
  private readonly budget: HostBudget;
  private readonly running = new Set<string>();
  private readonly ended = new AbortController();
  private readonly checks: Counter;
  private loop: Repeating | undefined;

  constructor(deps: EndpointDirectoryDependencies, options: EndpointDirectoryOptions) {
    this.deps = deps;
    this.options = options;
    this.budget = new HostBudget(deps, { intervalMs: MACHINE_INTERVAL_MS, maxEntries: MAX_CHECKED_URLS });
    const { metrics } = deps;
    this.checks = metrics.counter(
      'teranode_p2p_endpoint_checks_total',
      'Checks of URLs that peers announce, by result',
      ['result'],
    );
    const gauge = { name: 'teranode_p2p_endpoints_checked', help: 'Announced URLs with a result of a check' };
    gaugeWithBound(metrics, gauge, () => this.results.size, MAX_CHECKED_URLS);
  }

  start(): void {
    if (this.loop !== undefined || this.ended.signal.aborted) return;
    const failed = (error: unknown) => this.deps.log.warn({ err: error }, 'failed to check endpoints');
    const { roundMs = ROUND_MS } = this.options;
    this.loop = repeating(async () => this.round(), { firstMs: 0, nextMs: () => roundMs }, failed);
  }

  /** Aborts the running checks. May be called twice. */
  stop(): void {
    this.loop?.stop();
    this.ended.abort();
  }

  /** A row per peer and URL, those of connected peers first. */
  list(): NetworkEndpoint[] {
    const rows: NetworkEndpoint[] = [];
    for (const peer of this.deps.registry.list()) {
      for (const { kind, url } of urlsOf(peer)) {
        if (rows.length === MAX_ENDPOINTS) return rows;
        rows.push(this.endpoint(peer, kind, url));
      }
    }
    return rows;
  }

  /** Starts the checks that are due. Runs every second once started. */
  round(): void {
    const nowMs = this.deps.clock.monotonic();
    for (const peer of this.deps.registry.list()) {
      for (const { kind, url } of urlsOf(peer)) {
        if (this.running.size >= MAX_PARALLEL || this.ended.signal.aborted) return;
        const key = keyOf(kind, url);
        if (this.running.has(key) || (this.results.get(key)?.dueMs ?? 0) > nowMs) continue;
        this.begin(kind, url, key);
      }
    }
  }

  private endpoint(peer: RegisteredPeer, kind: EndpointKind, url: string): NetworkEndpoint {
    const { id: peerId, isConnected, clientName, version, storage, feePolicy, minMiningTxFee } = peer;
    const { dueMs: _dueMs, ...checked } = this.results.get(keyOf(kind, url)) ?? { ...UNCHECKED, dueMs: 0 };
    const says = { clientName, version, storage, feePolicy, minMiningTxFee };
    return {
      ...{ kind, url, peerId, isConnected, ...says, checked },
      height: peer.claimed?.height,
      lastSeenMs: peer.lastMessageMs,
    };
  }

  private begin(kind: EndpointKind, url: string, key: string): void {
    const fault = this.options.urlFault(url);
    if (fault !== undefined) {
      this.found(key, url, { public: fault === 'private' ? false : undefined, answers: undefined, reason: fault });
      return;
    }
    // Another URL of the machine was just asked: this one has its turn later.
    if (!this.budget.take([hostOf(url)])) return;
    this.running.add(key);
    const { client } = this.deps;
    void client.header(url, this.options.genesisHash, this.ended.signal).then((answer) => {
      this.running.delete(key);
      // Aborted by the client: another check of the machine had its turn.
      if (!answer.ok && answer.fault === 'aborted') return;
      if (!this.ended.signal.aborted) this.found(key, url, this.resultOf(kind, url, answer));
    });
  }

  private resultOf(kind: EndpointKind, url: string, answer: DataHubAnswer<FetchedHeader>) {
    const fault = answer.ok ? undefined : answer.fault;
    const answers = fault === undefined || !NO_ANSWER.has(fault);
    return {
      public: this.isPublic(url, answers),
      answers,
      sameGenesis: kind === 'datahub' && answers ? sameGenesis(fault) : undefined,
      // A propagation service has no headers: any answer is a good one.
      reason: fault === undefined || (kind === 'propagation' && answers) ? 'ok' : fault,
    };
  }

  /** The client dials public addresses only, unless private ones are allowed: then names prove nothing. */
  private isPublic(url: string, answers: boolean): boolean | undefined {
    if (isPrivateHost(hostOf(url))) return false;
    return answers && !this.options.allowsPrivate ? true : undefined;
  }

  private found(
    key: string,
    url: string,
    result: Omit<EndpointCheck, 'atMs' | 'sameGenesis'> & Partial<EndpointCheck>,
  ): void {
    const { clock } = this.deps;
    const dueMs = clock.monotonic() + (this.options.recheckMs ?? RECHECK_MS);
    this.results.set(key, { sameGenesis: undefined, ...result, atMs: clock.now(), dueMs });
    this.checks.add(1, { result: result.reason });
    this.options.onChecked?.(url);
  }
}

const NO_ANSWER: ReadonlySet<string> = new Set(['unreachable', 'timeout', 'aborted']);

/** 404 and another header mean no; an error of the server says nothing. */
function sameGenesis(fault: string | undefined): boolean | undefined {
  if (fault === undefined) return true;
  return fault === 'not_found' || fault === 'wrong' ? false : undefined;
}

function urlsOf({
  dataHubUrl,
  propagationUrl,
}: RegisteredPeer): { readonly kind: EndpointKind; readonly url: string }[] {
  return [
    ...(dataHubUrl ? [{ kind: 'datahub' as const, url: dataHubUrl }] : []),
    ...(propagationUrl ? [{ kind: 'propagation' as const, url: propagationUrl }] : []),
  ];
}

function keyOf(kind: EndpointKind, url: string): string {
  return `${kind} ${url}`;
}

function hostOf(url: string): string {
  return plainHost(URL.parse(url)?.hostname ?? '');
}
