// A development network as people start it, seen from outside: its output, its control API, its processes and folders.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { endWithTests } from './cleanup.ts';
import { collectLines, type OutputLines } from './json-lines.ts';
import { COMPILE_CACHE, REPO } from './repo.ts';
import { waitFor } from './wait.ts';

export interface DevnetState {
  readonly wire: string;
  readonly nodes: readonly {
    readonly node: number;
    readonly http: string;
    readonly data: string;
    readonly isRunning: boolean;
    readonly slowMs: number;
    readonly tip: { readonly height: number; readonly hash: string } | null;
    readonly peers: readonly string[] | null;
  }[];
  readonly links: readonly { readonly a: number; readonly b: number; readonly state: string }[];
  readonly liars: readonly { readonly liar: number; readonly isRunning: boolean }[];
}

const VIA_NPM = ['npm', 'run', 'devnet', '--'];
const DIRECTLY = ['scripts/with-node.sh', 'node', 'scripts/run.js', 'devnet'];

export class DevnetProcess {
  readonly output: OutputLines;
  readonly child: ChildProcess;
  private errors = '';

  /** `viaNpm`: in a process group of its own, as in a terminal. Else the child is the program itself. */
  constructor(args: readonly string[], { viaNpm = false } = {}) {
    const [command = '', ...before] = viaNpm ? VIA_NPM : DIRECTLY;
    this.child = spawn(command, [...before, '--http-port', '0', '--json', ...args], {
      cwd: REPO,
      env: { ...process.env, ...COMPILE_CACHE, p2p_wire: 'of another node' },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: viaNpm,
    });
    endWithTests(this.child);
    if (this.child.stdout === null) throw new Error('no output');
    this.output = collectLines(this.child.stdout);
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.errors += chunk.toString();
    });
  }

  events(name: string): Record<string, unknown>[] {
    return this.output.json.filter(({ event }) => event === name);
  }

  /** The first event from now on, or of those until now, that has these values. */
  async event(name: string, values: Readonly<Record<string, unknown>> = {}): Promise<Record<string, unknown>> {
    return await waitFor(
      () => {
        if (this.child.exitCode !== null && this.events(name).length === 0)
          throw new Error(`the network ended with ${this.child.exitCode}: ${this.errors}`);
        return this.events(name).find((each) => Object.entries(values).every(([key, value]) => each[key] === value));
      },
      { timeoutMs: 90_000, what: `the event ${name} ${JSON.stringify(values)}` },
    );
  }

  get root(): string {
    return String(this.events('starting')[0]?.data);
  }

  get control(): string {
    return String(this.events('starting')[0]?.control);
  }

  async state(): Promise<DevnetState> {
    return (await (await fetch(`${this.control}/devnet`)).json()) as DevnetState;
  }

  async post(path: string, body: object = {}): Promise<{ readonly status: number; readonly body: unknown }> {
    const answer = await fetch(`${this.control}/devnet${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: answer.status, body: await answer.json() };
  }

  async exitCode(): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    return await new Promise((resolve) => this.child.once('exit', (code) => resolve(code)));
  }

  /** Processes of its nodes, by the folders in their command lines. */
  nodeProcesses(folder = `${this.root}/`): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder);
        } catch {
          return false;
        }
      });
  }

  async leavesNothing(): Promise<void> {
    const isGone = () => this.nodeProcesses().length === 0 && !existsSync(this.root);
    await waitFor(isGone, { timeoutMs: 30_000, what: 'the end of its processes and folders' });
  }
}
