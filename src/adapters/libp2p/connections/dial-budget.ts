// How often this node dials one machine on the word of others. The DHT, other peers, identify and AutoNAT name addresses
// that nobody proved, and any number of peer IDs at the same one. So every dial, whoever began it, takes from the
// budgets of its machine and of its port there, whatever peer it looks for, and a machine where dials fail has a
// cool-down. An address where this node reached the very peer has a budget of its own, so that what others invent about
// the machine does not keep the two apart. The operator's own addresses are excepted: the dialer has a back-off for each.
import type { Connection, DialTransportOptions } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import { LRUCache } from 'lru-cache';
import { type BackoffTimes, backoffMs } from '../../../lib/backoff.ts';
import { type Rate, TokenBucket } from '../../../lib/token-bucket.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';
import { machineGroup } from './remote-address.ts';

export type Dial = (address: Multiaddr, options: DialTransportOptions) => Promise<Connection>;

interface Limits {
  readonly rate: Rate;
  /** Failures in a row before the first cool-down. Hole punching may fail four times at one port. */
  readonly freeFailures: number;
  /** The first is doubled with each further failure. */
  readonly coolDown: BackoffTimes;
  /** Those dialled longest ago are forgotten. */
  readonly max: number;
}

/** A machine may hold a data center's nodes behind one IP, and invented ones beside them. */
export const PER_MACHINE: Limits = {
  rate: { perSecond: 1, burst: 60 },
  freeFailures: 12,
  coolDown: { firstMs: 5000, lastMs: 20_000 },
  max: 8000,
};
export const PER_PORT: Limits = {
  rate: { perSecond: 10 / 60, burst: 10 },
  freeFailures: 4,
  coolDown: { firstMs: 5000, lastMs: 2 * 60_000 },
  max: 16_000,
};
const MAX_REACHED = 4000;
const REFUSED = 'EDIALREFUSED';
/** A dial that its caller gave up sooner than this says nothing about the machine. */
const TOO_SOON_MS = 1000;

interface Target {
  readonly bucket: TokenBucket;
  /** In a row. */
  failures: number;
  untilMs: number;
  /** When the latest cool-down began. */
  restedMs: number;
}

export interface DialBudgetDependencies {
  readonly metrics: Metrics;
  /** Monotonic. */
  readonly nowMs: () => number;
  readonly isExempt: (address: Multiaddr) => boolean;
}

export class DialBudget {
  private readonly deps: DialBudgetDependencies;
  private readonly refused: Counter;
  private readonly machines = new LRUCache<string, Target>({ max: PER_MACHINE.max });
  private readonly ports = new LRUCache<string, Target>({ max: PER_PORT.max });
  /** Addresses with the ID of the peer that was reached there. */
  private readonly reached = new LRUCache<string, Target>({ max: MAX_REACHED });

  constructor(deps: DialBudgetDependencies) {
    this.deps = deps;
    const { metrics } = deps;
    this.refused = metrics.counter(
      'teranode_p2p_dials_refused_total',
      'Dials not made because the machine (IPv4, IPv6 /64 or domain) or its port was dialed too often, or is in a cool-down',
      ['reason'],
    );
    for (const reason of ['machine_rate', 'machine_cool_down', 'port_rate', 'port_cool_down'])
      this.refused.add(0, { reason });
    const name = 'teranode_p2p_dial_budgets';
    const help = 'Machines, and ports of machines, dialed on the word of others lately';
    for (const [kind, targets] of [
      ['machine', this.machines],
      ['port', this.ports],
      ['reached', this.reached],
    ] as const)
      gaugeWithBound(metrics, { name, help, labels: { kind } }, () => targets.size, targets.max);
  }

  isExempt(address: Multiaddr): boolean {
    return this.deps.isExempt(address);
  }

  /** The dial within the budgets: it rejects with code EDIALREFUSED, and dials nobody, when one is used up. */
  limited(dial: Dial): Dial {
    return async (address, options) => {
      const begunMs = this.deps.nowMs();
      const targets = this.take(address, begunMs);
      try {
        const connection = await dial(address, options);
        for (const [target] of targets) target.failures = 0;
        if (hasPeerId(address)) targetOf(this.reached, address.toString(), PER_PORT, this.deps.nowMs());
        return connection;
      } catch (error) {
        const wasCut = options.signal.aborted && this.deps.nowMs() - begunMs < TOO_SOON_MS;
        if (!wasCut) for (const [target, limits] of targets) this.failed(target, limits, begunMs);
        throw error;
      }
    };
  }

  private take(address: Multiaddr, nowMs: number): readonly (readonly [Target, Limits])[] {
    const own = this.reached.get(address.toString());
    if (own !== undefined) return this.takeAll([['port', own, PER_PORT]], address, nowMs);
    const machine = machineGroup(address);
    const port = address.getComponents().find(({ name }) => name === 'tcp')?.value;
    const machineTarget = targetOf(this.machines, machine, PER_MACHINE, nowMs);
    const portTarget = targetOf(this.ports, `${machine} ${port}`, PER_PORT, nowMs);
    const targets = [
      ['machine', machineTarget, PER_MACHINE],
      ['port', portTarget, PER_PORT],
    ] as const;
    return this.takeAll(targets, address, nowMs);
  }

  private takeAll(
    targets: readonly (readonly [kind: string, Target, Limits])[],
    address: Multiaddr,
    nowMs: number,
  ): readonly (readonly [Target, Limits])[] {
    for (const [kind, { untilMs }] of targets) if (nowMs < untilMs) throw this.refusal(`${kind}_cool_down`, address);
    for (const [kind, { bucket }] of targets)
      if (bucket.available(nowMs) < 1) throw this.refusal(`${kind}_rate`, address);
    for (const [, { bucket }] of targets) bucket.take(nowMs);
    return targets.map(([, target, limits]) => [target, limits]);
  }

  private refusal(reason: string, address: Multiaddr): Error {
    this.refused.add(1, { reason });
    return Object.assign(new Error(`not dialed: ${reason} of ${address.toString().slice(0, 100)}`), {
      code: REFUSED,
    });
  }

  /** Dials that began before a cool-down and fail later make it no longer. */
  private failed(target: Target, { freeFailures, coolDown }: Limits, begunMs: number): void {
    if (begunMs <= target.restedMs) return;
    target.failures += 1;
    const ms = backoffMs(coolDown, target.failures - freeFailures + 1);
    if (ms === 0) return;
    target.restedMs = this.deps.nowMs();
    target.untilMs = target.restedMs + ms;
  }
}

function targetOf(targets: LRUCache<string, Target>, key: string, { rate }: Limits, nowMs: number): Target {
  const known = targets.get(key);
  if (known !== undefined) return known;
  const target = { bucket: new TokenBucket(rate, nowMs), failures: 0, untilMs: 0, restedMs: Number.NEGATIVE_INFINITY };
  targets.set(key, target);
  return target;
}

function hasPeerId(address: Multiaddr): boolean {
  return address.getComponents().some(({ name }) => name === 'p2p');
}

/** Whether an error of a dial says that no address was dialed at all. */
export function wasNotDialed(error: unknown): boolean {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every(wasNotDialed);
  return error instanceof Error && 'code' in error && error.code === REFUSED;
}
