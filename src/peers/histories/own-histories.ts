// Experiences with peers, kept by this node itself: where the blockchain service has no peer registry. Bounded in number
// and age; connected and banned peers stay as long as others can go.
import { rename } from 'node:fs/promises';
import type { PeerId } from '../../domain/ids.ts';
import type { PeerEvent, PeerHistory } from '../../domain/peer-history.ts';
import { type Repeating, repeating } from '../../lib/repeating.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../ports/metrics.ts';
import type { PeerHistories } from '../../ports/peer-histories.ts';
import { afterAnotherChance, afterEvent, afterReset, newHistory } from './after-event.ts';
import { readHistories, type StoredHistory, writeHistories } from './history-file.ts';
import { deservesAnotherChance } from './reputation.ts';

export interface OwnHistoriesDependencies {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Whether the peer is connected or banned. */
  readonly isKept: (peerId: PeerId) => boolean;
}

export interface OwnHistoriesOptions {
  readonly file: string;
  /** `p2p_peer_registry_max_size`. */
  readonly maxPeers: number;
  /** `p2p_peer_registry_ttl`, since the last experience or connection. */
  readonly ttlMs: number;
  /** `p2p_peer_registry_cleanup_interval`. */
  readonly cleanupIntervalMs: number;
  /** `p2p_full_storage_penalty_duration`. */
  readonly fullStoragePenaltyMs: number;
}

const SAVE_INTERVAL_MS = 60_000;

export class OwnHistories implements PeerHistories {
  private readonly deps: OwnHistoriesDependencies;
  private readonly options: OwnHistoriesOptions;
  private readonly evicted: Counter;
  /** Least recently used first. */
  protected readonly peers = new Map<PeerId, StoredHistory>();
  private readonly loops: Repeating[] = [];
  private isChanged = false;
  private saving: Promise<void> = Promise.resolve();

  constructor(deps: OwnHistoriesDependencies, options: OwnHistoriesOptions) {
    this.deps = deps;
    this.options = options;
    const name = 'teranode_p2p_peer_histories';
    gaugeWithBound(
      deps.metrics,
      { name, help: 'Peers with a history of experiences kept by this node' },
      () => this.peers.size,
      options.maxPeers,
    );
    this.evicted = deps.metrics.counter(`${name}_evicted_total`, 'Peer histories evicted, by reason', ['reason']);
  }

  async start(): Promise<void> {
    await this.load();
    const { cleanupIntervalMs } = this.options;
    const failed = (error: unknown) => this.deps.log.warn({ err: error }, 'failed to maintain peer histories');
    this.loops.push(
      repeating(() => this.save(), { firstMs: SAVE_INTERVAL_MS, nextMs: () => SAVE_INTERVAL_MS }, failed),
      repeating(async () => this.purge(), { firstMs: cleanupIntervalMs, nextMs: () => cleanupIntervalMs }, failed),
    );
  }

  async stop(): Promise<void> {
    for (const loop of this.loops.splice(0)) loop.stop();
    await this.save();
  }

  historyOf(peerId: PeerId): PeerHistory | undefined {
    return this.peers.get(peerId)?.history;
  }

  histories(): readonly PeerHistory[] {
    return [...this.peers.values()].map(({ history }) => history);
  }

  async record(peerId: PeerId, event: PeerEvent): Promise<void> {
    const nowMs = this.deps.clock.now();
    const { fullStoragePenaltyMs } = this.options;
    const history = this.historyOf(peerId) ?? newHistory(peerId);
    this.put({ history: afterEvent(history, event, { nowMs, fullStoragePenaltyMs }), seenMs: nowMs });
    this.evict();
  }

  async reset(peerId: PeerId | undefined): Promise<number> {
    return this.changeAll((history) =>
      peerId === undefined || history.id === peerId ? afterReset(history) : undefined,
    );
  }

  async reconsider(cooldownMs: number): Promise<number> {
    const nowMs = this.deps.clock.now();
    return this.changeAll((history) =>
      deservesAnotherChance(history, cooldownMs, nowMs) ? afterAnotherChance(history, nowMs) : undefined,
    );
  }

  async clearSyncAttempts(): Promise<number> {
    return this.changeAll((history) =>
      history.lastSyncAttemptMs === undefined ? undefined : { ...history, lastSyncAttemptMs: undefined },
    );
  }

  keptBy(): 'this node' {
    return 'this node';
  }

  /** Evicts histories older than their time to live; for connected and banned peers the time starts again. */
  purge(): void {
    const nowMs = this.deps.clock.now();
    for (const [peerId, stored] of this.peers) {
      if (this.deps.isKept(peerId)) {
        this.peers.set(peerId, { ...stored, seenMs: nowMs });
        this.isChanged = true;
      } else if (nowMs - stored.seenMs > this.options.ttlMs) this.remove(peerId, 'expired');
    }
  }

  /** Writes the file when something changed; one write at a time. Failures are logged. */
  async save(): Promise<void> {
    this.saving = this.saving.then(() => this.write());
    await this.saving;
  }

  private async write(): Promise<void> {
    if (!this.isChanged) return;
    this.isChanged = false;
    const { file } = this.options;
    try {
      await writeHistories(file, [...this.peers.values()].reverse());
    } catch (error) {
      this.isChanged = true;
      this.deps.log.warn({ file, err: error }, 'failed to write peer histories');
    }
  }

  private async load(): Promise<void> {
    const { file, fullStoragePenaltyMs } = this.options;
    try {
      const times = { nowMs: this.deps.clock.now(), maxPenaltyMs: fullStoragePenaltyMs };
      const { stored, dropped } = (await readHistories(file, times)) ?? { stored: [], dropped: 0 };
      for (const each of stored.toReversed()) this.peers.set(each.history.id, each);
      if (dropped > 0) this.deps.log.warn({ file, dropped }, 'ignored entries of peer histories');
    } catch (error) {
      const aside = `${file}.damaged`;
      const isMoved = await rename(file, aside).then(
        () => true,
        () => false,
      );
      this.deps.log.warn({ file, err: error, ...(isMoved ? { movedTo: aside } : {}) }, 'failed to read peer histories');
    }
    this.purge();
    this.evict();
  }

  private put(stored: StoredHistory): void {
    const { id } = stored.history;
    this.peers.delete(id);
    this.peers.set(id, stored);
    this.isChanged = true;
  }

  private evict(): void {
    while (this.peers.size > this.options.maxPeers) {
      const peerId = this.firstToEvict();
      if (peerId === undefined) return;
      this.remove(peerId, 'full');
    }
  }

  /** The least recently used; connected and banned ones only when there are no others. */
  private firstToEvict(): PeerId | undefined {
    let oldest: PeerId | undefined;
    for (const peerId of this.peers.keys()) {
      if (!this.deps.isKept(peerId)) return peerId;
      oldest ??= peerId;
    }
    return oldest;
  }

  private remove(peerId: PeerId, reason: 'full' | 'expired'): void {
    this.peers.delete(peerId);
    this.evicted.add(1, { reason });
    this.isChanged = true;
  }

  /** `change` returns undefined for what stays as it is. Resolves with the number of changes. */
  private changeAll(change: (history: PeerHistory) => PeerHistory | undefined): number {
    let changed = 0;
    for (const [peerId, { history, seenMs }] of this.peers) {
      const next = change(history);
      if (next === undefined) continue;
      this.peers.set(peerId, { history: next, seenMs });
      changed += 1;
    }
    if (changed > 0) this.isChanged = true;
    return changed;
  }
}
