// Builds a Go program of test/interop and drives it: one JSON command a line on its stdin, one JSON answer a line on its
// stdout. The binary is cached by the hash of its sources.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { endWithTests } from './cleanup.ts';
import { collectLines } from './json-lines.ts';
import { REPO } from './repo.ts';
import { requireTool } from './tools.ts';

const BUILD_DEADLINE_MS = 600_000;
const ANSWER_DEADLINE_MS = 60_000;
const END_DEADLINE_MS = 3000;
const MAX_ERROR_TEXT = 8000;

/** Path of the built binary; builds it when its sources changed. Throws when Go is missing. */
export function goBinary(name: string, needs: string): string {
  const sources = join(REPO, 'test/interop', name);
  const cache = join(REPO, '.cache', name);
  const hash = createHash('sha256');
  for (const file of readdirSync(sources).sort()) hash.update(file).update(readFileSync(join(sources, file)));
  const binary = join(cache, hash.digest('hex').slice(0, 16));
  if (existsSync(binary)) return binary;
  requireTool('go', ['version'], needs);
  mkdirSync(cache, { recursive: true });
  const fresh = `${binary}.${process.pid}`;
  const stdio: ['ignore', 'ignore', 'inherit'] = ['ignore', 'ignore', 'inherit'];
  execFileSync('go', ['build', '-o', fresh, '.'], { cwd: sources, stdio, timeout: BUILD_DEADLINE_MS });
  renameSync(fresh, binary);
  return binary;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** One running program. It ends with the tests at the latest. */
export class GoProgram {
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;
  private errorText = '';
  private ended: Error | undefined;

  /**
   * `enter`: a command that runs the binary elsewhere, in a network namespace for example. `environment` is added to this
   * process's.
   */
  constructor(binary: string, enter: readonly string[] = [], environment: Readonly<Record<string, string>> = {}) {
    const [command, ...args] = [...enter, binary];
    this.child = spawn(command ?? binary, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, GOMAXPROCS: '2', ...environment },
    });
    endWithTests(this.child);
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.errorText = (this.errorText + chunk.toString()).slice(-MAX_ERROR_TEXT);
    });
    this.child.once('exit', (code) => this.fail(new Error(`Go program ended (${code}): ${this.errorText}`)));
    if (this.child.stdout === null) throw new Error('no stdout');
    collectLines(this.child.stdout, (line) => this.settle(line));
  }

  /** The end of what it wrote to stderr. */
  get log(): string {
    return this.errorText;
  }

  /** Rejects with the program's error, when it ends, and after a minute. */
  send<T>(cmd: string, args: unknown = {}): Promise<T> {
    if (this.ended !== undefined) return Promise.reject(this.ended);
    this.lastId += 1;
    const id = this.lastId;
    const answer = new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(new Error(`Go program gave no answer to ${cmd}: ${this.errorText}`));
      }, ANSWER_DEADLINE_MS);
      this.waiting.set(id, {
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
    this.child.stdin?.write(`${JSON.stringify({ id, cmd, args })}\n`);
    return answer;
  }

  /** From now on it neither reads nor answers, and its connections stay open. */
  freeze(): void {
    this.child.kill('SIGSTOP');
  }

  thaw(): void {
    this.child.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.thaw();
    const exited = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin?.end();
    const timer = setTimeout(() => this.child.kill('SIGKILL'), END_DEADLINE_MS);
    await exited;
    clearTimeout(timer);
  }

  private settle(line: Record<string, unknown>): void {
    const each = this.waiting.get(Number(line.id));
    this.waiting.delete(Number(line.id));
    if (line.ok === true) each?.resolve(line.result);
    else each?.reject(new Error(String(line.error)));
  }

  private fail(error: Error): void {
    this.ended = error;
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}
