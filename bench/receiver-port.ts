// What the benchmark asks of everything that it measures, and what it measures it on.
import type { VerifierChoice } from '../src/adapters/libp2p/patches/ed25519.ts';
import { busTopics } from '../test/support/go-bus.ts';
import { topicsOf } from '../test/support/network.ts';

export const WIRES = ['go-p2p', 'message-bus'] as const;
/** go-p2p is TLS in a private network (PSK); message-bus is what Teranode's nodes speak today. */
export type Wire = (typeof WIRES)[number];

export const subtreeTopic = (wire: Wire): string =>
  wire === 'message-bus' ? busTopics('regtest').subtree : topicsOf('regtest').subtree;

/** Cheap to ask, also while messages come. */
export interface Usage {
  /** Messages, one that came twice counted twice. */
  readonly received: number;
  readonly cpuMicros: number;
  readonly rssBytes: number;
}

export interface Summary {
  /** Different announcements, of all that were received since the start. */
  readonly unique: number;
  /** Of what was received since `forget`. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

export interface Receiver {
  readonly peerId: string;
  readonly address: string;
  /** What verifies signatures, by the receiver's own log. */
  readonly verifier: string;
  usage(): Promise<Usage>;
  summary(): Promise<Summary>;
  /** What was received until now is left out of the latencies. */
  forget(): Promise<unknown>;
  stop(): Promise<void>;
}

export interface ReceiverOptions {
  readonly wire: Wire;
  /** Of our server. */
  readonly verifier: VerifierChoice;
}
