// A server that was started and may never become ready, observed through its log.
import { spawn } from 'node:child_process';
import { endWithTests, temporaryFolder } from './cleanup.ts';
import { collectLines } from './json-lines.ts';
import { COMPILE_CACHE, REPO } from './repo.ts';
import { waitFor } from './wait.ts';

export interface BegunServer {
  /** A line of this event; with `text`, one that says it somewhere. */
  awaitLine(event: string, text?: RegExp): Promise<Record<string, unknown>>;
  hasLogged(event: string): boolean;
  /** Exit code. */
  stop(): Promise<number | null>;
}

export interface BeginOptions {
  /** Folder of settings files, instead of the checkout's. */
  readonly folder?: string;
  /** In a network namespace of its own, where nothing but its own loopback is reached. */
  readonly isolated?: boolean;
}

/** `npm start`, not awaited. */
export function begin(settings: Readonly<Record<string, string>>, options: BeginOptions = {}): BegunServer {
  const { folder, isolated = false } = options;
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: process.env.HOME ?? '',
    p2p_port: '0',
    p2p_http_listen_address: '127.0.0.1:0',
    p2p_grpc_listen_address: '127.0.0.1:0',
    embedded_chain_lone_mine_interval: '',
    dataFolder: temporaryFolder('begun'),
    ...COMPILE_CACHE,
    ...settings,
  };
  const npm = ['npm', 'start', '--', '--json-logs', ...(folder === undefined ? [] : ['--settings', folder])];
  const [command = '', ...args] = isolated
    ? ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', ...npm]
    : npm;
  const child = spawn(command, args, { cwd: REPO, env, stdio: ['ignore', 'pipe', 'inherit'] });
  endWithTests(child);
  const output = collectLines(child.stdout);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const find = (event: string, text = /^/) =>
    output.json.find((line) => line.event === event && text.test(JSON.stringify(line)));
  return {
    awaitLine: async (event, text) => await waitFor(() => find(event, text), { timeoutMs: 60_000, what: event }),
    hasLogged: (event) => find(event) !== undefined,
    stop: async () => {
      child.kill('SIGTERM');
      return await ended;
    },
  };
}
