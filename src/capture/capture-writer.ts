// Writes a capture beside the event loop: records go into a bounded buffer, and one write after the other takes them to
// the disk. When the buffer or the disk is full, records are dropped and counted, and a record says how many are
// missing. The current part is `file`; when it is full it becomes `file.1`, and so on, and the oldest is deleted.
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, rename, rm } from 'node:fs/promises';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { P2PError } from '../lib/errors.ts';
import type { Logger } from '../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../ports/metrics.ts';
import { isCapture, MAGIC } from './frame.ts';

export interface CaptureWriterOptions {
  readonly file: string;
  /** Of one part; a record more may be in it, and twice the state that it begins with if that is more. */
  readonly maxBytes: number;
  /** Parts kept, the current one included. */
  readonly maxFiles: number;
}

export interface CaptureWriterDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** The frames that a part begins with; `part` counts from 0. */
  readonly beginning: (part: number) => readonly Buffer[];
  /** The record that says how many are missing in its place, and those that repeat the state. */
  readonly gap: (records: number) => readonly Buffer[];
}

/** Half a second of a flood of 12,000 messages per second. */
export const MAX_BUFFER_BYTES = 16 * 1024 * 1024;
/** One write takes so much at most, so that what fails costs no more. */
const MAX_WRITE_BYTES = 1024 * 1024;
const RETRY_MS = 2000;
const ROOM_POLL_MS = 5;
/** Further failures within this time are logged as details. */
const SAME_OUTAGE_MS = 600_000;
const OWNER_ONLY = 0o600;

/** Bytes that are written as a whole. */
interface Chunk {
  readonly bytes: Buffer;
  /** Records of the node in it; none where it only repeats the state. */
  readonly records: number;
  /** Records that it says are missing. */
  readonly missing: number;
}

type Step = Chunk | 'next part';

export class CaptureWriter {
  private readonly deps: CaptureWriterDependencies;
  private readonly options: CaptureWriterOptions;
  private readonly written: Counter;
  private readonly dropped: Counter;
  private readonly steps: Step[] = [];
  private buffered = 0;
  /** Bytes of the current part, those in the buffer included. */
  private partBytes = 0;
  /** Bytes from which on the next part begins. */
  private partLimit = Number.POSITIVE_INFINITY;
  /** The number of the part that is being filled, and of that on the disk, which is an earlier one while parts wait. */
  private part = 0;
  private partOnDisk = 0;
  /** Records dropped since the last one that was taken. */
  private missing = 0;
  private handle: FileHandle | undefined;
  /** Bytes of whole records on the disk. */
  private goodBytes = 0;
  private failedAtMs: number | undefined;
  private warnedAtMs = Number.NEGATIVE_INFINITY;
  /** Whether a failure was logged, and not yet its end. */
  private isWarned = false;
  private draining: Promise<void> | undefined;
  private isStopped = false;

  constructor(deps: CaptureWriterDependencies, options: CaptureWriterOptions) {
    this.deps = deps;
    this.options = options;
    const { metrics } = deps;
    this.written = metrics.counter('teranode_p2p_capture_records_total', 'Records written to the capture file');
    this.dropped = metrics.counter(
      'teranode_p2p_capture_dropped_total',
      'Records missing in the capture file, by reason: the buffer was full, the disk refused them, or one was too large',
      ['reason'],
    );
    const gauge = {
      name: 'teranode_p2p_capture_buffer_bytes',
      help: 'Bytes that wait to be written to the capture file',
    };
    gaugeWithBound(metrics, gauge, () => this.buffered, MAX_BUFFER_BYTES);
    for (const reason of ['buffer_full', 'disk', 'too_large']) this.dropped.add(0, { reason });
  }

  /** Begins the first part. Throws errors of files: a capture that cannot begin is a mistake in the settings. */
  async start(): Promise<void> {
    await this.moveParts();
    await this.create();
    this.begin();
  }

