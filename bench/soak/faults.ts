// Carries out a plan of faults, each in its time; two that hit the same thing come one after the other.
import type { Wire } from '../receiver-port.ts';
import type { Lab, LinkName } from './lab.ts';
import { FAULTS, type Fault, type FaultKind, type FaultTarget } from './plan.ts';

/** As it happened. */
export interface Injected {
  readonly kind: FaultKind;
  readonly fromMs: number;
  /** When it was undone; undefined while it lasts. */
  toMs: number | undefined;
  readonly detail: string;
}

type Undo = () => Promise<void> | void;
/** Does it; resolves with what to say of it and how to undo it. */
type Injection = (lab: Lab, amount: number) => Promise<readonly [detail: string, undo: Undo]>;

/** Seconds: about an hour off, about a minute, and a little. */
const STEPS = [-3600, -45, -2, 2, 45, 3600];
const MIN_DELAY_MS = 50;
const MAX_DELAY_MS = 550;

function cut(link: LinkName): Injection {
  return async ({ links }) => {
    links[link].setCut(true);
    return ['', () => links[link].setCut(false)];
  };
}

function slow(link: LinkName): Injection {
  return async ({ links }, amount) => {
    const delayMs = Math.round(MIN_DELAY_MS + amount * (MAX_DELAY_MS - MIN_DELAY_MS));
    links[link].setDelay(delayMs);
    return [`${delayMs} ms each way`, () => links[link].setDelay(0)];
  };
}

function leave(wire: Wire): Injection {
  return async (lab) => {
    await lab.dismiss(wire);
    return ['', () => lab.welcome(wire)];
  };
}

const INJECTIONS: Readonly<Record<FaultKind, Injection>> = {
  'broker killed': async ({ broker }) => {
    await broker.kill();
    return ['SIGKILL', () => broker.up()];
  },
  'broker frozen': async ({ broker }) => {
    broker.freeze();
    return ['SIGSTOP', () => broker.thaw()];
  },
  'broker link cut': cut('broker'),
  'broker link slowed': slow('broker'),
  'database killed': async ({ database }) => {
    await database.kill();
    return ['SIGQUIT', () => database.start()];
  },
  'database link cut': cut('database'),
  'database link slowed': slow('database'),
  'services link cut': cut('services'),
  'services frozen': async ({ services }) => {
    services.freeze();
    return ['SIGSTOP', () => services.thaw()];
  },
  'go-p2p links cut': cut('go-p2p'),
  'go-p2p links slowed': slow('go-p2p'),
  'message-bus links cut': cut('message-bus'),
  'message-bus links slowed': slow('message-bus'),
  'peer of go-p2p left': leave('go-p2p'),
  'peer of message-bus left': leave('message-bus'),
  'peer frozen': async ({ publishers }, amount) => {
    const peer = publishers[Math.floor(amount * publishers.length)];
    peer?.freeze();
    return [`SIGSTOP, ${peer?.wire}`, () => peer?.thaw()];
  },
  'clock stepped': async ({ inside }, amount) => {
    const seconds = STEPS[Math.floor(amount * STEPS.length)] ?? 0;
    await inside.step(seconds * 1000);
    return [`${seconds} s`, () => inside.step(0)];
  },
  'disk filled': async ({ disk }) => {
    disk?.fill();
    return ['data folder', () => disk?.free()];
  },
};

export class Faults {
  readonly injected: Injected[] = [];
  private readonly lab: Lab;
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly turns = new Map<FaultTarget, Promise<void>>();
  private readonly failed: (error: Error) => void;
  private stopEarly: () => void = () => {};
  private readonly stopped = new Promise<void>((resolve) => {
    this.stopEarly = resolve;
  });
  private isStopped = false;

  /** `failed`: called when a fault cannot be injected or undone, which says nothing of the server. */
  constructor(lab: Lab, failed: (error: Error) => void) {
    this.lab = lab;
    this.failed = failed;
  }

  begin(plan: readonly Fault[]): void {
    for (const fault of plan) this.timers.push(setTimeout(() => this.schedule(fault), fault.atMs));
  }

  /** Those that last, and those that ended less than this ago. */
  active(withinMs: number): Injected[] {
    const fromMs = Date.now() - withinMs;
    return this.injected.filter(({ toMs }) => toMs === undefined || toMs >= fromMs);
  }

  /** Undoes what lasts, and begins nothing more. */
  async stop(): Promise<void> {
    this.isStopped = true;
    for (const timer of this.timers) clearTimeout(timer);
    this.stopEarly();
    await Promise.all(this.turns.values());
  }

  private schedule(fault: Fault): void {
    const target = FAULTS[fault.kind];
    const before = this.turns.get(target) ?? Promise.resolve();
    const turn = before.then(() => this.inject(fault)).catch((error: unknown) => this.failed(error as Error));
    this.turns.set(target, turn);
  }

  private async inject({ kind, forMs, amount }: Fault): Promise<void> {
    if (this.isStopped) return;
    const fromMs = Date.now();
    const [detail, undo] = await INJECTIONS[kind](this.lab, amount);
    const injected: Injected = { kind, fromMs, toMs: undefined, detail };
    this.injected.push(injected);
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise((resolve) => {
      timer = setTimeout(resolve, forMs);
    });
    await Promise.race([over, this.stopped]);
    clearTimeout(timer);
    await undo();
    injected.toMs = Date.now();
  }
}
