// One request a machine and interval, whatever name it goes by: names and the addresses behind them are charged alike, so that a thousand names
// of one address are one machine too.
import type { Clock } from '../../ports/clock.ts';
import { machineOf } from '../../wire/public-address.ts';

export interface HostBudgetOptions {
  readonly intervalMs: number;
  /** Names and addresses charged at one time; beyond it nothing is granted. */
  readonly maxEntries: number;
}

export class HostBudget {
  private readonly clock: Clock;
  private readonly options: HostBudgetOptions;
  /** Machine to the monotonic ms at which it is free again; as the interval is one, the first free stands first. */
  private readonly charged = new Map<string, number>();

  constructor(deps: { readonly clock: Clock }, options: HostBudgetOptions) {
    this.clock = deps.clock;
    this.options = options;
  }

  get size(): number {
    return this.charged.size;
  }

  isFree(host: string): boolean {
    return !((this.charged.get(machineOf(host)) ?? 0) > this.clock.monotonic());
  }

  /** Charges all of these, or none of them when one is not free. */
  take(hosts: readonly string[]): boolean {
    this.release();
    const machines = new Set(hosts.map(machineOf));
    if (this.charged.size + machines.size > this.options.maxEntries || !hosts.every((host) => this.isFree(host)))
      return false;
    const freeMs = this.clock.monotonic() + this.options.intervalMs;
    for (const machine of machines) {
      this.charged.delete(machine);
      this.charged.set(machine, freeMs);
    }
    return true;
  }

  private release(): void {
    const nowMs = this.clock.monotonic();
    for (const [machine, freeMs] of this.charged) {
      if (freeMs > nowMs) return;
      this.charged.delete(machine);
    }
  }
}