  /** Begins the next part when this one is full; to be called before an input changes what a part begins with. */
  makeRoom(): void {
    if (this.isStopped || this.failedAtMs !== undefined || this.partBytes < this.partLimit) return;
    this.steps.push('next part');
    this.part += 1;
    this.begin();
  }

  /** Resolves when half of the buffer is free, or at that monotonic time. */
  async room(untilMs: number): Promise<void> {
    while (this.buffered > MAX_BUFFER_BYTES / 2 && performance.now() < untilMs) await pause(ROOM_POLL_MS);
  }

  /** Takes a record; undefined is one that was too large. Never waits and never throws. */
  write(frame: Buffer | undefined): void {
    if (this.isStopped) return;
    if (frame === undefined) this.drop(1, 'too_large');
    else if (this.failedAtMs !== undefined) this.dropWhileFailed(this.failedAtMs);
    else if (this.buffered + frame.length > MAX_BUFFER_BYTES) this.drop(1, 'buffer_full');
    else this.take(frame);
  }

  /** Writes what waits, then closes; the caller bounds the time. May be called twice. */
  async stop(): Promise<void> {
    this.isStopped = true;
    while (this.draining !== undefined) await this.draining;
    const { handle } = this;
    this.handle = undefined;
    await handle?.close().catch(() => {});
  }

  private take(frame: Buffer): void {
    const { missing } = this;
    this.missing = 0;
    if (missing > 0) this.push({ bytes: Buffer.concat(this.deps.gap(missing)), records: 0, missing });
    this.push({ bytes: frame, records: 1, missing: 0 });
  }

  private begin(): void {
    const bytes = Buffer.concat(this.deps.beginning(this.part));
    this.partBytes = 0;
    this.partLimit = Math.max(this.options.maxBytes, 2 * bytes.length);
    this.push({ bytes, records: 0, missing: 0 });
  }

  private push(chunk: Chunk): void {
    this.steps.push(chunk);
    this.buffered += chunk.bytes.length;
    this.partBytes += chunk.bytes.length;
    this.draining ??= this.drain();
  }

  private drop(records: number, reason: 'buffer_full' | 'disk' | 'too_large'): void {
    this.missing += records;
    this.dropped.add(records, { reason });
  }

  /** From time to time a record tries whether the disk takes them again. */
  private dropWhileFailed(failedAtMs: number): void {
    this.drop(1, 'disk');
    if (this.draining === undefined && performance.now() - failedAtMs >= RETRY_MS) this.draining = this.retry();
  }

  private async drain(): Promise<void> {
    // Yields once, so that the records of one turn of the event loop are written together.
    await nextTurn();
    try {
      for (let step = this.steps[0]; step !== undefined; step = this.steps[0]) {
        if (step === 'next part') {
          this.steps.shift();
          await this.nextFile();
        } else await this.writeSome();
      }
    } catch (error) {
      this.failed(error);
    }
    // In the same step in which nothing was left: the next record starts the drain again.
    this.draining = undefined;
  }

  private async writeSome(): Promise<void> {
    const chunks: Chunk[] = [];
    let size = 0;
    for (const step of this.steps) {
      if (step === 'next part' || (size > 0 && size + step.bytes.length > MAX_WRITE_BYTES)) break;
      chunks.push(step);
      size += step.bytes.length;
    }
    await this.append(
      Buffer.concat(
        chunks.map(({ bytes }) => bytes),
        size,
      ),
    );
    this.steps.splice(0, chunks.length);
    this.buffered -= size;
    this.written.add(sumOf(chunks, 'records'));
  }

