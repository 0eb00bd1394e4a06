// A libp2p stream in memory: as much of one as those that read a single message use.
import type { Stream } from '@libp2p/interface';
import type { Random } from '../engine/mutator.ts';

export class MemoryStream extends EventTarget {
  readonly protocol: string;
  status: 'open' | 'closed' | 'aborted' = 'open';
  remoteWriteStatus: 'writable' | 'closed' = 'writable';
  readBufferLength = 0;
  readonly answer: Uint8Array[] = [];

  constructor(protocol: string) {
    super();
    this.protocol = protocol;
  }

  asStream(): Stream {
    return this as unknown as Stream;
  }

  /** What the other side sends, in pieces; then it closes its writing side, the whole stream, or fails. */
  async receive(bytes: Uint8Array, random: Random): Promise<void> {
    for (let at = 0; at < bytes.length && this.status === 'open'; ) {
      const end = at + 1 + random.below(random.below(2) === 0 ? 16 : bytes.length);
      this.dispatchEvent(Object.assign(new Event('message'), { data: Buffer.from(bytes.subarray(at, end)) }));
      at = end;
      if (random.below(4) === 0) await Promise.resolve();
    }
    const end = random.below(8);
    if (end === 0) this.abort(new Error('reset by the other side'));
    else if (end === 1) this.closed();
    else {
      this.remoteWriteStatus = 'closed';
      this.dispatchEvent(new Event('remoteCloseWrite'));
    }
  }

  send(bytes: Uint8Array): boolean {
    if (this.status !== 'open') throw new Error('sent on a stream that is not open');
    this.answer.push(bytes);
    return true;
  }

  async close(): Promise<void> {
    this.closed();
  }

  async closeRead(): Promise<void> {}

  abort(error: Error): void {
    if (this.status !== 'open') return;
    this.status = 'aborted';
    this.dispatchEvent(Object.assign(new Event('close'), { error }));
  }

  private closed(): void {
    if (this.status !== 'open') return;
    this.status = 'closed';
    this.dispatchEvent(new Event('close'));
  }
}
