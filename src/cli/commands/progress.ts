// Says on a terminal what a command is doing when it takes long. The line is taken back before the result is printed;
// files and pipes get nothing.
import type { OutputStream } from './io.ts';
import { byteCount } from './table.ts';

/** Shorter waiting needs no word. */
const TICK_MS = 1000;
/** Of a line that counts bytes. */
const REDRAW_MS = 100;
const CLEAR_LINE = '\r\u001b[K';

/** Settles as `work` does, and counts the seconds until then. */
export async function waitingShown<T>(work: Promise<T>, what: string, stderr: OutputStream): Promise<T> {
  if (stderr.isTTY !== true) return await work;
  const sinceMs = performance.now();
  let isShown = false;
  const show = () => {
    isShown = true;
    stderr.write(`${CLEAR_LINE}waiting ${what}… ${Math.round((performance.now() - sinceMs) / 1000)} s`);
  };
  const timer = setInterval(show, TICK_MS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (isShown) stderr.write(CLEAR_LINE);
  }
}

/** Counts the bytes of work that keeps the event loop. */
export class BytesShown {
  private readonly what: string;
  private readonly stderr: OutputStream;
  private drawnMs = Number.NEGATIVE_INFINITY;

  constructor(what: string, stderr: OutputStream) {
    this.what = what;
    this.stderr = stderr;
  }

  during<T>(work: (copied: (bytes: number, total: number) => void) => T): T {
    try {
      return work((bytes, total) => this.copied(bytes, total));
    } finally {
      if (Number.isFinite(this.drawnMs)) this.stderr.write(CLEAR_LINE);
    }
  }

  private copied(bytes: number, total: number): void {
    const nowMs = performance.now();
    if (this.stderr.isTTY !== true || nowMs - this.drawnMs < REDRAW_MS) return;
    this.drawnMs = nowMs;
    this.stderr.write(`${CLEAR_LINE}${this.what}… ${byteCount(bytes)} of ${byteCount(Math.max(bytes, total))}`);
  }
}
