// How far a client has read. The kernel takes megabytes for one that reads slowly and does not tell what is left of them, so pings stand in the
// stream every so many bytes: each answer says that what was in front of it has been read.
import { pingFrame } from './frame.ts';

/** Between pings to a client whose answer is late: who reads 5 KB a second is seen to do so every thirty seconds. */
const LATE_PING_BYTES = 128 * 1024;
/** A sound client answers at once; a busy one within a second or two. */
const LATE_MS = 5000;

export class ReadProgress {
  private readonly pingBytes: number;
  private nextId = 0;
  private bytesSincePing = 0;
  private pingedMs: number;
  /** Oldest first; as many as the kernel takes for one connection. */
  private readonly unanswered: { readonly id: number; readonly atMs: number }[] = [];
  private answeredMs = Number.NEGATIVE_INFINITY;

  /** `pingBytes`: between pings to a client that answers in time. */
  constructor(options: { readonly pingBytes: number }, nowMs: number) {
    this.pingBytes = options.pingBytes;
    this.pingedMs = nowMs;
  }

  /** The ping that is to follow after so many bytes more, if one is due. */
  wrote(bytes: number, nowMs: number): Buffer | undefined {
    this.bytesSincePing += bytes;
    const isLate = this.silentMs(nowMs) >= LATE_MS;
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

  /** Whether a pong answers a ping, and thereby those before it. */
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

  /** How long an answer has been due without any coming. */
  silentMs(nowMs: number): number {
    const [oldest] = this.unanswered;
    return oldest === undefined ? 0 : nowMs - Math.max(oldest.atMs, this.answeredMs);
  }
}
