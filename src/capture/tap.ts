// Between the parts that decide and a capture. While a node captures, each input passes through `input`, which stops the
// clock for its time and notes what was decided; a replay runs the same parts with a tap that feeds recorded inputs.
import type { Clock } from '../ports/clock.ts';

/** What was decided, as plain values: the first says what kind it is. Compared as a whole. */
export type Decision = readonly (string | number | boolean)[];

/** The parts whose clean-up runs on a timer. */
export const TICKS = ['bans', 'registry', 'histories', 'announcements'] as const;
export type Tick = (typeof TICKS)[number];

/** Every input by kind; documented in docs/replay.md. */
export const INPUT_KINDS = [
  'gossip',
  'report',
  'opened',
  'malformed',
  'connected',
  'disconnected',
  'heard',
  'score',
  'ban',
  'unban',
  'clear',
  'history',
  'tick',
  'dropped',
] as const;
export type InputKind = (typeof INPUT_KINDS)[number];

/** They come from outside of the parts that are replayed, even when another input led to them. */
export const FROM_OUTSIDE: ReadonlySet<InputKind> = new Set([
  'gossip',
  'report',
  'opened',
  'connected',
  'disconnected',
]);

/** Plain values only: what JSON has, bigint, and undefined. */
export type InputValue = Readonly<Record<string, unknown>>;

export interface Tap {
  /** Stands still during an input. */
  readonly clock: Clock;
  /** Runs `act` as an input. What an input calls itself is part of it. */
  input<T>(kind: InputKind, value: InputValue, act: () => T, blobs?: readonly Uint8Array[]): T;
  /** Runs a clean-up that a timer began. */
  tick(of: Tick, act: () => void): void;
  /** Runs what is not part of a replay during an input: what it calls becomes an input of its own. */
  side(act: () => void): void;
  decided(decision: Decision): void;
}
