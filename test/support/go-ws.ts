// Builds and drives the Go WebSocket client (test/interop/go-ws): many connections at once, of which some never read.
// Cached by the hash of its sources.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { endWithTests } from './cleanup.ts';
import { collectLines } from './json-lines.ts';
import { REPO } from './repo.ts';
import { requireTool } from './tools.ts';

const SOURCES = join(REPO, 'test/interop/go-ws');
const CACHE = join(REPO, '.cache/go-ws');
const BUILD_DEADLINE_MS = 600_000;
const ANSWER_DEADLINE_MS = 60_000;

export interface GoWsGroup {
  readonly group: string;
  readonly url: string;
  readonly clients: number;
  /** Default true. */
  readonly reads?: boolean;
  /** So many frames of each client are kept whole. */
  readonly keep?: number;
  /** For `measured`. */
  readonly measures?: boolean;
  readonly caFile?: string;
  readonly origin?: string;
}

export interface GoWsOpened {
  readonly opened: number;
  /** Status of refused upgrades, or the error, with how often. */
  readonly refused: Readonly<Record<string, number>>;
}

export interface GoWsReport {
  readonly clients: number;
  readonly open: number;
  /** Fewest and most frames that one client got, by type. */
  readonly types: Readonly<Record<string, { readonly min: number; readonly max: number }>>;
  /** See `subtreeFingerprint`; with how many clients have it. */
  readonly fingerprints: Readonly<Record<string, number>>;
  /** Close codes of connections that ended; 0 for those that ended without one. */
  readonly codes: Readonly<Record<string, number>>;
  /** Some of their reasons. */
  readonly reasons: readonly string[];
}

/** The same for the same subtrees, in whatever order: the sum of the first eight bytes of their hashes. */
export function subtreeFingerprint(hashes: readonly string[]): string {
  const sum = hashes.reduce((total, hash) => total + BigInt(`0x${hash.slice(0, 16)}`), 0n);
  return BigInt.asUintN(64, sum).toString();
}

/** Path of the built binary; builds it when its sources changed. Throws when a tool is missing. */
export function goWsBinary(): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(SOURCES).sort()) hash.update(name).update(readFileSync(join(SOURCES, name)));
  const binary = join(CACHE, hash.digest('hex').slice(0, 16));
  if (existsSync(binary)) return binary;
  requireTool('go', ['version'], 'Go 1.24 or newer');
  mkdirSync(CACHE, { recursive: true });
  const fresh = `${binary}.${process.pid}`;
  const stdio: ['ignore', 'ignore', 'inherit'] = ['ignore', 'ignore', 'inherit'];
  execFileSync('go', ['build', '-o', fresh, '.'], { cwd: SOURCES, stdio, timeout: BUILD_DEADLINE_MS });
  renameSync(fresh, binary);
  return binary;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class GoWsClients {
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;
  private errors = '';

  constructor() {
    this.child = spawn(goWsBinary(), [], { stdio: ['pipe', 'pipe', 'pipe'] });
    endWithTests(this.child);
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.errors = (this.errors + chunk.toString()).slice(-4000);
    });
    this.child.once('exit', (code) => {
      for (const { reject } of this.waiting.values()) reject(new Error(`Go client ended (${code}): ${this.errors}`));
    });
    if (this.child.stdout === null) throw new Error('no stdout');
    collectLines(this.child.stdout, (line) => {
      const each = this.waiting.get(Number(line.id));
      this.waiting.delete(Number(line.id));
      if (line.ok === true) each?.resolve(line.result);
      else each?.reject(new Error(String(line.error)));
    });
  }

  open(group: GoWsGroup): Promise<GoWsOpened> {
    return this.send('open', { reads: true, keep: 0, ...group });
  }

  report(group: string): Promise<GoWsReport> {
    return this.send('report', { group });
  }

  /** Whole frames that one client of the group kept. */
  frames(group: string, index = 0): Promise<string[]> {
    return this.send('frames', { group, index });
  }

  /**
   * Different subtrees that a client got, and how long after the time in their URL (`/t=`, ns) they came; `forget`:
   * after this answer latencies begin anew.
   */
  measured(
    group: string,
    forget = false,
  ): Promise<{ readonly unique: number; readonly p50Ms: number; readonly p99Ms: number; readonly p999Ms: number }> {
    return this.send('measured', { group, forget });
  }

  /** A text of so many bytes from every client of the group; how many could write it. */
  sendBytes(group: string, bytes: number): Promise<{ readonly written: number }> {
    return this.send('send', { group, bytes });
  }

  close(group: string): Promise<unknown> {
    return this.send('close', { group });
  }

  rusage(): Promise<{ readonly cpuMicros: number }> {
    return this.send('rusage', {});
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const exited = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin?.end();
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 3000);
    await exited;
    clearTimeout(timer);
  }

  private async send<T>(cmd: string, args: unknown): Promise<T> {
    this.lastId += 1;
    const id = this.lastId;
    const answered = Promise.withResolvers<unknown>();
    this.waiting.set(id, answered);
    const timer = setTimeout(() => answered.reject(new Error(`no answer to ${cmd}`)), ANSWER_DEADLINE_MS);
    this.child.stdin?.write(`${JSON.stringify({ id, cmd, args })}\n`);
    try {
      return (await answered.promise) as T;
    } finally {
      clearTimeout(timer);
    }
  }
}
