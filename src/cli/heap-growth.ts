// How far V8 lets the heap grow before it collects garbage. Left to itself that is up to four times what is in use, and
// a process that allocates little keeps the garbage of its start, or of a wave of connections, for hours.
import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const FLAG = '--heap-growing-percent';
/** Of what was in use after the last collection. Left to V8, a fifth more memory for no CPU that could be measured. */
const BUSY_PERCENT = 100;
/** A process with CPU to spare collects more often: with 400 idle peers every half minute. */
const CALM_PERCENT = 20;

const ROUND_MS = 5000;
/** One round alone may be the pause between two waves of connections. */
const CALM_ROUNDS = 2;
/** Between two collections, whose pause of up to 0.2 s delays less than 1 % of the messages then. */
const COLLECTION_ROUNDS = 6;
/**
 * Shares of a core. 400 idle peers take a tenth, 1,000 messages per second a third. Apart, so that a load between them
 * does not change the state again and again.
 */
const CALM_BELOW = 0.2;
const BUSY_ABOVE = 0.3;
/** The share of the time beyond which the event loop has none to spare, however little CPU the machine gives it. */
const SATURATED_ABOVE = 0.8;

interface Load {
  /** Of one core. */
  readonly cpuShare: number;
  /** Of the time, in which the event loop was busy or waited for the CPU. */
  readonly loopShare: number;
}

interface Deps {
  /** Since the last call. */
  load(): Load;
  setPercent(percent: number): void;
  /** Collects all garbage and gives freed pages back to the system: 0.2 s of CPU at rest. */
  collect(): void;
}

/** Decides, round by round, between much memory and much CPU. A process starts busy. */
export class HeapGrowth {
  private readonly deps: Deps;
  private isCalm = false;
  private calmRounds = 0;
  private roundsSinceCollection = COLLECTION_ROUNDS;

  constructor(deps: Deps) {
    this.deps = deps;
    deps.setPercent(BUSY_PERCENT);
  }

  check(): void {
    this.roundsSinceCollection += 1;
    const { cpuShare, loopShare } = this.deps.load();
    const isSaturated = loopShare > SATURATED_ABOVE;
    this.calmRounds = cpuShare < CALM_BELOW && !isSaturated ? this.calmRounds + 1 : 0;
    if (this.isCalm && (cpuShare > BUSY_ABOVE || isSaturated)) {
      this.isCalm = false;
      this.deps.setPercent(BUSY_PERCENT);
    } else if (!this.isCalm && this.calmRounds >= CALM_ROUNDS && this.roundsSinceCollection >= COLLECTION_ROUNDS) {
      this.isCalm = true;
      this.roundsSinceCollection = 0;
      // Before the collection, which decides when V8 begins the next.
      this.deps.setPercent(CALM_PERCENT);
      this.deps.collect();
    }
  }
}

/** For a program whose whole process is ours. What the user gave to Node counts more. */
export function limitHeapGrowth(nodeOptions: readonly string[] = process.execArgv, roundMs = ROUND_MS): void {
  if (nodeOptions.some((each) => each.replaceAll('_', '-').startsWith(FLAG))) return;
  const growth = new HeapGrowth({
    load: loads(),
    setPercent: (percent) => setFlagsFromString(`${FLAG}=${percent}`),
    collect: collectGarbage,
  });
  setInterval(() => growth.check(), roundMs).unref();
}

function loads(): () => Load {
  let [lastMs, lastCpu, lastLoop] = [performance.now(), process.cpuUsage(), performance.eventLoopUtilization()];
  return () => {
    const [nowMs, cpu, loop] = [performance.now(), process.cpuUsage(), performance.eventLoopUtilization()];
    const cpuMs = (cpu.user - lastCpu.user + cpu.system - lastCpu.system) / 1000;
    const loopShare = performance.eventLoopUtilization(loop, lastLoop).utilization;
    const load = { cpuShare: cpuMs / (nowMs - lastMs), loopShare };
    [lastMs, lastCpu, lastLoop] = [nowMs, cpu, loop];
    return load;
  };
}

/** Node has no other way to it for a program that was started without a flag. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  // After a regular collection V8 keeps the pages for later, unless hardly anything is allocated.
  if (typeof gc === 'function') gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
