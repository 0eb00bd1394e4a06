// A WebSocket client on the bare socket, written from RFC 6455 alone: it can do everything wrong, stop reading, and see
// every frame.
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { waitFor } from './wait.ts';

export interface ReceivedFrame {
  readonly opcode: number;
  readonly isFinal: boolean;
  readonly isMasked: boolean;
  readonly payload: Buffer;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface DialOptions {
  readonly path?: string;
  /** Instead of or beside those of a right upgrade; `undefined` leaves one out. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Authority for wss. */
  readonly ca?: Buffer;
  readonly httpVersion?: string;
  /** Answer pings; default true. */
  readonly answersPings?: boolean;
  /** Our own address. */
  readonly from?: string;
}

export interface SentFrame {
  readonly opcode: number;
  readonly payload?: Uint8Array;
  readonly isFinal?: boolean;
  readonly isMasked?: boolean;
  readonly reservedBits?: number;
}

export const TEXT = 1;
export const BINARY = 2;
export const CONTINUATION = 0;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

const sockets = new Set<Socket>();

/** Connections of the tests so far are cut. */
export function cutAll(): void {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
}

/** A bare connection. */
export async function dialSocket(address: string, ca?: Buffer, from?: string): Promise<Socket> {
  const { hostname, port } = new URL(`http://${address}`);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const target = { host, port: Number(port), ...(from === undefined ? {} : { localAddress: from }) };
  const socket = ca === undefined ? connect(target) : connectTls({ ...target, ca });
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
  await new Promise<void>((resolve, reject) => {
    socket.once(ca === undefined ? 'connect' : 'secureConnect', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => undefined);
  return socket;
}

/** Text of a right upgrade, with changes. */
export function upgradeText(address: string, options: DialOptions = {}): string {
  const headers = {
    Host: address,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    ...options.headers,
  };
  const lines = Object.entries(headers).filter(([, value]) => value !== undefined);
  const head = `GET ${options.path ?? '/p2p-ws'} HTTP/${options.httpVersion ?? '1.1'}`;
  return `${[head, ...lines.map(([name, value]) => `${name}: ${value}`)].join('\r\n')}\r\n\r\n`;
}

/** What is answered to bytes sent, until the other side closes or the answer is complete. */
export async function ask(address: string, bytes: string | Uint8Array, ca?: Buffer): Promise<Answer> {
  const socket = await dialSocket(address, ca);
  socket.write(bytes);
  return await answerOn(socket);
}

/** The whole answer that comes on a socket. Throws when it is closed without one. */
export async function answerOn(socket: Socket): Promise<Answer> {
  let received = '';
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
  });
  const ended = new Promise<void>((resolve) => socket.once('close', resolve));
  const answer = await Promise.race([
    waitFor(() => parseAnswer(received, false), { timeoutMs: 20_000, what: 'an answer' }),
    ended.then(() => parseAnswer(received, true)),
  ]);
  socket.destroy();
  if (answer === undefined) throw new Error(`closed without an answer: ${received.slice(0, 200)}`);
  return answer;
}

function parseAnswer(text: string, isWhole: boolean): Answer | undefined {
  const at = text.indexOf('\r\n\r\n');
  if (at < 0) return undefined;
  const [statusLine = '', ...lines] = text.slice(0, at).split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const body = text.slice(at + 4);
  const status = Number(statusLine.split(' ')[1]);
  const isComplete = isWhole || status === 101 || body.length >= Number(headers['content-length'] ?? '0');
  return isComplete ? { status, headers, body } : undefined;
}

export class RawWebSocket {
  readonly socket: Socket;
  readonly answer: Answer;
  readonly frames: ReceivedFrame[] = [];
  isGone = false;
  private readonly answersPings: boolean;
  private rest = Buffer.alloc(0);

  private constructor(socket: Socket, answer: Answer, options: DialOptions) {
    this.socket = socket;
    this.answer = answer;
    this.answersPings = options.answersPings ?? true;
    socket.on('data', (chunk: Buffer) => this.receive(chunk));
    socket.once('close', () => {
      this.isGone = true;
    });
    socket.once('end', () => socket.end());
  }

