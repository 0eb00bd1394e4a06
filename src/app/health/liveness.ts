// Whether this process still moves: its event loop turns, and messages come out of its pipeline. Depends on nothing outside: a queue that waits for
// Kafka or a service is no sign of it. It looks by itself a few times a second, so the way of a message pays nothing.

import type { Clock } from '../../ports/clock.ts';
import type { HealthCheck } from '../../ports/health.ts';
import type { Histogram, Metrics } from '../../ports/metrics.ts';
import type { Progress } from '../../ports/progress.ts';
import { type HealthReport, reportOf } from './health.ts';

export interface LivenessDependencies {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Messages in the pipeline; undefined before it runs, or where a node does not tell. */
  readonly pipeline: () => Progress | undefined;
}

export interface LivenessOptions {
  /** The loop stood still for longer just before the answer. */
  readonly loopStuckMs: number;
  /** Messages are under way, and none came out for longer. */
  readonly pipelineStuckMs: number;
}

/** Often enough that what stops the loop for longer is seldom missed. */
const BEAT_MS = 200;
/** A question that waited while the loop stood still comes after the late beat: for so long it is told of it. */
const REMEMBERED_MS = 1000;
const DELAY_BUCKETS = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15];
/**
 * The loop: many times the longest pause of a garbage collection, and shorter than what a prober gives up after (Kubernetes: 3 times 10 s). The pipeline:
 * longer than name look-ups, which share the threads of some verifications, take to fail.
 */
const DEFAULTS: LivenessOptions = { loopStuckMs: 15_000, pipelineStuckMs: 30_000 };

export class Liveness {
  private readonly deps: LivenessDependencies;
  private readonly options: LivenessOptions;
  private lastBeatMs: number;
  /** The last beat that came too late by more than is well. */
  private late = { byMs: 0, atMs: Number.NEGATIVE_INFINITY };
  private readonly delays: Histogram;
  private ended = 0;
  /** When nothing was under way, or something came out, as last seen. */
  private movedMs: number;
  private timer: NodeJS.Timeout | undefined;

  constructor(deps: LivenessDependencies, options: LivenessOptions = DEFAULTS) {
    this.deps = deps;
    this.options = options;
    this.lastBeatMs = deps.clock.monotonic();
    this.movedMs = this.lastBeatMs;
    this.delays = deps.metrics.histogram(
      'teranode_p2p_event_loop_delay_seconds',
      'How much too late the event loop came to a timer',
      DELAY_BUCKETS,
    );
  }

  start(): void {
    this.lastBeatMs = this.deps.clock.monotonic();
    this.movedMs = this.lastBeatMs;
    this.timer ??= setInterval(() => this.beat(), BEAT_MS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** 200, or 503 and what stands still. */
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
    const { begun = 0, ended = 0 } = this.deps.pipeline() ?? {};
    const pipelineMs = nowMs - this.movedMs;
    if (begun > ended && ended === this.ended && pipelineMs > pipelineStuckMs)
      failed('pipeline', `${begun - ended} messages under way, none came out for ${Math.round(pipelineMs)} ms`);
    return found;
  }

  private beat(): void {
    const nowMs = this.deps.clock.monotonic();
    const byMs = Math.max(0, nowMs - this.lastBeatMs - BEAT_MS);
    this.delays.observe(byMs / 1000);
    if (byMs > this.options.loopStuckMs) this.late = { byMs, atMs: nowMs };
    this.lastBeatMs = nowMs;
    const { begun = 0, ended = 0 } = this.deps.pipeline() ?? {};
    if (begun === ended || ended !== this.ended) this.movedMs = nowMs;
    this.ended = ended;
  }
}
