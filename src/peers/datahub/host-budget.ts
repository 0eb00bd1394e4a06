// One request per machine and interval, whatever its name: a request uses up the name and the addresses behind it, so a
// thousand names for one address count as one machine.
import type { Clock } from '../../ports/clock.ts';
import { machineOf } from '../../wire/public-address.ts';

export interface HostBudgetOptions {
  readonly intervalMs: number;
  /** Maximum number of names and addresses in use; when it is reached, no request is granted. */
  readonly maxEntries: number;
}

export class HostBudget {
  private readonly clock: Clock;
  private readonly options: HostBudgetOptions;
  /**
   * Machine -> monotonic ms at which it is free again. All intervals are equal, so the first to be free comes first.
   */
  private readonly busyUntilMs = new Map<string, number>();

  constructor(deps: { readonly clock: Clock }, options: HostBudgetOptions) {
    this.clock = deps.clock;
    this.options = options;
  }

  get size(): number {
    return this.busyUntilMs.size;
  }

  isFree(host: string): boolean {
    return !((this.busyUntilMs.get(machineOf(host)) ?? 0) > this.clock.monotonic());
  }

  /** Takes all of these hosts, or none when one of them is not free. */
  take(hosts: readonly string[]): boolean {
    this.release();
    const machines = new Set(hosts.map(machineOf));
    if (this.busyUntilMs.size + machines.size > this.options.maxEntries || !hosts.every((host) => this.isFree(host)))
      return false;
    const freeMs = this.clock.monotonic() + this.options.intervalMs;
    for (const machine of machines) {
      this.busyUntilMs.delete(machine);
      this.busyUntilMs.set(machine, freeMs);
    }
    return true;
  }

  private release(): void {
    const nowMs = this.clock.monotonic();
    for (const [machine, freeMs] of this.busyUntilMs) {
      if (freeMs > nowMs) return;
      this.busyUntilMs.delete(machine);
    }
  }
}
