// What came out of a measured server: how long after the time in its URL each announcement came, and which numbers
// came. Of fixed size and cheap for each message, because it may live in the measured process.
import type { Summary } from './receiver-port.ts';

/** Latencies that are kept; later ones are only counted. 4 MB, of which only what is written takes memory. */
const MAX_LATENCIES = 1_000_000;
/** Announcements of one run that are told apart: 1 MB of bits. */
const MAX_NUMBERS = 8_388_608;
const NUMBER_MARK = '/n=';
const TIME_MARK = '/t=';
const ZERO = 0x30;

export class Arrivals {
  /** Announcements; one that came twice is counted twice. */
  received = 0;
  private unique = 0;
  private measured = 0;
  private readonly micros = new Uint32Array(MAX_LATENCIES);
  private readonly seen = new Uint8Array(MAX_NUMBERS / 8);

  /** A message whose URL ends in `/n=<number>/t=<Unix time in ns>`. */
  add(message: Uint8Array): void {
    const nowMs = performance.timeOrigin + performance.now();
    const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
    const at = bytes.indexOf(NUMBER_MARK);
    const timeAt = bytes.indexOf(TIME_MARK, at);
    if (at < 0 || timeAt < 0) throw new Error(`no number and time in ${bytes.toString('latin1')}`);
    this.received += 1;
    this.mark(digits(bytes, at + NUMBER_MARK.length));
    if (this.measured === MAX_LATENCIES) return;
    this.micros[this.measured] = Math.max(0, nowMs * 1000 - digits(bytes, timeAt + TIME_MARK.length) / 1000);
    this.measured += 1;
  }

  /** What was received until now is left out of the latencies. */
  forget(): void {
    this.measured = 0;
  }

  summary(): Summary {
    const sorted = this.micros.slice(0, this.measured).sort();
    const quantileMs = (q: number) => (sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0) / 1000;
    return { unique: this.unique, p50Ms: quantileMs(0.5), p99Ms: quantileMs(0.99), p999Ms: quantileMs(0.999) };
  }

  private mark(number: number): void {
    if (number >= MAX_NUMBERS) throw new Error(`announcement ${number} (expected at most ${MAX_NUMBERS} in a run)`);
    const byte = this.seen[number >> 3] ?? 0;
    const bit = 1 << (number & 7);
    if ((byte & bit) === 0) this.unique += 1;
    this.seen[number >> 3] = byte | bit;
  }
}

/** The number at an offset; of a time in ns the last two or three digits are rounded. */
function digits(bytes: Buffer, from: number): number {
  let value = 0;
  for (let i = from; ; i += 1) {
    const digit = (bytes[i] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) return value;
    value = value * 10 + digit;
  }
}
