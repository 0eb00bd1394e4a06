// One WebSocket client: a small buffer of its own that drops the oldest, and the rules by which it is closed. What is sent goes past ws, straight
// to the socket, because the bytes are the same for everybody; ws reads what comes, answers pings and does the closing handshake.
import type { Socket } from 'node:net';
import type { WebSocket } from '@fastify/websocket';
import { BoundedQueue } from '../../../lib/bounded-queue.ts';
import type { Counter } from '../../../ports/metrics.ts';
import { encodeLostFrame } from '../../../wire/notification-frame.ts';
import type { Batch, BatchTaker } from './channels.ts';
import { textFrame } from './frame.ts';
import { ReadProgress } from './progress.ts';

/** Why a client is gone. A closed set: it labels a metric. */
export type CloseReason = 'left' | 'too_slow' | 'large' | 'odd' | 'flood' | 'stop' | 'broken';

export interface WsTimes {
  /** For a client whose socket takes no more: without a byte that goes out, and without an answer to a ping in what it has. */
  readonly stallMs: number;
  /** For clients that lost frames and did not ask to be told, until they are level again. */
  readonly behindMs: number;
  /** Between pings of the protocol while little is sent; a client that answers none in three of these times reads nothing. */
  readonly pingMs: number;
}

export interface WsClientOptions {
  /** Of up to a KiB each; longer ones count as several. */
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
  readonly lost: Counter;
  /** Called once, when the connection is gone. */
  readonly onGone: (reason: CloseReason) => void;
}

const TOO_SLOW = 4008;
const CODES = { too_slow: TOO_SLOW, large: 1009, odd: 1003, flood: 1008, stop: 1001 } as const;
const TEXTS = {
  too_slow: 'too slow',
  large: 'message too large',
  odd: 'only text is understood here, and ignored',
  flood: 'too many messages',
  stop: 'the server stops',
} as const;
const KIB = 1024;
/** Messages and pings that a client may send at once, and in a second: it has nothing to say. */
const MESSAGE_BURST = 20;
const MESSAGES_PER_SECOND = 1;
/** In the time between two checks. */
const MAX_READ_BYTES = 64 * KIB;
const MAX_SILENT_PINGS = 3;

export class WsClient implements BatchTaker {
  private readonly deps: WsClientDependencies;
  private readonly options: WsClientOptions;
  private readonly queue: BoundedQueue<Batch>;
  private closeReason: CloseReason | undefined;
  private leaveChannel: (() => void) | undefined;
  private queuedFrames = 0;
  private lostFrames = 0;
  private untoldFrames = 0;
  private readonly progress: ReadProgress;
  /** When the socket last took something, or something in it was last read. */
  private movedMs: number;
  private bytesOut = 0;
  private lostSinceMs: number | undefined;
  private readBytes = 0;
  private messages = { left: MESSAGE_BURST, atMs: 0 };

  constructor(deps: WsClientDependencies, options: WsClientOptions) {
    this.deps = deps;
    this.options = options;
    this.movedMs = deps.now();
    this.progress = new ReadProgress(options, this.movedMs);
    this.queue = new BoundedQueue<Batch>({
      maxItems: options.bufferFrames,
      maxBytes: options.bufferFrames,
      sizeOf: ({ bytes, frames }) => Math.max(frames, Math.ceil(bytes.length / KIB)),
      onDrop: (batch) => this.dropped(batch.frames),
    });
    this.listen();
  }

  /** Frames that wait. */
  get buffered(): number {
    return this.queuedFrames;
  }

  /** `first` is sent before anything else; `join` makes this client a member and returns how to leave. */
  begin(first: Buffer, join: (client: BatchTaker) => () => void): void {
    if (!this.isOpen()) return;
    this.write({ bytes: first, frames: 1 });
    this.leaveChannel = join(this);
  }

  take(batch: Batch): void {
    if (!this.isOpen()) return;
    if (!this.isBlocked()) {
      this.write(batch);
      return;
    }
    this.queuedFrames += batch.frames;
    this.queue.push(batch);
  }

  /** Called each second: time passes for whoever does not read. */
  check(): void {
    if (!this.isOpen()) return;
    const nowMs = this.deps.now();
    const { bytesRead } = this.deps.socket;
    const isFlood = bytesRead - this.readBytes > MAX_READ_BYTES;
    this.readBytes = bytesRead;
    this.noteMovement(nowMs);
    if (this.isTooSlow(nowMs)) this.close('too_slow');
    else if (isFlood) this.close('flood');
    else if (this.progress.sincePingMs(nowMs) >= this.options.times.pingMs) this.ping(nowMs);
  }

