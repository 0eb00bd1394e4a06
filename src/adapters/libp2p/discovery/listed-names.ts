// Listed `/dnsaddr/<host>` addresses stand for peers that may change: a name is resolved at start, and again when none of
// its peers can be reached, but not more often than once a minute.
import { backoffMs } from '../../../lib/backoff.ts';
import { type Repeating, repeating } from '../../../lib/repeating.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Counter } from '../../../ports/metrics.ts';

/** Operators list a handful. */
const MAX_NAMES = 64;
const CHECK_INTERVAL_MS = 1000;
/** After a lookup that brought addresses. */
const RESOLVE_AGAIN_MS = 60_000;
/** After a lookup that brought none. */
const BACKOFF = { firstMs: 5000, lastMs: 60_000 } as const;

interface ListedName {
  readonly address: string;
  nextAtMs: number;
  failures: number;
  isResolved: boolean;
}

export interface ListedNamesDependencies {
  readonly log: Logger;
  readonly lookups: Counter;
  readonly nowMs: () => number;
  /** Addresses of peers. Settles within its own deadline. */
  readonly resolve: (address: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** What a name resolved to. */
  readonly resolved: (name: string, addresses: readonly string[]) => void;
  /** True when all peers of the name were dialled in vain. */
  readonly hasFailed: (name: string) => boolean;
}

export class ListedNames {
  private readonly deps: ListedNamesDependencies;
  private readonly names: readonly ListedName[];
  private loop: Repeating | undefined;

  constructor(deps: ListedNamesDependencies, addresses: readonly string[]) {
    this.deps = deps;
    this.names = [...new Set(addresses)]
      .slice(0, MAX_NAMES)
      .map((address) => ({ address, nextAtMs: 0, failures: 0, isResolved: false }));
  }

  start(): void {
    if (this.names.length === 0) return;
    this.loop ??= repeating(
      (signal) => this.resolveDue(signal),
      { firstMs: 0, nextMs: () => CHECK_INTERVAL_MS },
      (error) => this.deps.log.warn({ err: error }, 'failed to resolve listed names'),
    );
  }

  stop(): void {
    this.loop?.stop();
  }

  private async resolveDue(signal: AbortSignal): Promise<void> {
    const nowMs = this.deps.nowMs();
    const due = this.names.filter(
      ({ address, nextAtMs, isResolved }) => nowMs >= nextAtMs && (!isResolved || this.deps.hasFailed(address)),
    );
    await Promise.all(due.map((name) => this.resolve(name, signal)));
  }

  private async resolve(name: ListedName, signal: AbortSignal): Promise<void> {
    const { log, lookups, nowMs, resolve, resolved } = this.deps;
    const { address } = name;
    let found: readonly string[] = [];
    let error: unknown;
    try {
      found = await resolve(address, signal);
    } catch (cause) {
      error = cause;
    }
    if (signal.aborted) return;
    const outcome = error !== undefined ? 'failed' : found.length === 0 ? 'empty' : 'resolved';
    lookups.add(1, { outcome });
    if (outcome === 'resolved') {
      log.info({ address, peers: found.length }, 'resolved listed name');
      Object.assign(name, { failures: 0, isResolved: true, nextAtMs: nowMs() + RESOLVE_AGAIN_MS });
      resolved(address, found);
      return;
    }
    name.failures += 1;
    name.nextAtMs = nowMs() + backoffMs(BACKOFF, name.failures);
    const level = name.failures === 1 ? 'warn' : 'debug';
    log[level](
      { address, err: error },
      outcome === 'empty' ? 'listed name has no peers' : 'failed to resolve listed name',
    );
  }
}
