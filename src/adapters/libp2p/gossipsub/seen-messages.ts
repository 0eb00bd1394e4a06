// Ids of the messages seen within the last two minutes: what tells a duplicate before its signature is verified. In generations, so that forgetting
// costs nothing, and bounded in number, so that a flood cannot fill memory.
import type { Clock } from '../../../ports/clock.ts';
import type { Counter, Metrics } from '../../../ports/metrics.ts';

export interface SeenMessagesOptions {
  /** An id is kept at least this long, and at most a third longer, unless there are too many. */
  readonly keepMs: number;
  /** Ids kept; beyond it the oldest generation goes early. */
  readonly maxIds: number;
}

/** The current one and the three before it. */
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
      'Message ids forgotten early because there were too many',
    );
    deps.metrics.gauge('teranode_p2p_seen_entries', 'Message ids remembered', () => this.size);
    deps.metrics.gauge('teranode_p2p_seen_bound', 'Message ids remembered at most', () => options.maxIds);
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
    if (current === undefined || current.size >= this.options.maxIds / GENERATIONS) this.turn('full');
    this.generations[0]?.add(id);
  }

  /** Called at each heartbeat of gossip: begins a new generation when it is time. */
  prune(): void {
    if (this.clock.monotonic() - this.bornAtMs >= this.options.keepMs / (GENERATIONS - 1)) this.turn('time');
  }

  clear(): void {
    this.generations = [new Set()];
  }

  private turn(reason: 'time' | 'full'): void {
    this.bornAtMs = this.clock.monotonic();
    this.generations.unshift(new Set());
    const oldest = this.generations.length > GENERATIONS ? this.generations.pop() : undefined;
    if (reason === 'full' && oldest !== undefined) this.evicted.add(oldest.size);
  }
}
