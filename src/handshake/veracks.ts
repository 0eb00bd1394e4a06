// Veracks, the answers to versions: per peer one under way at a time, then none for an interval, however often its
// version comes. A version that comes too soon is answered once when the interval is over.

import type { PeerId } from '../domain/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { HandshakeCounters } from './counters.ts';
import type { StreamSender } from './stream-sender.ts';

const INTERVAL_MS = 5000;
/** Maximum number of peers answered within an interval: several times the peers of a node with default settings. */
const MAX_ANSWERED = 4000;

export interface VeracksDependencies {
  readonly sender: StreamSender;
  readonly counters: HandshakeCounters;
  readonly clock: Clock;
  readonly isConnected: (peerId: PeerId) => boolean;
  readonly verack: (topicPrefix: string, peerId: PeerId) => Promise<Uint8Array>;
}

interface Answer {
  /** Topic prefix of a version that came too soon and still waits for its answer. */
  pending: string | undefined;
  /** When it was sent or failed; undefined while under way. */
  endedMs: number | undefined;
  /** Runs until the pending answer may be sent. */
  timer: NodeJS.Timeout | undefined;
}

export class Veracks {
  private readonly deps: VeracksDependencies;
  /** The latest answer per peer; finished ones are ordered by their end. */
  private readonly answers = new Map<PeerId, Answer>();
  private stopped = false;

  constructor(deps: VeracksDependencies) {
    this.deps = deps;
    deps.counters.bounded('answers', MAX_ANSWERED, () => this.answers.size);
  }

  /** Answers on a new stream to the author, with the topic prefix that it uses. Unconnected authors are not dialled. */
  request(peerId: PeerId, topicPrefix: string): void {
    if (this.stopped) return;
    const { counters } = this.deps;
    if (!this.deps.isConnected(peerId)) {
      counters.sent('verack', 'stream', 'not_connected');
      return;
    }
    this.forgetOld();
    const last = this.answers.get(peerId);
    if (last !== undefined) this.holdBack(peerId, last, topicPrefix);
    else if (this.answers.size >= MAX_ANSWERED) counters.sent('verack', 'stream', 'too_many');
    else void this.answer(peerId, topicPrefix);
  }

  /** Forgets the peer's last answer; called for a new connection. */
  forget(peerId: PeerId): void {
    clearTimeout(this.answers.get(peerId)?.timer);
    this.answers.delete(peerId);
  }

  stop(): void {
    this.stopped = true;
    for (const peerId of [...this.answers.keys()]) this.forget(peerId);
  }

  private holdBack(peerId: PeerId, last: Answer, topicPrefix: string): void {
    this.deps.counters.sent('verack', 'stream', 'held_back');
    last.pending = topicPrefix;
    this.answerPending(peerId, last);
  }

  /**
   * Sends the pending answer when the interval is over. While the last answer is under way, its end starts the
   * interval.
   */
  private answerPending(peerId: PeerId, last: Answer): void {
    if (last.pending === undefined || last.endedMs === undefined || last.timer !== undefined) return;
    const waitMs = last.endedMs + INTERVAL_MS - this.deps.clock.monotonic();
    const answerNow = () => {
      const { pending } = last;
      this.forget(peerId);
      if (pending !== undefined) this.request(peerId, pending);
    };
    last.timer = setTimeout(answerNow, Math.max(0, waitMs)).unref();
  }

  private forgetOld(): void {
    const oldestMs = this.deps.clock.monotonic() - INTERVAL_MS;
    for (const [peerId, { endedMs, pending }] of this.answers) {
      if (endedMs === undefined) continue;
      if (endedMs > oldestMs || pending !== undefined) return;
      this.answers.delete(peerId);
    }
  }

  private async answer(peerId: PeerId, topicPrefix: string): Promise<void> {
    const answer: Answer = { pending: undefined, endedMs: undefined, timer: undefined };
    this.answers.set(peerId, answer);
    const delivery = await this.deps.sender.send(peerId, () => this.deps.verack(topicPrefix, peerId));
    this.deps.counters.sent('verack', 'stream', delivery);
    // The peer has a new connection, or the handshake has stopped.
    if (this.answers.get(peerId) !== answer) return;
    answer.endedMs = this.deps.clock.monotonic();
    this.answers.delete(peerId);
    this.answers.set(peerId, answer);
    this.answerPending(peerId, answer);
  }
}
