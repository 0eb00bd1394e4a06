// The loop: makes inputs, runs them, keeps those that ran new code, and stops at the first fault of a target.
// CPU time and memory are measured of batches; a batch that took too much runs again, one input at a time.
import { setTimeout as pause } from 'node:timers/promises';
import type { Coverage } from './coverage.ts';
import { Mutator, Random } from './mutator.ts';
import type { DecoderTarget, FuzzSession, FuzzTarget, SessionTarget } from './target.ts';
import { Watchdog } from './watchdog.ts';

const BATCH = 128;
/** Sessions of a target at once. */
const SESSIONS = 16;
/** CPU time of one input; the slowest take a hundredth of it. */
const MAX_CPU_MS = 250;
/** What one input may leave in memory; readers take 256 KiB of input at most. */
const MAX_MEMORY_BYTES = 64 * 1024 * 1024;
/** A session has deadlines of its own, which are shorter. */
const SESSION_DEADLINE_MS = 30_000;
/** Attempts to make an input that fails shorter. */
const MAX_SHORTENINGS = 2000;

export interface FuzzOptions {
  /** Of a decoder; servers get fewer. */
  readonly inputs: number;
  /** Ends earlier. */
  readonly maxMs?: number;
  readonly seed: number;
  /** Kept inputs, beside the seeds of the target. */
  readonly corpus: readonly Uint8Array[];
  /** undefined: inputs are changes of the known ones only. */
  readonly coverage?: Coverage | undefined;
}

export interface FuzzFault {
  readonly input: Uint8Array;
  readonly error: Error;
}

export interface FuzzResult {
  readonly inputs: number;
  readonly seconds: number;
  readonly fault: FuzzFault | undefined;
  /** Inputs that ran code which no known one ran. */
  readonly fresh: readonly Uint8Array[];
}

/** Runs one input; the fault, if there is one. */
type Runner = (input: Uint8Array) => FuzzFault | undefined;

export async function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<FuzzResult> {
  return 'run' in target ? await fuzzDecoder(target, options) : await fuzzSessions(target, options);
}

async function fuzzDecoder(target: DecoderTarget, options: FuzzOptions): Promise<FuzzResult> {
  const watchdog = new Watchdog(target.name);
  const run: Runner = (input) => {
    watchdog.begins(input);
    try {
      target.run(input);
    } catch (error) {
      return { input, error: asError(error) };
    } finally {
      watchdog.ended();
    }
    return undefined;
  };
  // Most inputs are refused, with errors that nobody reads: without their stacks it takes half the time.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const withStack = (fault: FuzzFault): FuzzFault => {
    Error.stackTraceLimit = stackTraceLimit;
    return run(fault.input) ?? fault;
  };
  const inputs = new Inputs(target, options);
  const runAndKeep: Runner = (input) => {
    const fault = run(input);
    if (options.coverage?.hasNew() === true) inputs.keep(input);
    return fault;
  };
  const started = performance.now();
  let done = 0;
  const ended = (fault?: FuzzFault): FuzzResult => ({
    inputs: done,
    seconds: (performance.now() - started) / 1000,
    fault: fault && withStack(shortened(fault, run)),
    fresh: inputs.fresh,
  });
  try {
    const known = firstFault(inputs.known, run);
    done += inputs.known.length;
    if (known !== undefined) return ended(known);
    inputs.begin();
    while (done < options.inputs && !isOver(options, started)) {
      const batch = inputs.batch(Math.min(BATCH, options.inputs - done));
      const fault = measured(batch, runAndKeep);
      done += batch.length;
      if (fault !== undefined) return ended(fault);
      // Timers, and the watchdog's messages.
      if (done % (100 * BATCH) === 0) await pause(0);
    }
    return ended();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    await watchdog.stop();
  }
}

async function fuzzSessions(target: SessionTarget, options: FuzzOptions): Promise<FuzzResult> {
  const inputs = new Inputs(target, options);
  const count = Math.max(inputs.known.length, Math.ceil((options.inputs * target.inputsPerHundred) / 100));
  const started = performance.now();
  const session = await target.open();
  let done = 0;
  let fault: FuzzFault | undefined;
  let latest: readonly Uint8Array[] = [];
  const stray = (error: unknown) => {
    fault ??= { input: latest[0] ?? new Uint8Array(), error: asError(error) };
  };
  process.on('uncaughtException', stray);
  process.on('unhandledRejection', stray);
  try {
    for (let at = 0; at < inputs.known.length && fault === undefined; at += SESSIONS) {
      latest = inputs.known.slice(at, at + SESSIONS);
      fault ??= await sent(session, latest);
      done += latest.length;
    }
    inputs.begin();
    while (done < count && fault === undefined && !isOver(options, started)) {
      latest = inputs.batch(Math.min(SESSIONS, count - done));
      const found = await sent(session, latest);
      fault ??= found;
      done += latest.length;
      if (options.coverage?.hasNew() === true) for (const input of latest) inputs.keep(input);
    }
    fault ??= await checked(session, latest);
  } finally {
    process.off('uncaughtException', stray);
    process.off('unhandledRejection', stray);
    await session.close();
  }
  return { inputs: done, seconds: (performance.now() - started) / 1000, fault, fresh: inputs.fresh };
}

