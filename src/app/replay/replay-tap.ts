// The tap of a replay: its clock has the times of the records, and only what is replayed happens.
import type { Decision, InputKind, InputValue, Tap, Tick } from '../../capture/tap.ts';
import type { Clock } from '../../ports/clock.ts';

interface Current {
  readonly decisions: Decision[];
  /** Runs the side inputs of the record, once. */
  readonly side: () => void;
}

export class ReplayTap implements Tap {
  readonly clock: Clock;
  private nowMs = 0;
  private monotonicMs = 0;
  private current: Current | undefined;

  constructor() {
    this.clock = { now: () => this.nowMs, monotonic: () => this.monotonicMs };
  }

  setTime({ nowMs, monotonicMs }: { readonly nowMs: number; readonly monotonicMs: number }): void {
    this.nowMs = nowMs;
    this.monotonicMs = monotonicMs;
  }

  /** Runs an input of the capture; returns what is decided on it. */
  run(act: () => void, side: () => void): readonly Decision[] {
    const current: Current = { decisions: [], side };
    this.current = current;
    try {
      act();
    } finally {
      this.current = undefined;
    }
    return current.decisions;
  }

  input<T>(_kind: InputKind, _value: InputValue, act: () => T): T {
    return act();
  }

  /** The timers of a replay run in real time, and do nothing. */
  tick(_of: Tick, act: () => void): void {
    if (this.current !== undefined) act();
  }

  side(_act: () => void): void {
    this.current?.side();
  }

  decided(decision: Decision): void {
    this.current?.decisions.push(decision);
  }
}
