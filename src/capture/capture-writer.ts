// Writes a capture beside the event loop: records go into a bounded buffer, and one write after the other takes them to
// the disk. When the buffer or the disk is full, records are dropped and counted, and a record says how many are missing.
// The current part is `file`; when it is full it becomes `file.1`, and so on, and the oldest is deleted.
import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from '../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../ports/metrics.ts';
import { MAGIC } from './frame.ts';

export interface CaptureWriterOptions {
  readonly file: string;
  /** Of one part; a record more may be in it. */
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
const OWNER_ONLY = 0o600;

type Step = Buffer | 'next part';

export class CaptureWriter {
  private readonly deps: CaptureWriterDependencies;
  private readonly options: CaptureWriterOptions;
  private readonly written: Counter;
  private readonly dropped: Counter;
  private readonly steps: Step[] = [];
  private buffered = 0;
  /** Bytes of the current part, those in the buffer included. */
  private partBytes = 0;
  private part = 0;
  /** Records dropped since the last one that was taken. */
  private missing = 0;
  private handle: FileHandle | undefined;
  /** Bytes of whole records on the disk. */
  private goodBytes = 0;
  /** Whether a rotation closed the full part and did not move it yet. */
  private isUnmoved = false;
  private failedAtMs: number | undefined;
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

  /** Begins the first part. Throws the system's errors: a capture that cannot begin is a mistake in the settings. */
  async start(): Promise<void> {
    await this.nextFile();
    this.begin();
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
    await this.draining;
    const { handle } = this;
    this.handle = undefined;
    await handle?.close().catch(() => {});
  }

  private take(frame: Buffer): void {
    if (this.partBytes >= this.options.maxBytes) {
      this.steps.push('next part');
      this.part += 1;
      this.begin();
    }
    this.tellMissing();
    this.push(frame);
  }

  private begin(): void {
    this.partBytes = 0;
    for (const frame of this.deps.beginning(this.part)) this.push(frame);
  }

  private tellMissing(): void {
    if (this.missing === 0) return;
    const { missing } = this;
    this.missing = 0;
    for (const frame of this.deps.gap(missing)) this.push(frame);
  }

  private push(frame: Buffer): void {
    this.steps.push(frame);
    this.buffered += frame.length;
    this.partBytes += frame.length;
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
    const frames: Buffer[] = [];
    let size = 0;
    for (const step of this.steps) {
      if (step === 'next part' || (size > 0 && size + step.length > MAX_WRITE_BYTES)) break;
      frames.push(step);
      size += step.length;
    }
    await this.append(Buffer.concat(frames, size));
    this.steps.splice(0, frames.length);
    this.buffered -= size;
    this.written.add(frames.length);
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
    const steps = this.steps.splice(0);
    const frames = steps.filter((step) => step !== 'next part');
    // The parts that were to begin there do not.
    this.part -= steps.length - frames.length;
    this.buffered = 0;
    this.drop(frames.length, 'disk');
    const { file } = this.options;
    this.deps.log.warn({ file, err: error }, 'failed to write the capture file, records are dropped');
  }

  /** Goes on behind the last whole record, without moving the parts: a full disk must not cost those that are kept. */
  private async retry(): Promise<void> {
    try {
      if (this.handle === undefined) await (this.isUnmoved ? this.reopen() : this.create());
      else await this.handle.truncate(this.goodBytes);
      if (this.goodBytes === 0) await this.append(MAGIC);
      // Room for one record says little, but what fails again costs only as much.
      await this.append(Buffer.concat(this.goodBytes === MAGIC.length ? [...this.deps.beginning(this.part)] : []));
    } catch {
      this.failedAtMs = performance.now();
      this.draining = undefined;
      return;
    }
    this.failedAtMs = undefined;
    this.deps.log.info({ file: this.options.file, missing: this.missing }, 'writing the capture file again');
    this.draining = undefined;
    this.partBytes = this.goodBytes;
    this.tellMissing();
  }

  /** `file` becomes `file.1`, and so on; also what an earlier run left there. */
  private async nextFile(): Promise<void> {
    const { file, maxFiles } = this.options;
    const closing = this.handle;
    this.handle = undefined;
    this.isUnmoved = closing !== undefined;
    await closing?.close();
    const name = (index: number) => (index === 0 ? file : `${file}.${index}`);
    await rm(name(maxFiles - 1), { force: true });
    for (let index = maxFiles - 2; index >= 0; index -= 1) await rename(name(index), name(index + 1)).catch(ifMissing);
    this.isUnmoved = false;
    await this.create();
    await this.append(MAGIC);
  }

  private async create(): Promise<void> {
    this.goodBytes = 0;
    this.handle = await open(this.options.file, 'wx', OWNER_ONLY);
  }

  /** Where a rotation failed before it moved the full part, that part goes on. */
  private async reopen(): Promise<void> {
    this.handle = await open(this.options.file, constants.O_RDWR | constants.O_NOFOLLOW);
    this.part -= 1;
    this.isUnmoved = false;
    await this.handle.truncate(this.goodBytes);
  }
}

function ifMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
