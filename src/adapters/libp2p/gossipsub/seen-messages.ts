// IDs of the messages seen within the last two minutes; they reveal a duplicate before its signature is verified. Kept
// in generations, so that forgetting costs nothing, and bounded in number, so that a flood cannot fill memory.
import type { Clock } from '../../../ports/clock.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';

export interface SeenMessagesOptions {
  /** An ID is kept at least this long, and at most a third longer, unless there are too many. */
  readonly keepMs: number;
  /** Maximum number of IDs; beyond it the oldest generation is forgotten early. */
  readonly maxIds: number;
}

/** The current generation and the three before it. */
const GENERATIONS = 4;

export class SeenMessages {
  private readonly clock: Clock;
  private readonly options: SeenMessagesOptions;
  private readonly evicted: Counter;
  private generations: Set<string>[] = [new Set()];
  private bornAtMs: number;

  constructor(deps: { readonly clock: Clock; readonly metrics: Metrics }, options: SeenMessagesOptions) {
    this.clock = deps.clock;
    this.options = options;
    this.bornAtMs = deps.clock.monotonic();
    this.evicted = deps.metrics.counter(
      'teranode_p2p_seen_evicted_total',
      'Message IDs forgotten early because there were too many',
    );
    gaugeWithBound(
      deps.metrics,
      { name: 'teranode_p2p_seen_entries', boundName: 'teranode_p2p_seen_bound', help: 'Message IDs remembered' },
      () => this.size,
      options.maxIds,
    );
  }

  get size(): number {
    return this.generations.reduce((sum, generation) => sum + generation.size, 0);
  }

  has(id: string): boolean {
    for (const generation of this.generations) if (generation.has(id)) return true;
    return false;
  }

  put(id: string): void {
    const current = this.generations[0];
    if (current === undefined || current.size >= this.options.maxIds / GENERATIONS) this.beginGeneration('full');
    this.generations[0]?.add(id);
  }

  /** Called at each heartbeat of gossipsub: begins a new generation when it is time. */
  prune(): void {
    if (this.clock.monotonic() - this.bornAtMs >= this.options.keepMs / (GENERATIONS - 1)) this.beginGeneration('time');
  }

  clear(): void {
    this.generations = [new Set()];
  }

  private beginGeneration(reason: 'time' | 'full'): void {
    this.bornAtMs = this.clock.monotonic();
    this.generations.unshift(new Set());
    const oldest = this.generations.length > GENERATIONS ? this.generations.pop() : undefined;
    if (reason === 'full' && oldest !== undefined) this.evicted.add(oldest.size);
  }
}
