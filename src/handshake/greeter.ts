// A version to each peer that connects, as soon as it is known in which prefix. Go dials its static peers before it serves the direct stream, so a refusal says little: it is tried again
// for a while, and after two seconds the topic is told. A peer that never takes one stays: gossip needs no handshake.
import type { PeerId } from '../domain/ids.ts';
import type { StreamSender } from './stream-sender.ts';
import type { Tally } from './tally.ts';

/** More than the peers that a node of default settings ever has. */
const MAX_GREETINGS = 2000;
/** From the first failure to the version on the topic, as in Go: by then the peer has told what it subscribes to. */
const FALL_BACK_MS = 2000;
/** Between a failure and the next try: a Go server serves its stream within seconds of its first dial, or after waiting for its chain. */
const RETRY_MS = [1000, 5000, 20_000, 60_000] as const;

export interface GreeterDependencies {
  readonly sender: StreamSender;
  readonly tally: Tally;
  readonly isConnected: (peerId: PeerId) => boolean;
  /** Resolves, within seconds, when `version` can be in the prefix that the peer speaks. */
  readonly prefixKnown: (peerId: PeerId) => Promise<void>;
  readonly version: (peerId: PeerId) => Promise<Uint8Array>;
  /** Publishes a version on the topic soon. */
  readonly tellTopic: () => void;
  readonly random: () => number;
}

interface Greeting {
  failures: number;
  retry: NodeJS.Timeout | undefined;
  fallBack: NodeJS.Timeout | undefined;
}

export class Greeter {
  private readonly deps: GreeterDependencies;
  /** Peers that have not taken our version yet. */
  private readonly greetings = new Map<PeerId, Greeting>();
  private stopped = false;

  constructor(deps: GreeterDependencies) {
    this.deps = deps;
    deps.tally.bounded('greetings', MAX_GREETINGS, () => this.greetings.size);
  }

  /** The peer has a new connection; what was under way on the one before ends. */
  greet(peerId: PeerId): void {
    if (this.stopped) return;
    this.end(peerId);
    if (this.greetings.size >= MAX_GREETINGS) {
      this.deps.tally.sent('version', 'stream', 'too_many');
      this.deps.tellTopic();
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
    const { sender, tally } = this.deps;
    const delivery = await sender.send(peerId, () => this.deps.version(peerId));
    tally.sent('version', 'stream', delivery);
    // Ended, or begun anew on another connection.
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
    if (this.deps.isConnected(peerId)) this.deps.tellTopic();
  }

  /** Peers that came together do not try again together. */
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