  /** The other side is told why, and how much it lost; ws ends the connection when the time for that is over. */
  close(reason: keyof typeof CODES, code: number = CODES[reason]): void {
    if (this.closeReason !== undefined) return;
    this.end(reason);
    const lost = this.lostFrames > 0 || reason === 'too_slow' ? `: ${this.lostFrames} frames lost` : '';
    this.deps.ws.close(code, `${TEXTS[reason]}${lost}`);
  }

  private listen(): void {
    const { ws, socket, onGone } = this.deps;
    socket.on('drain', () => this.pump());
    ws.on('message', (_data, isBinary) => {
      if (isBinary) this.close('odd');
      else this.heard();
    });
    ws.on('ping', () => this.heard());
    ws.on('pong', (payload) => {
      const nowMs = this.deps.now();
      if (this.progress.answer(payload, nowMs)) this.movedMs = nowMs;
      else this.heard();
    });
    // ws has sent the code that belongs to the fault by then.
    ws.on('error', (error) => this.end(reasonOf(error)));
    ws.on('close', () => {
      this.end('left');
      onGone(this.closeReason ?? 'left');
    });
  }

  /** False from the moment on at which either side began to close. */
  private isOpen(): boolean {
    return this.closeReason === undefined && this.deps.ws.readyState === this.deps.ws.OPEN;
  }

  /** Nothing is sent from here on. */
  private end(reason: CloseReason): void {
    if (this.closeReason !== undefined) return;
    this.closeReason = reason;
    this.leaveChannel?.();
    if (reason === 'too_slow' || reason === 'stop') this.dropAll();
  }

  /** Whether the socket takes no more; `drain` tells when it does again. */
  private isBlocked(): boolean {
    return this.deps.socket.writableNeedDrain;
  }

  private write(batch: Batch): void {
    const { sent, socket } = this.deps;
    sent.add(batch.frames);
    socket.write(batch.bytes);
    const ping = this.progress.wrote(batch.bytes.length, this.deps.now());
    if (ping !== undefined) socket.write(ping);
  }

  private pump(): void {
    if (!this.isOpen()) return;
    while (!this.isBlocked()) {
      const batch = this.queue.shift();
      if (batch === undefined) break;
      this.queuedFrames -= batch.frames;
      this.tellLost();
      this.write(batch);
    }
    // Who did not ask to be told while connected is told by being closed: nobody goes on with a gap that he does not know of.
    if (this.queuedFrames === 0 && this.lostSinceMs !== undefined) this.close('too_slow');
  }

  /** The gap is in front of what is sent next. */
  private tellLost(): void {
    if (this.untoldFrames === 0 || !this.options.wantsLost) return;
    const frame = textFrame(encodeLostFrame(this.untoldFrames));
    this.untoldFrames = 0;
    this.write({ bytes: frame, frames: 1 });
  }

  private dropped(frames: number): void {
    this.queuedFrames -= frames;
    this.lostFrames += frames;
    this.untoldFrames += frames;
    this.deps.lost.add(frames);
    if (!this.options.wantsLost) this.lostSinceMs ??= this.deps.now();
  }

  private dropAll(): void {
    for (let batch = this.queue.shift(); batch !== undefined; batch = this.queue.shift()) this.dropped(batch.frames);
  }

  private isTooSlow(nowMs: number): boolean {
    const { stallMs, behindMs, pingMs } = this.options.times;
    const isStalled = nowMs - this.movedMs >= stallMs;
    const isBehind = this.lostSinceMs !== undefined && nowMs - this.lostSinceMs >= behindMs;
    const readsNothing = this.progress.silentMs(nowMs) >= MAX_SILENT_PINGS * pingMs;
    return isStalled || isBehind || readsNothing;
  }

  /** What has gone out of our hands, into those of the kernel, is what was written less what still waits for that. */
  private noteMovement(nowMs: number): void {
    const { bytesWritten, writableLength } = this.deps.socket;
    const bytesOut = bytesWritten - writableLength;
    if (!this.isBlocked() || bytesOut !== this.bytesOut) this.movedMs = nowMs;
    this.bytesOut = bytesOut;
  }

  private ping(nowMs: number): void {
    if (!this.isBlocked()) this.deps.socket.write(this.progress.ping(nowMs));
  }

  /** Takes a token; without one the client is closed. */
  private heard(): void {
    const nowMs = this.deps.now();
    const { left, atMs } = this.messages;
    const tokens = Math.min(MESSAGE_BURST, left + ((nowMs - atMs) / 1000) * MESSAGES_PER_SECOND) - 1;
    this.messages = { left: tokens, atMs: nowMs };
    if (tokens < 0) this.close('flood');
  }
}

function reasonOf(error: Error): CloseReason {
  const code = 'code' in error ? String(error.code) : '';
  if (code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' || code === 'WS_ERR_TOO_MANY_BUFFERED_PARTS') return 'large';
  return code.startsWith('WS_ERR_') ? 'odd' : 'broken';
}
