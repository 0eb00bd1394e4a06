// Starts the server as people do, `npm start` in the checkout, and looks at it from outside only.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { endWithTests, temporaryFolder } from './cleanup.ts';
import { collectLines, type OutputLines } from './json-lines.ts';
import { COMPILE_CACHE, REPO } from './repo.ts';
import { waitFor } from './wait.ts';

export interface ServerOptions {
  /** Settings, given as environment variables of their own names. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Kept between two starts to test a restart. */
  readonly dataFolder?: string;
  readonly readyTimeoutMs?: number;
  /**
   * In a network namespace of its own, where nothing but its own loopback is reached; HTTP cannot be asked from outside
   * then.
   */
  readonly isolated?: boolean;
  /** A command that runs it in a network namespace of the test, from where HTTP is asked too. */
  readonly enter?: readonly string[];
  /** Checkout to start from; default this one. */
  readonly folder?: string;
  /**
   * Bare `npm start`: nothing but the shipped settings.conf and `settings`, and no Node but the checkout's own and the
   * system's.
   */
  readonly asShipped?: boolean;
  /** Search path; default that of the tests, or `PLAIN_PATH` as shipped. */
  readonly path?: string;
}

/** The line that says that the server is ready. */
export interface ReadyLine {
  readonly peerId: string;
  readonly listenAddresses: readonly string[];
  readonly networks: readonly { readonly wire: string; readonly listenAddresses: readonly string[] }[];
  readonly httpAddress: string;
  readonly grpcAddress: string;
}

const SMALL_SETTINGS = {
  p2p_port: '0',
  p2p_listen_addresses: '127.0.0.1',
  p2p_http_listen_address: '127.0.0.1:0',
  p2p_grpc_listen_address: '127.0.0.1:0',
  p2p_enable_nat_port_map: 'false',
  p2p_share_private_addresses: 'true',
  embedded_chain_lone_mine_interval: '',
  logLevel: 'DEBUG',
  ...COMPILE_CACHE,
};

/** The search path of someone who has a checkout and nothing of ours on it. */
export const PLAIN_PATH = (process.env.PATH ?? '')
  .split(':')
  .filter((each) => !each.includes('node_modules'))
  .join(':');

const COMMAND = ['npm', 'start', '--', '--json-logs'];
const ISOLATED = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec npm start -- --json-logs'];

export class ServerProcess {
  readonly ready: ReadyLine;
  readonly output: OutputLines;
  readonly dataFolder: string;
  readonly settings: Readonly<Record<string, string>>;
  private readonly npm: ChildProcess;
  private readonly enter: readonly string[];

  private constructor(
    npm: ChildProcess,
    ready: ReadyLine,
    output: OutputLines,
    dataFolder: string,
    { settings = {}, enter = [] }: ServerOptions,
  ) {
    this.npm = npm;
    this.settings = settings;
    this.enter = enter;
    this.ready = ready;
    this.output = output;
    this.dataFolder = dataFolder;
  }

