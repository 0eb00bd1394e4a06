// What is fuzzed: a reader of bytes from outside, with real bytes to begin with and a judgement of what it made of them.
import { isDeepStrictEqual } from 'node:util';
import { P2PError } from '../../../src/lib/errors.ts';

interface TargetBasics {
  /** Also the name of its corpus file. */
  readonly name: string;
  /** Real inputs: recorded bytes, or what our own encoders and other implementations write. */
  readonly seeds: readonly Uint8Array[];
  /** Texts that the reader knows; inputs are made with them. */
  readonly words?: readonly string[];
  /** Longest input; a little over what the reader takes. */
  readonly maxBytes: number;
}

/** A decoder: bytes in, a value or a documented error out. */
export interface DecoderTarget extends TargetBasics {
  /** Throws for everything that must not happen. */
  readonly run: (input: Uint8Array) => void;
}

/** A decoder that is asynchronous, or a running server. Each input has a session of its own. */
export interface SessionTarget extends TargetBasics {
  readonly open: () => Promise<FuzzSession>;
  /** Its inputs for each hundred of a decoder: servers take a thousandth of a second each, not a millionth. */
  readonly inputsPerHundred: number;
}

export interface FuzzSession {
  /** Settles within its own deadline; rejects for everything that must not happen. */
  readonly send: (input: Uint8Array) => Promise<void>;
  /** Rejects when a proper client is not served any more, or something was left behind. */
  readonly check: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export type FuzzTarget = DecoderTarget | SessionTarget;

/** Throws when something that must hold does not. */
export function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

export function mustEqual(found: unknown, expected: unknown, what: string): void {
  if (isDeepStrictEqual(found, expected)) return;
  throw new Error(`${what}: ${shown(found)} (expected ${shown(expected)})`);
}

/** What `read` returns; undefined when it throws one of the documented errors. Throws whatever else it throws. */
export function unlessRefused<T>(codes: readonly string[], read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof P2PError && codes.includes(error.code)) return undefined;
    throw error;
  }
}

/** The text of bytes as our readers take it. */
export function textOf(input: Uint8Array): string {
  return Buffer.from(input.buffer, input.byteOffset, input.byteLength).toString('utf8');
}

export function texts(...all: readonly string[]): Uint8Array[] {
  return all.map((each) => Buffer.from(each));
}

function shown(value: unknown): string {
  const json = JSON.stringify(value, (_key, each) => (typeof each === 'bigint' ? `${each}n` : each));
  return (json ?? String(value)).slice(0, 300);
}
