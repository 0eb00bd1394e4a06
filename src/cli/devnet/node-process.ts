// One node of a development network: a process of this program, watched through its log, its events and its HTTP API.
import { type ChildProcess, fork } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { P2PError } from '../../lib/errors.ts';
import { shownText } from '../../lib/shown-text.ts';
import { ROWS } from '../../settings/schema.ts';
import { DEVNET_VARIABLE, type FolderFate, type MineOrder } from './child.ts';
import { followNode, type NodeEvent } from './node-events.ts';
import type { NodeFolder } from './node-folder.ts';

export interface Tip {
  readonly height: number;
  readonly hash: string;
}

/** What a node is seen to do. */
export interface NodeObserver {
  readonly ready: () => void;
  readonly mined: (tip: Tip) => void;
  readonly tip: (tip: Tip) => void;
  /** A neighbour announced a block to it, before any other did. */
  readonly heard: (block: { readonly hash: string; readonly receivedFrom: string }) => void;
  readonly reorg: (reorg: { readonly from: Tip; readonly to: Tip; readonly fork: Tip }) => void;
  readonly banned: (ban: { readonly peerId: string; readonly evidence: string }) => void;
  /** It ended without being asked to. */
  readonly died: (how: string) => void;
}

const API_DEADLINE_MS = 15_000;
/** What is only shown is not waited for so long: the page gives up after eight seconds. */
const READ_DEADLINE_MS = 5000;
const STOP_DEADLINE_MS = 9000;
const MAX_ERROR_CHARS = 2000;

export class NodeProcess {
  readonly number: number;
  readonly folder: NodeFolder;
  readonly http: string;
  isReady = false;
  private readonly observer: NodeObserver;
  private child: ChildProcess | undefined;
  /** Of what is done while it runs. */
  private ended = new AbortController();
  private isStopping = false;
  private lastErrors = '';

  constructor(number: number, folder: NodeFolder, httpPort: number, observer: NodeObserver) {
    this.number = number;
    this.folder = folder;
    this.http = `http://127.0.0.1:${httpPort}`;
    this.observer = observer;
  }

  get isRunning(): boolean {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** With the settings of its folder and no others. A node that has ended may be started again. */
  start(fate: FolderFate): void {
    const [, program = ''] = process.argv;
    const child = fork(program, ['start', '--settings', this.folder.path, '--json-logs'], {
      env: { ...environmentWithoutSettings(), [DEVNET_VARIABLE]: fate },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.child = child;
    this.isStopping = false;
    this.lastErrors = '';
    this.ended = new AbortController();
    const log = createWriteStream(join(this.folder.path, 'node.log'), { flags: 'a', mode: 0o600 });
    // The folder may be gone before the last line.
    log.on('error', () => {});
    child.stdout?.pipe(log);
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => this.logged(line));
    child.stderr?.on('data', (chunk: Buffer) => {
      this.lastErrors = (this.lastErrors + chunk.toString()).slice(-MAX_ERROR_CHARS);
    });
    child.on('error', (error) => {
      this.lastErrors = error.message;
    });
    child.once('exit', () => {
      this.isReady = false;
      this.ended.abort();
    });
    // When what it said on standard error has come, too.
    child.once('close', (code, signal) => {
      if (!this.isStopping) this.observer.died(howEnded(code, signal, this.lastErrors));
    });
  }

  /** Mines on the node's own tip. Throws NOT_DONE when the node does not run. */
  mine(blocks: number): void {
    if (!this.isReady)
      throw new P2PError('NOT_DONE', `node ${this.number} ${this.isRunning ? 'is not ready yet' : 'does not run'}`);
    this.child?.send({ mine: blocks } satisfies MineOrder);
  }

  /** Calls the node's HTTP API with its admin key. Throws NOT_DONE with the node's answer, or when there is none. */
  async api(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<unknown> {
    try {
      const answer = await fetch(`${this.http}${path}`, {
        method,
        headers: {
          'x-api-key': readFileSync(join(this.folder.path, 'admin.key'), 'utf8').trim(),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        signal: AbortSignal.timeout(method === 'GET' ? READ_DEADLINE_MS : API_DEADLINE_MS),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const json = (await answer.json()) as { readonly message?: string };
      if (answer.ok) return json;
      throw new P2PError('NOT_DONE', `node ${this.number} answered: ${json.message ?? answer.status}`);
    } catch (cause) {
      if (cause instanceof P2PError) throw cause;
      throw new P2PError('NOT_DONE', `node ${this.number} does not answer`, { cause });
    }
  }

  /** At most some seconds; then it is killed. */
  async stop(): Promise<void> {
    this.isStopping = true;
    this.isReady = false;
    this.ended.abort();
    const { child } = this;
    if (child === undefined || !this.isRunning) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    child.once('exit', () => resolve());
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
    child.kill('SIGTERM');
    await promise;
    clearTimeout(timer);
  }

  private logged(line: string): void {
    let entry: Record<string, unknown>;
    try {
      entry = JSON.parse(line);
    } catch {
      return;
    }
    if (entry.event === 'ready') {
      if (this.isStopping) return;
      void followNode(this.http, (event) => this.heard(event), this.ended.signal);
      this.isReady = true;
      this.observer.ready();
    } else if (entry.event === 'block mined on order') this.observer.mined(entry as unknown as Tip);
    else if (entry.event === 'peer banned')
      this.observer.banned({ peerId: String(entry.peerId), evidence: String(entry.evidence) });
  }

  private heard(event: NodeEvent): void {
    const { type, height, hash, receivedFrom } = event;
    if (type === 'tip') this.observer.tip({ height, hash } as Tip);
    if (type === 'reorg') this.observer.reorg(event as never);
    if (type === 'block' && event.isOwn !== true)
      this.observer.heard({ hash: String(hash), receivedFrom: String(receivedFrom) });
  }
}

/** What the user set for another node is not for these. */
function environmentWithoutSettings(): NodeJS.ProcessEnv {
  const names = new Set(['SETTINGS_CONTEXT', ...ROWS.flatMap(([key, { also = [] }]) => [key, ...also])]);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !names.has(name)));
}

function howEnded(code: number | null, signal: NodeJS.Signals | null, errors: string): string {
  const end = signal === null ? `exit code ${code}` : signal;
  const said = shownText(errors.trim());
  return said === '' ? end : `${end}: ${said}`;
}
