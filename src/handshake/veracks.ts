// Answers to versions: one under way at a time, then none for an interval, however often and by whatever way a peer's version comes. What comes too
// soon is answered when the interval is over, once, so that nobody is left without.

import type { PeerId } from '../domain/ids.ts';
import type { Clock } from '../ports/clock.ts';
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
  readonly verack: (topicPrefix: string, peerId: PeerId) => Promise<Uint8Array>;
}

interface Answer {
  /** Of the version that came too soon and waits for its own. */
  owed: string | undefined;
  /** When it was handed over or failed; undefined while under way. */
  endedMs: number | undefined;
  /** To what is owed. */
  timer: NodeJS.Timeout | undefined;
}

export class Veracks {
  private readonly deps: VeracksDependencies;
  /** Latest answers; those that ended stand in the order of their ends. */
  private readonly answers = new Map<PeerId, Answer>();
  private stopped = false;

  constructor(deps: VeracksDependencies) {
    this.deps = deps;
    deps.tally.bounded('answers', MAX_ANSWERED, () => this.answers.size);
  }

  /** Answers over a new stream to the author, with the prefix that it uses; a stranger is not dialled for that. */
  owe(peerId: PeerId, topicPrefix: string): void {
    if (this.stopped) return;
    const { tally } = this.deps;
    if (!this.deps.isConnected(peerId)) {
      tally.sent('verack', 'stream', 'not_connected');
      return;
    }
    this.forgetOld();
    const last = this.answers.get(peerId);
    if (last !== undefined) this.holdBack(peerId, last, topicPrefix);
    else if (this.answers.size >= MAX_ANSWERED) tally.sent('verack', 'stream', 'too_many');
    else void this.answer(peerId, topicPrefix);
  }

  /** A new connection begins anew. */
  forget(peerId: PeerId): void {
    clearTimeout(this.answers.get(peerId)?.timer);
    this.answers.delete(peerId);
  }

  stop(): void {
    this.stopped = true;
    for (const peerId of [...this.answers.keys()]) this.forget(peerId);
  }

  private holdBack(peerId: PeerId, last: Answer, topicPrefix: string): void {
    this.deps.tally.sent('verack', 'stream', 'held_back');
    last.owed = topicPrefix;
    this.answerOwed(peerId, last);
  }

  /** When the interval is over; while the last answer is under way, its end decides when that is. */
  private answerOwed(peerId: PeerId, last: Answer): void {
    if (last.owed === undefined || last.endedMs === undefined || last.timer !== undefined) return;
    const waitMs = last.endedMs + INTERVAL_MS - this.deps.clock.monotonic();
    const answerNow = () => {
      const { owed } = last;
      this.forget(peerId);
      if (owed !== undefined) this.owe(peerId, owed);
    };
    last.timer = setTimeout(answerNow, Math.max(0, waitMs)).unref();
  }

  private forgetOld(): void {
    const oldestMs = this.deps.clock.monotonic() - INTERVAL_MS;
    for (const [peerId, { endedMs, owed }] of this.answers) {
      if (endedMs === undefined) continue;
      if (endedMs > oldestMs || owed !== undefined) return;
      this.answers.delete(peerId);
    }
  }

  private async answer(peerId: PeerId, topicPrefix: string): Promise<void> {
    const answer: Answer = { owed: undefined, endedMs: undefined, timer: undefined };
    this.answers.set(peerId, answer);
    const delivery = await this.deps.sender.send(peerId, () => this.deps.verack(topicPrefix, peerId));
    this.deps.tally.sent('verack', 'stream', delivery);
    // Begun anew on another connection, or stopped.
    if (this.answers.get(peerId) !== answer) return;
    answer.endedMs = this.deps.clock.monotonic();
    this.answers.delete(peerId);
    this.answers.set(peerId, answer);
    this.answerOwed(peerId, answer);
  }
}
