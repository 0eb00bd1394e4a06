// One WebSocket client: its bounded buffer, which drops the oldest frames, and the rules for closing it. Frames bypass
// ws and go straight to the socket, because the bytes are the same for every client; ws reads what arrives, answers
// pings and does the closing handshake.
import type { Socket } from 'node:net';
import type { WebSocket } from '@fastify/websocket';
import { BoundedQueue } from '../../../lib/bounded-queue.ts';
import { TokenBucket } from '../../../lib/token-bucket.ts';
import type { Counter } from '../../../ports/metrics.ts';
import { encodeLostFrame } from '../../../wire/notification-frame.ts';
import type { FeedClient } from '../events/event-pump.ts';
import type { Piece } from '../events/event-reading.ts';
import type { Batch, BatchReceiver } from './channels.ts';
import { textFrame } from './frame.ts';
import { ReadProgress } from './progress.ts';

/** Why a client disconnected. A closed set, because it labels a metric. */
export type CloseReason = 'left' | 'too_slow' | 'large' | 'odd' | 'flood' | 'stop' | 'broken';

export interface WsTimes {
  /** Maximum time without progress for a client whose socket is full: no byte sent and no ping answered. */
  readonly noProgressMs: number;
  /** Maximum time to catch up for a client that lost frames and receives no `lost` frames. */
  readonly behindMs: number;
  /**
   * Interval of protocol pings while little is sent; a client that answers none within three intervals does not read.
   */
  readonly pingMs: number;
}

export interface WsClientOptions {
  /** Frames of up to one KiB each; longer ones count as several. */
  readonly bufferFrames: number;
  readonly wantsLost: boolean;
  readonly times: WsTimes;
  /** See ReadProgress. */
  readonly pingBytes: number;
}

interface WsClientDependencies {
  readonly ws: WebSocket;
  readonly socket: Socket;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly sent: Counter;
  readonly writes: Counter;
  readonly lost: Counter;
  /** What a client with ids gets next, instead of what its channel has; undefined while there is nothing. */
  readonly next?: () => Piece | undefined;
  /** Called once, when the connection is closed. */
  readonly onDisconnect: (reason: CloseReason) => void;
}

const TOO_SLOW = 4008;
const CODES = { too_slow: TOO_SLOW, large: 1009, odd: 1003, flood: 1008, stop: 1001 } as const;
const TEXTS = {
  too_slow: 'too slow',
  large: 'message too large',
  odd: 'binary messages are not supported',
  flood: 'too many messages',
  stop: 'server stopping',
} as const;
const KIB = 1024;
/** Queued frames are joined to about this size. */
const MAX_JOINED_BYTES = 64 * KIB;
/** Rate of messages and pings from a client, which has no reason to send any. */
const MESSAGE_RATE = { perSecond: 1, burst: 20 } as const;
/** Maximum bytes from a client between two checks. */
const MAX_READ_BYTES = 64 * KIB;
const MAX_UNANSWERED_PINGS = 3;

/** The frames of a batch, without the joined bytes that no other client may need any more. */
interface Queued {
  readonly frames: readonly Buffer[];
  readonly bytes: number;
}

export class WsClient implements BatchReceiver, FeedClient {
  private readonly deps: WsClientDependencies;
  private readonly options: WsClientOptions;
  private readonly queue: BoundedQueue<Queued>;
  private closeReason: CloseReason | undefined;
  private leaveChannel: (() => void) | undefined;
  private queuedFrames = 0;
  private lostFrames = 0;
  private unreportedFrames = 0;
  private readonly progress: ReadProgress;
  /** When the socket last accepted bytes, or the client last read some. */
  private progressMs: number;
  private bytesOut = 0;
  private lostSinceMs: number | undefined;
  private readBytes = 0;
  private readonly messages: TokenBucket;

  constructor(deps: WsClientDependencies, options: WsClientOptions) {
    this.deps = deps;
    this.options = options;
    this.progressMs = deps.now();
    this.progress = new ReadProgress(options, this.progressMs);
    this.messages = new TokenBucket(MESSAGE_RATE, this.progressMs);
    this.queue = new BoundedQueue<Queued>({
      maxItems: options.bufferFrames,
      maxBytes: options.bufferFrames,
      sizeOf: ({ bytes, frames }) => Math.max(frames.length, Math.ceil(bytes / KIB)),
      onDrop: ({ frames }) => this.countLost(frames.length),
    });
    this.listen();
  }

  /** Number of queued frames. */
  get buffered(): number {
    return this.queuedFrames;
  }

  /** Sends `first` before anything else, then joins a channel or the feed; `join` returns how to leave it. */
  start(first: Buffer, join: (client: WsClient) => () => void): void {
    if (!this.isOpen()) return;
    this.write(first, 1);
    this.leaveChannel = join(this);
  }

  receive({ frames, bytes }: Batch): void {
    if (!this.isOpen()) return;
    if (!this.isBlocked()) {
      this.write(bytes, frames.length);
      return;
    }
    this.queuedFrames += frames.length;
    this.queue.push({ frames, bytes: bytes.length });
  }

  pull(): void {
    while (this.isOpen() && !this.isBlocked()) {
      const piece = this.deps.next?.();
      if (piece === undefined) return;
      this.lostFrames += piece.lost;
      this.deps.lost.add(piece.lost);
      this.write(piece.bytes, piece.items);
    }
  }