  private async append(bytes: Buffer): Promise<void> {
    if (this.handle === undefined) throw new Error('the capture file is not open');
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await this.handle.write(bytes, at, bytes.length - at, this.goodBytes + at);
      at += bytesWritten;
    }
    this.goodBytes += bytes.length;
  }

  /** What waits is dropped: the disk may stay full for hours, and the node goes on. */
  private failed(error: unknown): void {
    this.failedAtMs = performance.now();
    const chunks = this.steps.splice(0).filter((step) => step !== 'next part');
    // The parts that were to begin there do not.
    this.part = this.partOnDisk;
    this.buffered = 0;
    this.missing += sumOf(chunks, 'missing');
    this.drop(sumOf(chunks, 'records'), 'disk');
    const { file } = this.options;
    const { log } = this.deps;
    if (this.failedAtMs - this.warnedAtMs < SAME_OUTAGE_MS) {
      log.debug({ file, err: error }, 'failed to write the capture file again');
      return;
    }
    this.warnedAtMs = this.failedAtMs;
    this.isWarned = true;
    log.warn({ file, err: error }, 'failed to write the capture file, records are dropped');
  }

  /**
   * Goes on behind the last whole record: with the gap, or with the next part if this one is full. The parts are not
   * moved for anything else, as a full disk must not cost those that are kept.
   */
  private async retry(): Promise<void> {
    const { missing } = this;
    try {
      if (this.handle === undefined) await this.create();
      else if (this.goodBytes >= this.partLimit) await this.nextFile();
      else await this.handle.truncate(this.goodBytes);
      if (this.goodBytes === 0) await this.append(MAGIC);
      const beginning = this.goodBytes === MAGIC.length ? this.deps.beginning(this.partOnDisk) : [];
      await this.append(Buffer.concat([...beginning, ...this.deps.gap(missing)]));
    } catch {
      this.failedAtMs = performance.now();
      this.draining = undefined;
      return;
    }
    this.missing -= missing;
    this.failedAtMs = undefined;
    this.draining = undefined;
    this.part = this.partOnDisk;
    this.partBytes = this.goodBytes;
    if (this.isWarned) this.deps.log.info({ file: this.options.file, missing }, 'writing the capture file again');
    this.isWarned = false;
  }

  private async nextFile(): Promise<void> {
    await this.moveParts();
    const { handle } = this;
    this.handle = undefined;
    this.partOnDisk += 1;
    await handle?.close();
    await this.create();
  }

  /**
   * `file` becomes `file.1`, and so on, also what an earlier run left there. Throws before anything is moved where a
   * name is that of something else.
   */
  private async moveParts(): Promise<void> {
    const { file, maxFiles } = this.options;
    const names = Array.from({ length: maxFiles }, (_, index) => (index === 0 ? file : `${file}.${index}`));
    for (const name of names) await mustBeCapture(name);
    await rm(names.at(-1) ?? file, { force: true });
    for (let index = maxFiles - 2; index >= 0; index -= 1)
      await rename(names[index] ?? '', names[index + 1] ?? '').catch(ifMissing);
  }

  private async create(): Promise<void> {
    this.goodBytes = 0;
    this.handle = await open(this.options.file, 'wx', OWNER_ONLY);
    await this.append(MAGIC);
  }
}

function sumOf(chunks: readonly Chunk[], field: 'records' | 'missing'): number {
  return chunks.reduce((sum, chunk) => sum + chunk[field], 0);
}

/** Throws FILE_UNUSABLE for what is neither a capture nor empty: it is not ours to move or delete. */
async function mustBeCapture(name: string): Promise<void> {
  const stats = await lstat(name).catch(ifMissing);
  if (stats === undefined) return;
  const isEmpty = stats.isFile() && stats.size === 0;
  if (isEmpty || (stats.isFile() && (await beginsAsCapture(name)))) return;
  throw new P2PError('FILE_UNUSABLE', `${name} is not a capture, and a capture would take its place`);
}

async function beginsAsCapture(name: string): Promise<boolean> {
  const handle = await open(name, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAGIC.length), 0, MAGIC.length, 0);
    return isCapture(buffer.subarray(0, bytesRead));
  } finally {
    await handle.close();
  }
}

function ifMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
