// Liveness: whether this process still makes progress: its event loop turns, and messages come out of every node's
// pipeline. It depends on nothing outside: a queue that waits for Kafka is no sign of trouble. It samples a few times a
// second, so that messages pay nothing for it.

import type { Clock } from '../../ports/clock.ts';
import type { HealthCheck } from '../../ports/health.ts';
import type { Histogram, Metrics } from '../../ports/metrics.ts';
import type { Progress } from '../../ports/progress.ts';
import { type HealthReport, reportOf } from './health.ts';

export interface LivenessDependencies {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Messages in the pipeline of each node that reports it, always in the same order. */
  readonly pipelines: () => readonly Progress[];
}

export interface LivenessOptions {
  /** The event loop fails the check when it stood still for longer just before the answer. */
  readonly loopStuckMs: number;
  /** A pipeline fails the check when messages are under way and none came out for longer. */
  readonly pipelineStuckMs: number;
}

/** Often enough that a pause of the loop much longer than this is seldom missed. */
const BEAT_MS = 200;
/** A probe that waited while the loop stood still is answered after the late beat: the beat is remembered this long. */
const REMEMBERED_MS = 1000;
const DELAY_BUCKETS = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15];
/**
 * The loop: many times the longest pause of a garbage collection, and shorter than the patience of a prober
 * (Kubernetes: 3 times 10 s). The pipeline: longer than name look-ups, which share threads with some verifications,
 * take to fail.
 */
const DEFAULTS: LivenessOptions = { loopStuckMs: 15_000, pipelineStuckMs: 30_000 };

/** Of one pipeline, as last sampled. */
interface Sampled {
  ended: number;
  /** When nothing was under way, or a message had come out since the sample before. */
  movedMs: number;
}

export class Liveness {
  private readonly deps: LivenessDependencies;
  private readonly options: LivenessOptions;
  private readonly delays: Histogram;
  private lastBeatMs: number;
  /** The last beat that came later than `loopStuckMs`. */
  private late = { byMs: 0, atMs: Number.NEGATIVE_INFINITY };
  private readonly sampled: Sampled[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(deps: LivenessDependencies, options: LivenessOptions = DEFAULTS) {
    this.deps = deps;
    this.options = options;
    this.lastBeatMs = deps.clock.monotonic();
    this.delays = deps.metrics.histogram(
      'teranode_p2p_event_loop_delay_seconds',
      'How much too late the event loop came to a timer',
      DELAY_BUCKETS,
    );
  }

  start(): void {
    this.lastBeatMs = this.deps.clock.monotonic();
    this.sampled.length = 0;
    this.sample(this.lastBeatMs);
    this.timer ??= setInterval(() => this.beat(), BEAT_MS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** Status 200, or 503 with a check for each thing that stands still. */
  report(): HealthReport {
    const stuck = this.timer === undefined ? [] : this.stuck();
    return stuck.length > 0 ? reportOf(stuck) : { status: 200, message: 'OK', checks: [] };
  }

  private stuck(): HealthCheck[] {
    const { clock } = this.deps;
    const { loopStuckMs, pipelineStuckMs } = this.options;
    const [nowMs, atMs] = [clock.monotonic(), clock.now()];
    const found: HealthCheck[] = [];
    const failed = (name: string, details: string) => found.push({ name, ok: false, details, tookMs: 0, atMs });
    const lateMs = nowMs - this.late.atMs <= REMEMBERED_MS ? this.late.byMs : 0;
    const loopMs = Math.max(nowMs - this.lastBeatMs - BEAT_MS, lateMs);
    if (loopMs > loopStuckMs) failed('event_loop', `stood still for ${Math.round(loopMs)} ms`);
    this.deps.pipelines().forEach(({ begun, ended }, index) => {
      const last = this.sampled[index] ?? { ended, movedMs: nowMs };
      const stillMs = nowMs - last.movedMs;
      if (begun > ended && ended === last.ended && stillMs > pipelineStuckMs)
        failed('pipeline', `${begun - ended} messages under way, none came out for ${Math.round(stillMs)} ms`);
    });
    return found;
  }

  private beat(): void {
    const nowMs = this.deps.clock.monotonic();
    const byMs = Math.max(0, nowMs - this.lastBeatMs - BEAT_MS);
    this.delays.observe(byMs / 1000);
    if (byMs > this.options.loopStuckMs) this.late = { byMs, atMs: nowMs };
    this.lastBeatMs = nowMs;
    this.sample(nowMs);
  }

  private sample(nowMs: number): void {
    this.deps.pipelines().forEach(({ begun, ended }, index) => {
      const last = this.sampled[index];
      const hasMoved = last === undefined || begun === ended || ended !== last.ended;
      this.sampled[index] = { ended, movedMs: hasMoved ? nowMs : last.movedMs };
    });
  }
}
