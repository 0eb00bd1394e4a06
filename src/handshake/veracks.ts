// Answers to versions: one a peer and interval, however often and by whatever way its version comes. What comes too soon is answered when the
// interval is over, once, so that nobody is left without.
import type { Clock } from '../ports/clock.ts';
import type { PeerId } from '../wire/ids.ts';
import type { StreamSender } from './stream-sender.ts';
import type { Tally } from './tally.ts';

const INTERVAL_MS = 5000;
/** Peers answered within an interval: several times those that a node of default settings ever has. */
const MAX_ANSWERED = 4000;

export interface VeracksDependencies {
  readonly sender: StreamSender;
  readonly tally: Tally;
  readonly clock: Clock;
  readonly isConnected: (peerId: PeerId) => boolean;
  readonly verack: (topicPrefix: string) => Promise<Uint8Array>;
}

interface Answered {
  readonly atMs: number;
  /** Of the version that waits for its answer. */
  owed: { topicPrefix: string; readonly timer: NodeJS.Timeout } | undefined;
}

export class Veracks {
  private readonly deps: VeracksDependencies;
  /** Answered longest ago first. */
  private readonly answered = new Map<PeerId, Answered>();
  private stopped = false;

  constructor(deps: VeracksDependencies) {
    this.deps = deps;
    deps.tally.bounded('answers', MAX_ANSWERED, () => this.answered.size);
  }

  /** Answers over a new stream to the author, with the prefix that it uses; a stranger is not dialled for that. */
  owe(peerId: PeerId, topicPrefix: string): void {
    if (this.stopped) return;
    const { tally, clock } = this.deps;
    if (!this.deps.isConnected(peerId)) {
      tally.sent('verack', 'stream', 'not_connected');
      return;
    }
    const nowMs = clock.monotonic();
    this.forgetOld(nowMs);
    const last = this.answered.get(peerId);
    if (last !== undefined) this.holdBack(peerId, last, topicPrefix, nowMs);
    else if (this.answered.size >= MAX_ANSWERED) tally.sent('verack', 'stream', 'too_many');
    else {
      this.answered.set(peerId, { atMs: nowMs, owed: undefined });
      void this.answer(peerId, topicPrefix);
    }
  }

  /** A new connection begins anew. */
  forget(peerId: PeerId): void {
    clearTimeout(this.answered.get(peerId)?.owed?.timer);
    this.answered.delete(peerId);
  }

  stop(): void {
    this.stopped = true;
    for (const peerId of [...this.answered.keys()]) this.forget(peerId);
  }

  private holdBack(peerId: PeerId, last: Answered, topicPrefix: string, nowMs: number): void {
    this.deps.tally.sent('verack', 'stream', 'held_back');
    if (last.owed !== undefined) {
      last.owed.topicPrefix = topicPrefix;
      return;
    }
    const answerNow = () => {
      const { owed } = last;
      this.forget(peerId);
      if (owed !== undefined) this.owe(peerId, owed.topicPrefix);
    };
    const timer = setTimeout(answerNow, Math.max(0, last.atMs + INTERVAL_MS - nowMs)).unref();
    last.owed = { topicPrefix, timer };
  }

  private forgetOld(nowMs: number): void {
    for (const [peerId, { atMs, owed }] of this.answered) {
      if (nowMs - atMs < INTERVAL_MS || owed !== undefined) return;
      this.answered.delete(peerId);
    }
  }

  private async answer(peerId: PeerId, topicPrefix: string): Promise<void> {
    const delivery = await this.deps.sender.send(peerId, () => this.deps.verack(topicPrefix));
    this.deps.tally.sent('verack', 'stream', delivery);
  }
}
