// Notices a reader that does not come back. Its thread has the input, because the one that reads can do nothing any more.
import { Worker } from 'node:worker_threads';

const CHECK_MS = 10_000;
const MAX_BYTES = 2 ** 21;
const HEAD_INTS = 2;

/** In the thread: two checks without another input while one is being read. */
const THREAD = `
  const { workerData: { shared, target, module, checkMs } } = require('node:worker_threads');
  const [head, bytes] = [new Int32Array(shared, 0, 2), new Uint8Array(shared, 8)];
  let before = -1;
  setInterval(async () => {
    const count = Atomics.load(head, 0);
    const hangs = count % 2 === 1 && count === before;
    before = count;
    if (!hangs) return;
    const { keepFound } = await import(module);
    const file = keepFound(target, Buffer.from(bytes.slice(0, head[1])));
    require('node:fs').writeSync(2, target + ': no end within ' + checkMs + ' ms; the input is in ' + file + '\\n');
    process.kill(process.pid, 'SIGKILL');
  }, checkMs);
`;

export class Watchdog {
  private readonly shared = new SharedArrayBuffer(HEAD_INTS * 4 + MAX_BYTES);
  private readonly head = new Int32Array(this.shared, 0, HEAD_INTS);
  private readonly bytes = new Uint8Array(this.shared, HEAD_INTS * 4);
  private readonly worker: Worker;

  constructor(target: string) {
    const workerData = {
      shared: this.shared,
      target,
      module: new URL('./corpus.ts', import.meta.url).href,
      checkMs: CHECK_MS,
    };
    this.worker = new Worker(THREAD, { eval: true, workerData });
    this.worker.unref();
  }

  begins(input: Uint8Array): void {
    this.bytes.set(input);
    this.head[1] = input.length;
    Atomics.add(this.head, 0, 1);
  }

  ended(): void {
    Atomics.add(this.head, 0, 1);
  }

  async stop(): Promise<void> {
    await this.worker.terminate();
  }
}
