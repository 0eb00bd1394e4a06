// Builds and drives the Go test peer (test/interop/go-peer). The binary is cached by the hash of its sources.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { endWithTests } from './cleanup.ts';
import { collectLines } from './json-lines.ts';
import { REPO } from './repo.ts';
import { requireTool } from './tools.ts';

const SOURCES = join(REPO, 'test/interop/go-peer');
const CACHE = join(REPO, '.cache/go-peer');
/**
 * On a busy machine 32 would be too few, and what the peer itself drops says nothing of who is between it and another.
 */
const QUEUES = { outboundQueue: 4096, validateQueue: 4096 };
const ANSWER_DEADLINE_MS = 60_000;

export interface GoPeerOptions {
  readonly listen?: readonly string[];
  readonly psk?: string;
  readonly security?: 'tls' | 'noise' | 'both';
  readonly privateKey?: string;
  readonly agent?: string;
  readonly topics?: readonly string[];
  readonly dht?: 'off' | 'client' | 'server' | 'auto';
  readonly dhtPrefix?: string;
  readonly bootstrap?: readonly string[];
  readonly relayService?: boolean;
  readonly maxMessageSize?: number;
  /** Only these peers may connect. */
  readonly allow?: readonly string[];
  readonly streamProtocol?: string;
  /** RPCs that may wait for one neighbour, beyond which it drops them; 4,096 here, the library's default is 32. */
  readonly outboundQueue?: number;
  /** Messages that may wait for validation, beyond which it drops them; 4,096 here, the library's default is 32. */
  readonly validateQueue?: number;
  /**
   * In no mesh of peers that dial it: what it gets are answers to what it asked for, after it heard that it is there.
   */
  readonly noMesh?: boolean;
  /** Count what is received, keep nothing. */
  readonly discard?: boolean;
}

/** What a Go peer says of itself in a handshake. */
export interface GoHandshake {
  readonly protocol: string;
  /** Full name of the handshake topic, one of `topics`. */
  readonly topic: string;
  readonly says: {
    readonly bestHeight: number;
    readonly bestHash: string;
    readonly dataHubURL: string;
    readonly userAgent: string;
    readonly services?: number;
    readonly topicPrefix: string;
  };
}

export interface GoReceived {
  readonly topic: string;
  readonly data: Buffer;
  readonly author: string;
  readonly neighbour: string;
}

export interface GoConnection {
  readonly peerId: string;
  readonly address: string;
  readonly direction: 'inbound' | 'outbound';
  readonly security: string;
  readonly agent: string;
  readonly protocols: readonly string[];
  readonly limited: boolean;
}

export interface GoMesh {
  readonly mesh: Readonly<Record<string, readonly string[]>>;
  readonly subscribers: Readonly<Record<string, readonly string[]>>;
  readonly counts: Readonly<Record<string, number>>;
}

export interface GoStats {
  readonly counts: Readonly<Record<string, number>>;
  readonly unique: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Path of the built binary; builds it when its sources changed. Throws when a tool is missing. */
export function goPeerBinary(): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(SOURCES).sort()) hash.update(name).update(readFileSync(join(SOURCES, name)));
  const binary = join(CACHE, hash.digest('hex').slice(0, 16));
  if (existsSync(binary)) return binary;
  requireTool('go', ['version'], 'Go 1.24 or newer');
  mkdirSync(CACHE, { recursive: true });
  const fresh = `${binary}.${process.pid}`;
  execFileSync('go', ['build', '-o', fresh, '.'], {
    cwd: SOURCES,
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: 600_000,
  });
  renameSync(fresh, binary);
  return binary;
}

export class GoPeer {
  readonly peerId: string;
  /** Full multiaddrs. */
  readonly addresses: readonly string[];
  private readonly send: <T>(cmd: string, args?: unknown) => Promise<T>;
  private readonly child: ChildProcess;

  private constructor(child: ChildProcess, send: GoPeer['send'], info: { peerId: string; addresses: string[] }) {
    this.child = child;
    this.send = send;
    this.peerId = info.peerId;
    this.addresses = info.addresses;
  }