  /** Throws with the status when the upgrade is refused. */
  static async open(address: string, options: DialOptions = {}): Promise<RawWebSocket> {
    const socket = await dialSocket(address, options.ca, options.from);
    socket.write(upgradeText(address, options));
    let head = Buffer.alloc(0);
    const answered = Promise.withResolvers<Answer>();
    const onData = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const answer = parseAnswer(head.toString('latin1'), false);
      if (answer !== undefined) answered.resolve(answer);
    };
    socket.on('data', onData);
    socket.once('close', () => answered.reject(new Error('closed before an answer')));
    const answer = await answered.promise;
    socket.off('data', onData);
    if (answer.status !== 101) throw new Error(`upgrade refused: ${answer.status} ${answer.body}`);
    const client = new RawWebSocket(socket, answer, options);
    client.receive(head.subarray(head.indexOf('\r\n\r\n') + 4));
    return client;
  }

  /** Whole text messages so far. */
  texts(): string[] {
    return this.frames.filter(({ opcode }) => opcode === TEXT).map(({ payload }) => payload.toString('utf8'));
  }

  messages(type?: string): Record<string, unknown>[] {
    const all = this.texts().map((text) => JSON.parse(text) as Record<string, unknown>);
    return type === undefined ? all : all.filter((message) => message.type === type);
  }

  /** Code and reason of the server's close frame. */
  closing(): { code: number; reason: string } | undefined {
    const frame = this.frames.find(({ opcode }) => opcode === CLOSE);
    if (frame === undefined) return undefined;
    return { code: frame.payload.readUInt16BE(0), reason: frame.payload.subarray(2).toString('utf8') };
  }

  async closed(timeoutMs = 10_000): Promise<{ code: number; reason: string }> {
    return await waitFor(() => this.closing(), { timeoutMs, what: 'a close frame' });
  }

  async gone(timeoutMs = 10_000): Promise<void> {
    await waitFor(() => this.isGone, { timeoutMs, what: 'the end of the connection' });
  }

  async received(count: number, type?: string): Promise<Record<string, unknown>[]> {
    return await waitFor(() => this.messages(type).length >= count && this.messages(type), {
      what: `${count} messages of ${type ?? 'any type'}`,
    });
  }

  /** Stops reading: the kernel's buffers fill up. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  send(frame: SentFrame): void {
    this.socket.write(frameBytes(frame));
  }

  private receive(chunk: Buffer): void {
    this.rest = Buffer.concat([this.rest, chunk]);
    for (;;) {
      const frame = parseFrame(this.rest);
      if (frame === undefined) return;
      this.rest = this.rest.subarray(frame.length);
      this.frames.push(frame.frame);
      if (frame.frame.opcode === PING && this.answersPings) this.send({ opcode: PONG, payload: frame.frame.payload });
    }
  }
}

/** As a client sends it: masked by default. */
export function frameBytes(frame: SentFrame): Buffer {
  const payload = Buffer.from(frame.payload ?? []);
  const isMasked = frame.isMasked ?? true;
  const first = ((frame.isFinal ?? true) ? 0x80 : 0) | ((frame.reservedBits ?? 0) << 4) | frame.opcode;
  const head = frameHead(first, payload.length, isMasked);
  if (!isMasked) return Buffer.concat([head, payload]);
  const mask = randomBytes(4);
  for (let i = 0; i < payload.length; i += 1) payload[i] = (payload[i] ?? 0) ^ (mask[i % 4] ?? 0);
  return Buffer.concat([head, mask, payload]);
}

/** First byte, mask bit and length. */
export function frameHead(first: number, length: number, isMasked: boolean): Buffer {
  const bit = isMasked ? 0x80 : 0;
  if (length < 126) return Buffer.of(first, bit | length);
  if (length < 65_536) return Buffer.of(first, bit | 126, length >> 8, length & 0xff);
  const head = Buffer.alloc(10);
  head.set([first, bit | 127]);
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

function parseFrame(bytes: Buffer): { frame: ReceivedFrame; length: number } | undefined {
  if (bytes.length < 2) return undefined;
  const first = bytes[0] ?? 0;
  const second = bytes[1] ?? 0;
  const short = second & 0x7f;
  const start = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (bytes.length < start) return undefined;
  const size = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  if (bytes.length < start + size) return undefined;
  const payload = Buffer.from(bytes.subarray(start, start + size));
  const frame = { opcode: first & 0xf, isFinal: first >= 0x80, isMasked: second >= 0x80, payload };
  return { frame, length: start + size };
}