/** Known inputs, and new ones made from them. */
class Inputs {
  readonly known: readonly Uint8Array[];
  readonly fresh: Uint8Array[] = [];
  private readonly pool: Uint8Array[];
  private readonly random: Random;
  private readonly mutator: Mutator;
  private readonly coverage: Coverage | undefined;

  constructor({ seeds, words = [], maxBytes }: FuzzTarget, { seed, corpus, coverage }: FuzzOptions) {
    this.known = [new Uint8Array(), ...seeds, ...corpus];
    this.pool = [...this.known];
    this.random = new Random(seed);
    this.mutator = new Mutator(this.random, { maxBytes, words });
    this.coverage = coverage;
    coverage?.begin();
  }

  /** After the known inputs ran. */
  begin(): void {
    this.coverage?.hasNew();
    this.mutator.learn(this.coverage?.words() ?? []);
  }

  batch(count: number): Uint8Array[] {
    return Array.from({ length: count }, () => this.mutator.mutated(this.picked(), this.random.pick(this.pool)));
  }

  /** An input that ran something new. */
  keep(input: Uint8Array): void {
    const own = new Uint8Array(input);
    this.pool.push(own);
    this.fresh.push(own);
  }

  /** Every second time one of the latest, and the very latest most often: it leads where no other did. */
  private picked(): Uint8Array {
    const { length } = this.pool;
    if (this.random.below(2) === 0) return this.random.pick(this.pool);
    return this.pool[length - 1 - this.random.below(1 + this.random.below(Math.min(length, 16)))] ?? NOTHING;
  }
}

const NOTHING = new Uint8Array();

function firstFault(inputs: readonly Uint8Array[], run: Runner): FuzzFault | undefined {
  for (let at = 0; at < inputs.length; at += BATCH) {
    const fault = measured(inputs.slice(at, at + BATCH), run);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Runs inputs; one by one, and again, where all together took too much. */
function measured(batch: readonly Uint8Array[], run: Runner): FuzzFault | undefined {
  const before = usage();
  for (const input of batch) {
    const fault = run(input);
    if (fault !== undefined) return fault;
  }
  if (excess(before) === undefined) return undefined;
  for (const input of batch) {
    // The best of three: the first may have been the compiler, or the collector of garbage.
    const found = [1, 2, 3].map(() => {
      const start = usage();
      run(input);
      return excess(start);
    });
    const [error] = found;
    if (error !== undefined && !found.includes(undefined)) return { input, error: new Error(error) };
  }
  return undefined;
}

function usage() {
  const { user, system } = process.threadCpuUsage();
  const { heapUsed, external } = process.memoryUsage();
  return { cpuMs: (user + system) / 1000, bytes: heapUsed + external };
}

function excess(before: ReturnType<typeof usage>): string | undefined {
  const now = usage();
  const [ms, bytes] = [Math.round(now.cpuMs - before.cpuMs), now.bytes - before.bytes];
  if (ms > MAX_CPU_MS) return `it took ${ms} ms of CPU time (at most ${MAX_CPU_MS})`;
  return bytes > MAX_MEMORY_BYTES ? `it took ${bytes} bytes of memory (at most ${MAX_MEMORY_BYTES})` : undefined;
}

async function sent(session: FuzzSession, inputs: readonly Uint8Array[]): Promise<FuzzFault | undefined> {
  const faults = await Promise.all(
    inputs.map(async (input): Promise<FuzzFault | undefined> => {
      try {
        await inTime(session.send(input));
        return undefined;
      } catch (error) {
        return { input, error: asError(error) };
      }
    }),
  );
  return faults.find((each) => each !== undefined);
}

async function checked(session: FuzzSession, latest: readonly Uint8Array[]): Promise<FuzzFault | undefined> {
  try {
    await inTime(session.check());
    return undefined;
  } catch (error) {
    return { input: latest[0] ?? NOTHING, error: asError(error) };
  }
}

async function inTime(work: Promise<void>): Promise<void> {
  const ended = new AbortController();
  const late = pause(SESSION_DEADLINE_MS, undefined, { signal: ended.signal }).then(
    () => Promise.reject(new Error(`no end within ${SESSION_DEADLINE_MS} ms`)),
    () => undefined,
  );
  try {
    await Promise.race([work, late]);
  } finally {
    ended.abort();
  }
}

/** The shortest input that still fails with the same error, of those that lack a part. */
function shortened(fault: FuzzFault, run: Runner): FuzzFault {
  // It took too much time or memory: it is not measured here.
  if (run(fault.input) === undefined) return fault;
  let best = fault;
  let left = MAX_SHORTENINGS;
  for (let size = Math.ceil(fault.input.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at + size <= best.input.length && left > 0; left -= 1) {
      const input = Buffer.concat([best.input.subarray(0, at), best.input.subarray(at + size)]);
      const found = run(input);
      if (found?.error.message === fault.error.message) best = found;
      else at += size;
    }
  }
  return best;
}

function isOver({ maxMs }: FuzzOptions, started: number): boolean {
  return maxMs !== undefined && performance.now() - started >= maxMs;
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`thrown: ${String(thrown)}`);
}