  static async start(options: GoPeerOptions): Promise<GoPeer> {
    const child = spawn(goPeerBinary(), [], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, GOMAXPROCS: '2' },
    });
    endWithTests(child);
    const send = commandChannel(child);
    await send('init', { ...QUEUES, ...options });
    return new GoPeer(child, send, await send('info'));
  }

  connect(address: string): Promise<unknown> {
    return this.send('connect', { address });
  }

  disconnect(peerId: string): Promise<unknown> {
    return this.send('disconnect', { peerId });
  }

  connections(): Promise<GoConnection[]> {
    return this.send('peers');
  }

  async isConnectedTo(peerId: string): Promise<boolean> {
    return (await this.connections()).some((connection) => connection.peerId === peerId);
  }

  mesh(): Promise<GoMesh> {
    return this.send('mesh');
  }

  publish(topic: string, data: Uint8Array | string): Promise<unknown> {
    return this.send('publish', { topic, data: Buffer.from(data).toString('base64') });
  }

  /** In the background; see `publishStatus`. */
  publishMany(job: { topic: string; file?: string; subtrees?: number; ratePerSecond: number }): Promise<unknown> {
    return this.send('publishMany', job);
  }

  /**
   * One message each as so many strangers, whose ids it resolves with; `PEER_ID` in the template becomes the author's.
   * See `publishStatus`.
   */
  publishAs(job: { topic: string; template: string; count: number; ratePerSecond: number }): Promise<string[]> {
    return this.send('publishAs', job);
  }

  /**
   * Subtree announcements as one stranger, handed to one neighbour in a form that no library writes and Go takes for
   * valid. Resolves with the stranger's id. `unknown_field`: signed over as well; `wide_tag`: one whose tag is longer
   * than need be; `high_s`: the larger of the two secp256k1 signatures; `many_in_one`: all of them, over 1 KiB each, in
   * one frame.
   */
  publishRaw(job: {
    address: string;
    topic: string;
    kind: 'unknown_field' | 'wide_tag' | 'high_s' | 'many_in_one';
    count: number;
  }): Promise<string> {
    return this.send('publishRaw', job);
  }

  /**
   * Ends the streams on which a neighbour gossips to us, as Go does when it cannot read a frame. Resolves with how
   * many.
   */
  resetGossip(peerId: string): Promise<number> {
    return this.send('resetGossip', { peerId });
  }

  /** So many hosts of their own connect, say that they speak gossip, and never answer on a stream of it. */
  silentGossip(job: { address: string; count: number }): Promise<number> {
    return this.send('silentGossip', job);
  }

  /** So many hosts of their own connect, ask to be in the mesh of a topic, and read nothing of what they are sent. */
  deafGossip(job: { address: string; topic: string; count: number }): Promise<number> {
    return this.send('deafGossip', job);
  }

  /**
   * Frames of gossip that a host of its own writes as fast as they are taken, on so many streams at once; resolves when
   * all are written or the time is over. `unfinished`: one byte of each is never sent.
   */
  flood(job: {
    address: string;
    topic: string;
    kind: 'graft_prune' | 'long_ids' | 'bad_ed25519' | 'bad_secp256k1' | 'unfinished';
    perFrame?: number;
    frames?: number;
    seconds?: number;
    streams?: number;
  }): Promise<{ written: number; error?: string }> {
    return this.send('flood', job);
  }

  /**
   * So many hosts of their own connect and stay; they gossip nothing. With `from`, 127.0.1 say, each has an address of
   * its own there.
   */
  crowd(job: { address: string; count: number; from?: string }): Promise<number> {
    return this.send('crowd', job);
  }

  /** Registers as provider with a neighbour, so many times, each with so many addresses that are none. */
  manyAddresses(job: { peerId: string; protocol: string; addresses: number; times: number }): Promise<unknown> {
    return this.send('manyAddresses', job);
  }

  publishStatus(): Promise<{ running: number; published: number; failed: number }> {
    return this.send('publishStatus');
  }

  async received(topic: string): Promise<GoReceived[]> {
    const all = await this.send<{ topic: string; data: string; author: string; neighbour: string }[]>('received', {
      topic,
    });
    return all.map((each) => ({ ...each, data: Buffer.from(each.data, 'base64') }));
  }

  /** Messages received by topic; cheap. */
  counts(): Promise<Readonly<Record<string, number>>> {
    return this.send('receivedCounts');
  }

  stats(): Promise<GoStats> {
    return this.send('receivedStats');
  }

  /** Resets the latencies of `stats`. */
  forgetLatencies(): Promise<unknown> {
    return this.send('forgetLatencies');
  }

  clearReceived(): Promise<unknown> {
    return this.send('clearReceived');
  }

  rusage(): Promise<{ cpuMicros: number; maxRssBytes: number; rssBytes: number }> {
    return this.send('rusage');
  }

  async streams(): Promise<{ peerId: string; data: Buffer; error?: string }[]> {
    const all = await this.send<{ peerId: string; data: string; error?: string }[]>('streams');
    return all.map((each) => ({ ...each, data: Buffer.from(each.data, 'base64') }));
  }

  streamSend(stream: {
    peerId: string;
    protocol: string;
    data: string;
    pauseMs?: number;
    keepOpen?: boolean;
    repeat?: number;
  }): Promise<{ written: number; writeError: string; readError: string; ms: number }> {
    return this.send('streamSend', { ...stream, data: Buffer.from(stream.data).toString('base64') });
  }

  /**
   * From now on it takes part in the handshake as the Teranode server does; who is connected already gets no version.
   */
  handshake(handshake: GoHandshake): Promise<unknown> {
    return this.send('handshake', handshake);
  }

  dhtProvide(key: string): Promise<unknown> {
    return this.send('dhtProvide', { key });
  }

  dhtFind(key: string): Promise<string[]> {
    return this.send('dhtFind', { key });
  }

  /** Advertises and looks for peers as the network's nodes do. */
  rendezvous(): Promise<unknown> {
    return this.send('rendezvous');
  }

  relayReserve(address: string): Promise<unknown> {
    return this.send('relayReserve', { address });
  }

  /** From now on it neither reads nor answers, and its connections stay open. */
  freeze(): void {
    this.child.kill('SIGSTOP');
  }

  thaw(): void {
    this.child.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    this.thaw();
    const exited = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin?.end();
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 3000);
    await exited;
    clearTimeout(timer);
  }
}

function commandChannel(child: ChildProcess): GoPeer['send'] {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4000);
  });
  let ended: Error | undefined;
  child.once('exit', (code) => {
    ended = new Error(`Go peer ended (${code}): ${errors}`);
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
  });
  if (child.stdout === null) throw new Error('no stdout');
  collectLines(child.stdout, (line) => {
    const each = waiting.get(Number(line.id));
    waiting.delete(Number(line.id));
    if (line.ok === true) each?.resolve(line.result);
    else each?.reject(new Error(String(line.error)));
  });
  let lastId = 0;
  return <T>(cmd: string, args: unknown = {}) => {
    if (ended !== undefined) return Promise.reject(ended);
    lastId += 1;
    const id = lastId;
    const answer = new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(new Error(`Go peer gave no answer to ${cmd}`));
      }, ANSWER_DEADLINE_MS);
      waiting.set(id, {
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value as T);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
    });
    child.stdin?.write(`${JSON.stringify({ id, cmd, args })}\n`);
    return answer;
  };
}
