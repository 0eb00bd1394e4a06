// Reports new tips and reorganisations of our own chain, from the best headers that are read of it. Where the new best
// header is no child of the one before, its parents are looked up, one after the other and within a bound. Nothing is
// reported during a catch-up; what it changed is one event, at its end.
import type { ChainEvent, ChainPoint } from '../domain/chain-event.ts';
import type { BlockHash } from '../domain/ids.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { BlockHeaderRecord } from '../ports/blockchain-client.ts';
import type { Logger } from '../ports/log.ts';
import { findForkByCalls, type LinkedPoint, linkedPoint } from './fork.ts';

export interface TipWatchDependencies {
  readonly lookUp: (hash: BlockHash) => Promise<LinkedPoint | undefined>;
  readonly isCatchUp: () => boolean;
  readonly log: Logger;
}

type Listener = (event: ChainEvent) => void;

/** Two weeks of blocks. A fork further below is not searched for, and its reorganisation is not reported. */
const MAX_LOOK_UPS = 2016;
/** After a look-up that failed, unless a best header is read before. */
const RETRY = { firstMs: 1000, lastMs: 60_000 };

export class TipWatch {
  private readonly deps: TipWatchDependencies;
  private readonly listeners = new Set<Listener>();
  private told: LinkedPoint | undefined;
  /** The last best header that was read. */
  private latest: BlockHeaderRecord | undefined;
  private isTelling = false;
  private isStopped = false;
  private failures = 0;
  private retrying: NodeJS.Timeout | undefined;

  constructor(deps: TipWatchDependencies) {
    this.deps = deps;
  }

  /** The listener is called until the returned function is. */
  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.retrying);
  }

  /** To be called with each best header that is read, also with one that was read before. Returns at once. */
  bestRead(record: BlockHeaderRecord): void {
    this.latest = record;
    if (this.isTelling) return;
    void this.tellAll();
  }

  private async tellAll(): Promise<void> {
    this.isTelling = true;
    clearTimeout(this.retrying);
    try {
      await this.tellLatest();
      this.failures = 0;
    } catch (error) {
      this.failures += 1;
      this.deps.log.debug({ err: error }, 'failed to look up the fork of a new tip');
      if (!this.isStopped)
        this.retrying = setTimeout(() => void this.tellAll(), backoffMs(RETRY, this.failures)).unref();
    } finally {
      this.isTelling = false;
    }
  }

  /** After a failure the tip is not reported; the next attempt compares with the same one. */
  private async tellLatest(): Promise<void> {
    for (;;) {
      const { latest, told } = this;
      const to = latest && linkedPoint(latest);
      if (latest === undefined || to === undefined || to.hash === told?.hash) return;
      if (this.isStopped || this.deps.isCatchUp()) return;
      const fork = told === undefined || to.previousHash === told.hash ? told : await this.forkOf(told, to);
      if (this.isStopped) return;
      this.told = to;
      if (told !== undefined && fork !== undefined && fork.hash !== told.hash)
        this.tell({ type: 'reorg', from: point(told), to: point(to), fork });
      this.tell({ type: 'tip', ...point(to), header: latest.header });
    }
  }

  private async forkOf(from: LinkedPoint, to: LinkedPoint): Promise<ChainPoint | undefined> {
    const lookUp = async (hash: BlockHash) => (this.isStopped ? undefined : await this.deps.lookUp(hash));
    const fork = await findForkByCalls([from, to], lookUp, MAX_LOOK_UPS);
    if (fork === undefined) this.deps.log.debug({ from: point(from), to: point(to) }, 'fork of a new tip not found');
    return fork;
  }

  private tell(event: ChainEvent): void {
    for (const listener of this.listeners) {
      try {
        listener(event);
      } catch (error) {
        this.deps.log.error({ event: event.type, err: error }, 'chain listener failed');
      }
    }
  }
}

function point({ hash, height }: ChainPoint): ChainPoint {
  return { hash, height };
}
