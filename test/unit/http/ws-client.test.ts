// Which clients are too slow, with the program's own times. As on Linux, the kernel buffers megabytes and then waits
// until there is room for many.
import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';
import { WsClient } from '../../../src/adapters/http/websocket/client.ts';
import { PING_BYTES, TIMES } from '../../../src/adapters/http/websocket/hub.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

const MIB = 1024 * 1024;
const PING = 0x89;
const STEP_MS = 100;

interface Scene {
  readonly kernelBytes: number;
  /** A second. */
  readonly readBytes: number;
  readonly answersPings: boolean;
}

/** What ws and the socket are to a client, and the other side. */
class FakeConnection extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bytesRead = 0;
  bytesWritten = 0;
  writableLength = 0;
  writableNeedDrain = false;
  closeCode: number | undefined;
  private readonly scene: Scene;
  private inKernel = 0;
  private read = 0;
  /** Where in the stream they end. */
  private readonly pings: { readonly at: number; readonly payload: Buffer }[] = [];

  constructor(scene: Scene) {
    super();
    this.scene = scene;
  }

  write(bytes: Buffer): boolean {
    this.bytesWritten += bytes.length;
    if (bytes[0] === PING) this.pings.push({ at: this.bytesWritten, payload: bytes.subarray(2) });
    if (!this.writableNeedDrain && this.inKernel < this.scene.kernelBytes) this.inKernel += bytes.length;
    else this.writableLength += bytes.length;
    this.writableNeedDrain = this.writableLength > 0;
    return !this.writableNeedDrain;
  }

  close(code: number): void {
    this.closeCode = code;
    this.readyState = 2;
  }

  /** The other side reads for a while; the kernel takes more once two thirds of what it has are left. */
  step(): void {
    const bytes = Math.min(this.inKernel, (this.scene.readBytes * STEP_MS) / 1000);
    this.inKernel -= bytes;
    this.read += bytes;
    while (this.pings[0] !== undefined && this.pings[0].at <= this.read) {
      const { payload } = this.pings.shift() as { payload: Buffer };
      if (this.scene.answersPings) this.emit('pong', payload);
    }
    if (this.writableNeedDrain && this.inKernel < (this.scene.kernelBytes * 2) / 3) {
      this.inKernel += this.writableLength;
      this.writableLength = 0;
      this.writableNeedDrain = false;
      this.emit('drain');
    }
  }
}

/** How a client is closed within five minutes of 330 KB a second; undefined: not at all. */
function closeCodeOf(scene: Scene): number | undefined {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const connection = new FakeConnection(scene);
  const client = new WsClient(
    {
      ws: connection as never,
      socket: connection as never,
      now: () => clock.monotonic(),
      sent: metrics.counter('sent'),
      writes: metrics.counter('writes'),
      lost: metrics.counter('lost'),
      onDisconnect: () => undefined,
    },
    { bufferFrames: 4000, wantsLost: true, times: TIMES, pingBytes: PING_BYTES },
  );
  const frames = Array.from({ length: 100 }, () => Buffer.alloc(330));
  const batch = { frames, bytes: Buffer.concat(frames) };
  client.start(Buffer.alloc(300), () => () => undefined);
  for (let ms = 0; ms < 300_000 && connection.closeCode === undefined; ms += STEP_MS) {
    client.receive(batch);
    connection.step();
    clock.advance(STEP_MS);
    if (ms % 1000 === 0) client.check();
  }
  return connection.closeCode;
}

describe.each([1, 5, 40])('with a kernel that buffers %i MiB', (mib) => {
  const kernelBytes = mib * MIB;

  test.each([70_000, 100_000, 1_000_000])('does not close a client that reads %i bytes per second', (readBytes) => {
    expect(closeCodeOf({ kernelBytes, readBytes, answersPings: true })).toBeUndefined();
  });

  test('closes a client that reads nothing', () => {
    expect(closeCodeOf({ kernelBytes, readBytes: 0, answersPings: true })).toBe(4008);
  });

  test('closes a client that reads but answers no ping', () => {
    expect(closeCodeOf({ kernelBytes, readBytes: 100_000, answersPings: false })).toBe(4008);
  });
});