  static async start(options: ServerOptions = {}): Promise<ServerProcess> {
    const dataFolder = options.dataFolder ?? temporaryFolder('data');
    const { child, output, errors } = spawnNpm(options, dataFolder);
    const ready = await waitFor(
      () => {
        if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`);
        return output.json.find((line) => line.event === 'ready');
      },
      { timeoutMs: options.readyTimeoutMs ?? 60_000, what: 'the ready line' },
    ).catch((cause: unknown) => {
      child.kill('SIGKILL');
      throw new Error(
        `the server did not get ready:\n${errors()}\n${output.json.map((line) => JSON.stringify(line)).join('\n')}`,
        { cause },
      );
    });
    return new ServerProcess(child, ready as unknown as ReadyLine, output, dataFolder, options);
  }

  /** Runs until it ends by itself; for settings that are refused. */
  static async runToEnd(options: ServerOptions): Promise<{ code: number | null; errors: string }> {
    const { child, errors } = spawnNpm(options, options.dataFolder ?? temporaryFolder('data'));
    const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
    return { code, errors: errors() };
  }

  get peerId(): string {
    return this.ready.peerId;
  }

  /** First full multiaddr. */
  get address(): string {
    return this.ready.listenAddresses[0] ?? '';
  }

  /** First full multiaddr of the node of a wire. */
  addressOn(wire: 'go-p2p' | 'message-bus'): string {
    return this.ready.networks.find((network) => network.wire === wire)?.listenAddresses[0] ?? '';
  }

  async get(path: string): Promise<{ status: number; body: string }> {
    const url = `http://${this.ready.httpAddress}${path}`;
    if (this.enter.length > 0) return fetchWithin(this.enter, url);
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    return { status: response.status, body: await response.text() };
  }

  /** Sum of all series of a metric whose line contains every given text. */
  async metric(name: string, ...labels: string[]): Promise<number> {
    const { body } = await this.get('/metrics');
    const lines = body
      .split('\n')
      .filter((line) => line.startsWith(name) && labels.every((label) => line.includes(label)));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  /** The node process beneath npm. */
  get pid(): number {
    const own = this.npm.pid ?? 0;
    return childrenOf(own)[0] ?? own;
  }

  memoryBytes(): number {
    return Number(readFileSync(`/proc/${this.pid}/statm`, 'utf8').split(' ')[1]) * 4096;
  }

  /** User and system time. */
  cpuMicros(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  }

  /** Sends SIGTERM to `npm start`; resolves with how it ended and how long it took. */
  async stop(): Promise<{ code: number | null; ms: number }> {
    if (this.npm.exitCode !== null) return { code: this.npm.exitCode, ms: 0 };
    const startedMs = performance.now();
    const exited = new Promise<number | null>((resolve) => this.npm.once('exit', resolve));
    this.npm.kill('SIGTERM');
    const code = await exited;
    return { code, ms: performance.now() - startedMs };
  }

  /** Ctrl-C in a terminal: npm and the program both get it, and npm passes its own on. */
  async interrupt(): Promise<void> {
    const exited = new Promise((resolve) => this.npm.once('exit', resolve));
    process.kill(this.pid, 'SIGINT');
    this.npm.kill('SIGINT');
    await exited;
  }

  async kill(): Promise<void> {
    const exited = new Promise((resolve) => this.npm.once('exit', resolve));
    process.kill(this.pid, 'SIGKILL');
    this.npm.kill('SIGKILL');
    await exited;
  }
}

function spawnNpm(options: ServerOptions, dataFolder: string) {
  const { asShipped = false, isolated = false, enter = [] } = options;
  const env = {
    PATH: options.path ?? (asShipped ? PLAIN_PATH : (process.env.PATH ?? '')),
    HOME: process.env.HOME ?? '',
    ...(asShipped ? {} : { ...SMALL_SETTINGS, dataFolder }),
    ...options.settings,
  };
  const [command, ...args] = [...enter, ...(asShipped ? ['npm', 'start'] : isolated ? ISOLATED : COMMAND)];
  const child = spawn(command ?? '', args, { cwd: options.folder ?? REPO, env, stdio: ['ignore', 'pipe', 'pipe'] });
  endWithTests(child);
  const output = collectLines(child.stdout);
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-8000);
  });
  return { child, output, errors: () => errors };
}

const FETCH = `const answer = await fetch(process.argv[1], { signal: AbortSignal.timeout(10_000) });
process.stdout.write(JSON.stringify({ status: answer.status, body: await answer.text() }));`;

function fetchWithin(enter: readonly string[], url: string): { status: number; body: string } {
  const [command = '', ...args] = [...enter, process.execPath, '--input-type=module', '--eval', FETCH, url];
  return JSON.parse(execFileSync(command, args, { encoding: 'utf8', timeout: 20_000 }));
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' '))
    .filter((each) => each !== '')
    .map(Number);
}
