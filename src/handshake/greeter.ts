// Sends a version to each peer that connects, once its topic prefix is known. Go dials its static peers before it
// serves the direct stream, so a refused stream is retried for a while, and after two seconds the version goes out on
// the topic too. A peer that never accepts one stays connected: gossip needs no handshake.
import type { PeerId } from '../domain/ids.ts';
import type { HandshakeCounters } from './counters.ts';
import type { StreamSender } from './stream-sender.ts';

/** More than the peers of a node with default settings. */
const MAX_GREETINGS = 2000;
/** Time from the first failure to the version on the topic, as in Go: by then the peer has sent its subscriptions. */
const FALL_BACK_MS = 2000;
/**
 * Times between attempts: a Go server serves its stream within seconds of its first dial, or after waiting for its
 * chain.
 */
const RETRY_MS = [1000, 5000, 20_000, 60_000] as const;

export interface GreeterDependencies {
  readonly sender: StreamSender;
  readonly counters: HandshakeCounters;
  readonly isConnected: (peerId: PeerId) => boolean;
  /** Resolves within seconds, once the topic prefix of the peer is known. */
  readonly prefixKnown: (peerId: PeerId) => Promise<void>;
  readonly version: (peerId: PeerId) => Promise<Uint8Array>;
  /** Publishes a version on the topic soon. */
  readonly publishOnTopic: () => void;
  readonly random: () => number;
}

interface Greeting {
  failures: number;
  retry: NodeJS.Timeout | undefined;
  fallBack: NodeJS.Timeout | undefined;
}

export class Greeter {
  private readonly deps: GreeterDependencies;
  /** Peers that have not accepted our version yet. */
  private readonly greetings = new Map<PeerId, Greeting>();
  private stopped = false;

  constructor(deps: GreeterDependencies) {
    this.deps = deps;
    deps.counters.bounded('greetings', MAX_GREETINGS, () => this.greetings.size);
  }

  /** The peer has a new connection; attempts on the old one end. */
  greet(peerId: PeerId): void {
    if (this.stopped) return;
    this.end(peerId);
    if (this.greetings.size >= MAX_GREETINGS) {
      this.deps.counters.sent('version', 'stream', 'too_many');
      this.deps.publishOnTopic();
      return;
    }
    const greeting: Greeting = { failures: 0, retry: undefined, fallBack: undefined };
    this.greetings.set(peerId, greeting);
    void this.begin(peerId, greeting);
  }

  stop(): void {
    this.stopped = true;
    for (const peerId of [...this.greetings.keys()]) this.end(peerId);
  }

  private async begin(peerId: PeerId, greeting: Greeting): Promise<void> {
    await this.deps.prefixKnown(peerId);
    if (this.greetings.get(peerId) === greeting) this.retry(peerId, greeting);
  }

  private async attempt(peerId: PeerId, greeting: Greeting): Promise<void> {
    const { sender, counters } = this.deps;
    const delivery = await sender.send(peerId, () => this.deps.version(peerId));
    counters.sent('version', 'stream', delivery);
    // The greeting has ended, or was restarted on another connection.
    if (this.greetings.get(peerId) !== greeting) return;
    const retryMs = RETRY_MS[greeting.failures];
    greeting.failures += 1;
    if (delivery === 'sent' || retryMs === undefined) {
      this.end(peerId);
      return;
    }
    if (greeting.failures === 1) greeting.fallBack = setTimeout(() => this.fallBack(peerId), FALL_BACK_MS).unref();
    greeting.retry = setTimeout(() => this.retry(peerId, greeting), this.spread(retryMs)).unref();
  }

  private retry(peerId: PeerId, greeting: Greeting): void {
    if (this.deps.isConnected(peerId)) void this.attempt(peerId, greeting);
    else this.end(peerId);
  }

  private fallBack(peerId: PeerId): void {
    if (this.deps.isConnected(peerId)) this.deps.publishOnTopic();
  }

  /** Spreads retries, so that peers that connected together are not all retried at once. */
  private spread(ms: number): number {
    return ms * (0.75 + this.deps.random() / 2);
  }

  private end(peerId: PeerId): void {
    const greeting = this.greetings.get(peerId);
    clearTimeout(greeting?.retry);
    clearTimeout(greeting?.fallBack);
    this.greetings.delete(peerId);
  }
}
