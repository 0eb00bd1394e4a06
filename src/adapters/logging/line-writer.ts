// Writes log lines without ever waiting for who reads them. A pipe, socket or terminal that nobody reads gets a bounded
// backlog, and a disk that is full none; further lines are dropped and counted until writing works again.
import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Clock } from '../../ports/clock.ts';
import type { Counter } from '../../ports/metrics.ts';

/** Where lines go. */
export interface LineOutput {
  /** Calls `done` once, when the line is written or lost; never throws. */
  write(line: string, done: (error?: Error | null) => void): void;
  /** Accepted and not yet written. */
  pendingBytes(): number;
}

export interface LineWriterOptions {
  /** Bytes that may wait. Default 1 MiB. */
  readonly maxPendingBytes?: number;
  /** Writing works again; `lines` were lost since it last did. */
  readonly onResumed: (lines: number) => void;
}

const MAX_PENDING_BYTES = 1024 * 1024;
/** After a failed write, such as to a closed pipe or a full disk. */
const RETRY_AFTER_MS = 1000;

export class LineWriter {
  private readonly deps: { readonly output: LineOutput; readonly clock: Clock; readonly dropped: Counter | undefined };
  private readonly options: LineWriterOptions;
  private readonly maxPendingBytes: number;
  private isFull = false;
  private retryAtMs = Number.NEGATIVE_INFINITY;
  private lost = 0;

  constructor(deps: LineWriter['deps'], options: LineWriterOptions) {
    this.deps = deps;
    this.options = options;
    this.maxPendingBytes = options.maxPendingBytes ?? MAX_PENDING_BYTES;
  }

  /** `line` ends with a line feed. */
  write(line: string): void {
    const { output, clock } = this.deps;
    // Once full, it stays full until all is written, so that lines are lost in one stretch.
    this.isFull ||= output.pendingBytes() >= this.maxPendingBytes;
    if (this.isFull || clock.monotonic() < this.retryAtMs) this.drop();
    else output.write(line, this.written);
  }

  private readonly written = (error?: Error | null): void => {
    const { output, clock } = this.deps;
    if (error) {
      this.drop();
      this.retryAtMs = clock.monotonic() + RETRY_AFTER_MS;
    }
    if (output.pendingBytes() > 0) return;
    this.isFull = false;
    if (error || this.lost === 0) return;
    const lines = this.lost;
    this.lost = 0;
    this.options.onResumed(lines);
  };

  private drop(): void {
    this.lost += 1;
    this.deps.dropped?.add(1);
  }
}

/** Standard output of this process, whatever it is. */
export function standardOutput(): LineOutput {
  const { stdout } = process;
  if (!((stdout as NodeJS.WritableStream) instanceof Socket)) return new FileOutput(1);
  neverBlocks(stdout);
  return {
    write: (line, done) => {
      stdout.write(line, done);
    },
    pendingBytes: () => stdout.writableLength,
  };
}

/**
 * From now on writing to standard output or standard error neither waits for a terminal that is stopped nor throws when
 * nobody can read any more.
 */
export function neverBlocks(stream: NodeJS.WriteStream): void {
  // Node makes terminals block, and offers no other way to undo it.
  const { _handle: handle } = stream as { _handle?: { setBlocking?: (isBlocking: boolean) => void } };
  if (stream.isTTY) handle?.setBlocking?.(false);
  if (!stream.listeners('error').includes(ignore)) stream.on('error', ignore);
}

function ignore(): void {}

/** A file, which Node writes at once. A line that only fits in part, as on a full disk, is ended when writing works again. */
class FileOutput implements LineOutput {
  private readonly fd: number;
  private isTorn = false;

  constructor(fd: number) {
    this.fd = fd;
  }

  write(line: string, done: (error?: Error) => void): void {
    const bytes = Buffer.from(this.isTorn ? `\n${line}` : line);
    let at = 0;
    try {
      while (at < bytes.length) at += writeSync(this.fd, bytes, at);
      this.isTorn = false;
      done();
    } catch (error) {
      this.isTorn ||= at > 0;
      done(error instanceof Error ? error : new Error('write failed'));
    }
  }

  pendingBytes(): number {
    return 0;
  }
}
