// DataHubs without a network: what a host answers is set by hand, and who was asked when is written down.
import type { Clock } from '../../src/ports/clock.ts';
import type { DataHubProber, DataHubVerdict, ProbeRule } from '../../src/ports/datahub-prober.ts';

export const ALIVE: DataHubVerdict = { outcome: 'alive', reason: 'answered', details: 'status 200' };
export const DEAD: DataHubVerdict = { outcome: 'dead', reason: 'status', details: 'status 500' };
const STOPPED: DataHubVerdict = { outcome: 'postponed', reason: 'aborted', details: 'stopped' };

export interface Asked {
  readonly url: string;
  readonly host: string;
  readonly addresses: readonly string[];
  readonly atMs: number;
}

type Behaviour = DataHubVerdict | 'hangs' | { readonly redirectsTo: string };

export class FakeProber implements DataHubProber {
  /** Requests that were made, redirected ones included. */
  readonly asked: Asked[] = [];
  readonly visits: string[] = [];
  /** Most visits at one time. */
  peak = 0;
  private running = 0;
  private readonly clock: Clock;
  private readonly behaviours = new Map<string, Behaviour>();
  private readonly addresses = new Map<string, readonly string[]>();
  private readonly hanging = new Set<(verdict: DataHubVerdict) => void>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** By URL or by host; everybody else is alive. */
  set(urlOrHost: string, behaviour: Behaviour): void {
    this.behaviours.set(urlOrHost, behaviour);
  }

  resolves(host: string, addresses: readonly string[]): void {
    this.addresses.set(host, addresses);
  }

  /** Ends all visits that hang. */
  release(verdict: DataHubVerdict = DEAD): void {
    for (const end of this.hanging) end(verdict);
    this.hanging.clear();
  }

  async probe(url: string, signal: AbortSignal, rule: ProbeRule = () => 'ask'): Promise<DataHubVerdict> {
    this.visits.push(url);
    this.running += 1;
    this.peak = Math.max(this.peak, this.running);
    try {
      return await this.visit(url, signal, rule);
    } finally {
      this.running -= 1;
    }
  }

  private async visit(url: string, signal: AbortSignal, rule: ProbeRule): Promise<DataHubVerdict> {
    const host = new URL(url).hostname;
    const addresses = this.addresses.get(host) ?? [`address of ${host}`];
    const leave = rule({ host, addresses });
    if (leave !== 'ask') return { outcome: leave, reason: 'rule', details: 'not asked' };
    this.asked.push({ url, host, addresses, atMs: this.clock.monotonic() });
    const behaviour = this.behaviours.get(url) ?? this.behaviours.get(host) ?? ALIVE;
    if (behaviour === 'hangs') return await this.hang(signal);
    return 'redirectsTo' in behaviour ? await this.visit(behaviour.redirectsTo, signal, rule) : behaviour;
  }

  private async hang(signal: AbortSignal): Promise<DataHubVerdict> {
    const { promise, resolve } = Promise.withResolvers<DataHubVerdict>();
    this.hanging.add(resolve);
    signal.addEventListener('abort', () => resolve(STOPPED), { once: true });
    return await promise;
  }
}