  /** Called every second: closes a client that is too slow or floods, and pings. */
  check(): void {
    if (!this.isOpen()) return;
    const nowMs = this.deps.now();
    const { bytesRead } = this.deps.socket;
    const isFlood = bytesRead - this.readBytes > MAX_READ_BYTES;
    this.readBytes = bytesRead;
    this.updateProgress(nowMs);
    if (this.isTooSlow(nowMs)) this.close('too_slow');
    else if (isFlood) this.close('flood');
    else if (this.progress.sincePingMs(nowMs) >= this.options.times.pingMs) this.ping(nowMs);
  }

  /** Sends the reason and the number of lost frames; ws cuts the connection when the client does not answer in time. */
  close(reason: keyof typeof CODES, code: number = CODES[reason]): void {
    if (this.closeReason !== undefined) return;
    this.end(reason);
    const lost = this.lostFrames > 0 || reason === 'too_slow' ? `: ${this.lostFrames} frames lost` : '';
    this.deps.ws.close(code, `${TEXTS[reason]}${lost}`);
  }

  private listen(): void {
    const { ws, socket, onDisconnect } = this.deps;
    socket.on('drain', () => {
      this.sendQueued();
      this.pull();
    });
    ws.on('message', (_data, isBinary) => {
      if (isBinary) this.close('odd');
      else this.countMessage();
    });
    ws.on('ping', () => this.countMessage());
    ws.on('pong', (payload) => {
      const nowMs = this.deps.now();
      if (this.progress.answer(payload, nowMs)) this.progressMs = nowMs;
      else this.countMessage();
    });
    // By then ws has sent the close code for the error.
    ws.on('error', (error) => this.end(reasonOf(error)));
    ws.on('close', () => {
      this.end('left');
      onDisconnect(this.closeReason ?? 'left');
    });
  }

  /** False as soon as either side has begun to close. */
  private isOpen(): boolean {
    return this.closeReason === undefined && this.deps.ws.readyState === this.deps.ws.OPEN;
  }

  /** Stops sending. */
  private end(reason: CloseReason): void {
    if (this.closeReason !== undefined) return;
    this.closeReason = reason;
    this.leaveChannel?.();
    if (reason === 'too_slow' || reason === 'stop') this.dropAll();
  }

  /** Whether the socket's buffer is full; `drain` follows when it is not. */
  private isBlocked(): boolean {
    return this.deps.socket.writableNeedDrain;
  }

  private write(bytes: Buffer, frames: number): void {
    const { sent, writes, socket } = this.deps;
    sent.add(frames);
    writes.add();
    socket.write(bytes);
    const ping = this.progress.wrote(bytes.length, this.deps.now());
    if (ping !== undefined) socket.write(ping);
  }

  private sendQueued(): void {
    if (!this.isOpen()) return;
    while (!this.isBlocked() && this.queue.length > 0) {
      this.reportLost();
      const frames = this.takeQueued();
      this.queuedFrames -= frames.length;
      this.write(Buffer.concat(frames), frames.length);
    }
    // Clients without `lost` frames are closed instead, so that none continues with a gap that it does not know of.
    if (this.queuedFrames === 0 && this.lostSinceMs !== undefined) this.close('too_slow');
  }

  private takeQueued(): Buffer[] {
    const taken: Buffer[] = [];
    for (let bytes = 0; bytes < MAX_JOINED_BYTES; ) {
      const queued = this.queue.shift();
      if (queued === undefined) break;
      taken.push(...queued.frames);
      bytes += queued.bytes;
    }
    return taken;
  }

  /** Sends the size of the gap in front of the next frame. */
  private reportLost(): void {
    if (this.unreportedFrames === 0 || !this.options.wantsLost) return;
    const frame = textFrame(encodeLostFrame(this.unreportedFrames));
    this.unreportedFrames = 0;
    this.write(frame, 1);
  }

  private countLost(frames: number): void {
    this.queuedFrames -= frames;
    this.lostFrames += frames;
    this.unreportedFrames += frames;
    this.deps.lost.add(frames);
    if (!this.options.wantsLost) this.lostSinceMs ??= this.deps.now();
  }

  private dropAll(): void {
    for (let batch = this.queue.shift(); batch !== undefined; batch = this.queue.shift()) {
      this.countLost(batch.frames.length);
    }
  }

  private isTooSlow(nowMs: number): boolean {
    const { noProgressMs, behindMs, pingMs } = this.options.times;
    const hasNoProgress = nowMs - this.progressMs >= noProgressMs;
    const isBehind = this.lostSinceMs !== undefined && nowMs - this.lostSinceMs >= behindMs;
    const readsNothing = this.progress.unansweredMs(nowMs) >= MAX_UNANSWERED_PINGS * pingMs;
    return hasNoProgress || isBehind || readsNothing;
  }

  /** Bytes handed to the kernel are those written minus those still buffered here. */
  private updateProgress(nowMs: number): void {
    const { bytesWritten, writableLength } = this.deps.socket;
    const bytesOut = bytesWritten - writableLength;
    if (!this.isBlocked() || bytesOut !== this.bytesOut) this.progressMs = nowMs;
    this.bytesOut = bytesOut;
  }

  private ping(nowMs: number): void {
    if (!this.isBlocked()) this.deps.socket.write(this.progress.ping(nowMs));
  }

  /** Closes a client that sends too many messages. */
  private countMessage(): void {
    if (!this.messages.take(this.deps.now())) this.close('flood');
  }
}

function reasonOf(error: Error): CloseReason {
  const code = 'code' in error ? String(error.code) : '';
  if (code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' || code === 'WS_ERR_TOO_MANY_BUFFERED_PARTS') return 'large';
  return code.startsWith('WS_ERR_') ? 'odd' : 'broken';
}
