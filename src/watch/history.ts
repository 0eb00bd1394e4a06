// What this node keeps of the past: blocks as they were announced, and counts by hour. It is collected in memory and
// written now and then, so that a slow store delays nothing; what a store that is down does not take waits within
// bounds, and is then dropped and counted.
import type { Hash, PeerId } from '../domain/ids.ts';
import type { Notification, NotificationStream } from '../domain/notification.ts';
import { P2PError } from '../lib/errors.ts';
import { pause } from '../lib/pause.ts';
import { type Repeating, repeating } from '../lib/repeating.ts';
import type { Clock } from '../ports/clock.ts';
import type { HistoryBlock, HistoryHour, HistoryMessages, HistoryRange, HistoryStore } from '../ports/history-store.ts';
import type { Logger } from '../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../ports/metrics.ts';
import type { MessageCounts } from './message-counts.ts';

export interface HistoryDependencies {
  readonly store: HistoryStore;
  readonly stream: NotificationStream;
  readonly messages: Pick<MessageCounts, 'take'>;
  /** As they are now. */
  readonly facts: () => Pick<HistoryHour, 'peers' | 'tipHeight' | 'lag'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface HistoryOptions {
  readonly keptDays: number;
  readonly writeMs?: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const WRITE_MS = 15_000;
const PURGE_MS = 600_000;
const PURGE_PAUSE_MS = 20;
/** How long further announcers of a block are counted. */
const OPEN_MS = 600_000;
/** Blocks whose announcers are counted, or that were not written yet. */
const MAX_OPEN = 2000;
const MAX_ANNOUNCERS = 1000;
/** Several times what a chain has; blocks of a test network may cost nothing. */
const MAX_BLOCKS_PER_DAY = 10_000;
/** Hours that a store may be down. */
const MAX_HOURS = 48;
const BLOCKS_PER_WRITE = 200;

type BlockNotification = Extract<Notification, { type: 'block' }>;

interface OpenBlock {
  readonly first: Omit<HistoryBlock, 'announcers'>;
  readonly announcers: Set<PeerId>;
  isWritten: boolean;
}

interface OpenHour {
  facts: ReturnType<HistoryDependencies['facts']>;
  reorgs: number;
  readonly messages: Map<string, HistoryMessages>;
}

export class History {
  private readonly deps: HistoryDependencies;
  private readonly keptMs: number;
  private readonly writeMs: number;
  private readonly blocksOpen = new Map<Hash, OpenBlock>();
  private readonly hoursOpen = new Map<number, OpenHour>();
  private readonly dropped: Counter;
  private readonly writes: Counter;
  private day = { number: 0, blocks: 0 };
  private isOpen = false;
  private wasFailing = false;
  private loops: Repeating[] = [];
  private unsubscribe: (() => void) | undefined;
  /** Of the last regular write. */
  private latestFacts: OpenHour['facts'] | undefined;
  private writing: Promise<void> | undefined;
  private stopping: Promise<void> | undefined;

  constructor(deps: HistoryDependencies, options: HistoryOptions) {
    this.deps = deps;
    this.keptMs = options.keptDays * DAY_MS;
    this.writeMs = options.writeMs ?? WRITE_MS;
    const { metrics } = deps;
    const blocks = { name: 'teranode_p2p_history_open_blocks', help: 'Blocks of the history that are kept in memory' };
    gaugeWithBound(metrics, blocks, () => this.blocksOpen.size, MAX_OPEN);
    this.dropped = metrics.counter(
      'teranode_p2p_history_dropped_total',
      'Blocks and hours that are missing in the history, by kind and reason',
      ['kind', 'reason'],
    );
    this.writes = metrics.counter('teranode_p2p_history_writes_total', 'Writes to the history, by result', ['result']);
  }

  start(): void {
    const { stream, log } = this.deps;
    this.unsubscribe = stream.subscribe((notification) => this.add(notification));
    const failed = (error: unknown) => log.warn({ err: error }, 'history failed');
    this.loops = [
      repeating(() => this.write(), { firstMs: 0, nextMs: () => this.writeMs }, failed),
      repeating(
        (signal) => this.purge(signal),
        { firstMs: this.writeMs, nextMs: () => (this.isOpen ? PURGE_MS : this.writeMs) },
        failed,
      ),
    ];
  }

  /** Writes what is left. May be called twice. */
  stop(): Promise<void> {
    this.stopping ??= this.stopOnce();
    return this.stopping;
  }

  async blocks(range: HistoryRange): Promise<HistoryBlock[]> {
    return await this.opened().blocks(range);
  }

  async hours(range: HistoryRange): Promise<HistoryHour[]> {
    return await this.opened().hours(range);
  }

  private async stopOnce(): Promise<void> {
    this.unsubscribe?.();
    for (const loop of this.loops) loop.stop();
    try {
      await this.write();
    } finally {
      this.isOpen = false;
      await this.deps.store.close();
    }
  }

  private opened(): HistoryStore {
    if (!this.isOpen) throw new P2PError('STORE_UNAVAILABLE', 'the history is not open yet');
    return this.deps.store;
  }

  private add(notification: Notification): void {
    if (notification.type === 'block') this.addBlock(notification);
    else if (notification.type === 'reorg') this.hour().reorgs += 1;
  }

  private addBlock({ hash, height, peerId, clientName, receivedFrom, atMs }: BlockNotification): void {
    const known = this.blocksOpen.get(hash);
    if (known !== undefined) {
      if (known.announcers.has(peerId) || known.announcers.size >= MAX_ANNOUNCERS) return;
      known.announcers.add(peerId);
      known.isWritten = false;
      return;
    }
    if (!this.mayAdd(atMs)) return;
    const first = { hash, height, author: peerId, clientName, receivedFrom, firstSeenMs: atMs };
    this.blocksOpen.set(hash, { first, announcers: new Set([peerId]), isWritten: false });
    if (this.blocksOpen.size <= MAX_OPEN) return;
    const [[oldest, block]] = this.blocksOpen as unknown as [[Hash, OpenBlock]];
    this.blocksOpen.delete(oldest);
    if (!block.isWritten) this.dropped.add(1, { kind: 'block', reason: 'store_unavailable' });
  }

  private mayAdd(atMs: number): boolean {
    const number = Math.floor(atMs / DAY_MS);
    if (number !== this.day.number) this.day = { number, blocks: 0 };
    if (this.day.blocks >= MAX_BLOCKS_PER_DAY) {
      this.dropped.add(1, { kind: 'block', reason: 'daily_bound' });
      return false;
    }
    this.day.blocks += 1;
    return true;
  }

  private hour(): OpenHour {
    const { clock } = this.deps;
    const hourMs = Math.floor(clock.now() / HOUR_MS) * HOUR_MS;
    const hour = this.hoursOpen.get(hourMs) ?? { facts: this.facts(), reorgs: 0, messages: new Map() };
    this.hoursOpen.set(hourMs, hour);
    const [oldest] = this.hoursOpen.keys();
    if (this.hoursOpen.size > MAX_HOURS && oldest !== undefined) {
      this.hoursOpen.delete(oldest);
      this.dropped.add(1, { kind: 'hour', reason: 'store_unavailable' });
    }
    return hour;
  }

  /** During the stop those from before it: the peers are gone by then. */
  private facts(): OpenHour['facts'] {
    if (this.stopping === undefined || this.latestFacts === undefined) this.latestFacts = this.deps.facts();
    return this.latestFacts;
  }

  private takeHour(): void {
    const hour = this.hour();
    hour.facts = this.facts();
    for (const { topic, result, count } of this.deps.messages.take()) {
      const key = `${topic} ${result}`;
      hour.messages.set(key, { topic, result, count: count + (hour.messages.get(key)?.count ?? 0) });
    }
  }

  /** One write at a time; what fails is tried again with the next. */
  private async write(): Promise<void> {
    await this.writing?.catch(() => {});
    this.writing = this.writeOnce();
    await this.writing;
  }

  private async writeOnce(): Promise<void> {
    const { log } = this.deps;
    this.takeHour();
    const hours = [...this.hoursOpen].map(([hourMs, { facts, reorgs, messages }]) => {
      return { hourMs, ...facts, reorgs, messages: [...messages.values()] };
    });
    this.hoursOpen.clear();
    const fresh = [...this.blocksOpen.values()].filter(({ isWritten }) => !isWritten);
    try {
      await this.writeHours(hours);
      await this.writeBlocks(fresh);
      this.writes.add(1, { result: 'ok' });
      if (this.wasFailing) log.info({}, 'history written again');
      this.wasFailing = false;
    } catch (error) {
      this.writes.add(1, { result: 'failed' });
      if (!this.wasFailing) log.warn({ err: error }, 'failed to write the history');
      this.wasFailing = true;
    }
    this.closeOld();
  }

  private async writeHours(hours: readonly HistoryHour[]): Promise<void> {
    const { store } = this.deps;
    try {
      await store.open();
      this.isOpen = true;
      await store.write([], hours);
    } catch (error) {
      this.keep(hours);
      throw error;
    }
  }

  private async writeBlocks(fresh: readonly OpenBlock[]): Promise<void> {
    const { store } = this.deps;
    for (let at = 0; at < fresh.length; at += BLOCKS_PER_WRITE) {
      const some = fresh.slice(at, at + BLOCKS_PER_WRITE);
      const counts = some.map(({ announcers }) => announcers.size);
      await store.write(
        some.map(({ first }, i) => ({ ...first, announcers: counts[i] ?? 1 })),
        [],
      );
      // Announcers that came meanwhile are written with the next.
      some.forEach((block, i) => {
        block.isWritten = block.announcers.size === counts[i];
      });
    }
  }

  /** Hours that were not written come before those that began meanwhile. */
  private keep(hours: readonly HistoryHour[]): void {
    const meanwhile = [...this.hoursOpen];
    this.hoursOpen.clear();
    for (const { hourMs, reorgs, messages, ...facts } of hours) {
      const byKey = messages.map((each) => [`${each.topic} ${each.result}`, each] as const);
      this.hoursOpen.set(hourMs, { facts, reorgs, messages: new Map(byKey) });
    }
    for (const [hourMs, hour] of meanwhile) {
      const kept = this.hoursOpen.get(hourMs);
      if (kept === undefined) this.hoursOpen.set(hourMs, hour);
      else kept.reorgs += hour.reorgs;
    }
  }

  private closeOld(): void {
    const oldestMs = this.deps.clock.now() - OPEN_MS;
    for (const [hash, { first, isWritten }] of this.blocksOpen) {
      if (isWritten && first.firstSeenMs < oldestMs) this.blocksOpen.delete(hash);
    }
  }

  private async purge(signal: AbortSignal): Promise<void> {
    const { store, clock } = this.deps;
    while (this.isOpen && !signal.aborted && (await store.purge(clock.now() - this.keptMs)) === 'more') {
      await pause(PURGE_PAUSE_MS, signal);
    }
  }
}
