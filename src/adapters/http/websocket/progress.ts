// How far a client has read. The kernel buffers megabytes for a slow client without showing how much is left, so pings
// are put into the stream every so many bytes: each answer proves that everything before it has been read.
import { pingFrame } from './frame.ts';

/**
 * Bytes between pings to a client whose answer is late: one that reads 5 KB per second shows progress every thirty
 * seconds.
 */
const LATE_PING_BYTES = 128 * 1024;
/** A healthy client answers at once, a busy one within a second or two. */
const LATE_MS = 5000;

export class ReadProgress {
  private readonly pingBytes: number;
  private nextId = 0;
  private bytesSincePing = 0;
  private pingedMs: number;
  /** Oldest first; bounded by what the kernel buffers for one connection. */
  private readonly unanswered: { readonly id: number; readonly atMs: number }[] = [];
  private answeredMs = Number.NEGATIVE_INFINITY;

  /** `pingBytes`: bytes between pings to a client that answers in time. */
  constructor(options: { readonly pingBytes: number }, nowMs: number) {
    this.pingBytes = options.pingBytes;
    this.pingedMs = nowMs;
  }

  /** Counts bytes that were sent; returns a ping when one is due. */
  wrote(bytes: number, nowMs: number): Buffer | undefined {
    this.bytesSincePing += bytes;
    const isLate = this.unansweredMs(nowMs) >= LATE_MS;
    return this.bytesSincePing < (isLate ? LATE_PING_BYTES : this.pingBytes) ? undefined : this.ping(nowMs);
  }

  ping(nowMs: number): Buffer {
    const id = this.nextId;
    this.nextId = (id + 1) % 2 ** 32;
    this.bytesSincePing = 0;
    this.pingedMs = nowMs;
    this.unanswered.push({ id, atMs: nowMs });
    return pingFrame(id);
  }

  /** Whether a pong answers one of our pings; it then answers all earlier ones too. */
  answer(payload: Buffer, nowMs: number): boolean {
    const id = payload.length === 4 ? payload.readUInt32BE() : undefined;
    const at = this.unanswered.findIndex((ping) => ping.id === id);
    if (at < 0) return false;
    this.unanswered.splice(0, at + 1);
    this.answeredMs = nowMs;
    return true;
  }

  sincePingMs(nowMs: number): number {
    return nowMs - this.pingedMs;
  }

  /** How long an answer has been pending without any arriving. */
  unansweredMs(nowMs: number): number {
    const [oldest] = this.unanswered;
    return oldest === undefined ? 0 : nowMs - Math.max(oldest.atMs, this.answeredMs);
  }
}
