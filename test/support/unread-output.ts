// The server with a standard output that nobody reads: a full pipe, a stopped terminal, a closed pipe, a full disk.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { endWithTests, temporaryFolder } from './cleanup.ts';
import { freePort } from './kafka-broker.ts';
import { privateNetwork } from './network.ts';
import { COMPILE_CACHE, REPO } from './repo.ts';
import { waitFor } from './wait.ts';

export type Unread = 'a pipe' | 'a terminal' | 'a closed pipe' | 'a full disk';

export interface MuteServer {
  readonly httpAddress: string;
  readonly p2pAddress: string;
  get(path: string): Promise<{ status: number; body: string }>;
  metric(name: string): Promise<number>;
  /** What waits in the pipe, and then what is written; complete lines as they come. */
  read(): string[];
  /** Sends SIGTERM; the exit code and how long it took. */
  stop(): Promise<{ code: number | null; ms: number }>;
  /** Ends it at once, should it still live. */
  kill(): void;
}

/** Starts it and waits until it is healthy. Its standard error goes the same way. */
export async function startUnread(kind: Unread, settings: Readonly<Record<string, string>> = {}): Promise<MuteServer> {
  const folder = temporaryFolder('unread');
  const [httpPort, p2pPort] = [await freePort(), await freePort()];
  const pipe = kind === 'a full disk' ? { read: -1, write: openSync('/dev/full', 'w') } : fullPipe(folder);
  if (kind === 'a closed pipe') closeSync(pipe.read);
  const env = {
    ...{ PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...COMPILE_CACHE },
    ...privateNetwork('regtest'),
    ...{ p2p_port: String(p2pPort), p2p_listen_addresses: '127.0.0.1', p2p_grpc_listen_address: '127.0.0.1:0' },
    ...{ p2p_http_listen_address: `127.0.0.1:${httpPort}`, p2p_enable_nat_port_map: 'false' },
    ...{ embedded_chain_lone_mine_interval: '', logLevel: 'TRACE', dataFolder: join(folder, 'data') },
    ...settings,
  };
  const pidFile = join(folder, 'pid');
  const command = `echo $$ > ${pidFile}; exec node ${join(REPO, 'src/cli/main.ts')} start`;
  const [program, ...args] = kind === 'a terminal' ? ['script', '-qefc', command, '/dev/null'] : ['sh', '-c', command];
  const child = spawn(program ?? '', args, { cwd: REPO, env, stdio: ['ignore', pipe.write, pipe.write] });
  endWithTests(child);
  closeSync(pipe.write);
  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${httpPort}${path}`, { signal: AbortSignal.timeout(5000) });
    return { status: answer.status, body: await answer.text() };
  };
  const pid = () => Number(readFileSync(pidFile, 'utf8'));
  const kill = () => {
    if (isRunning(pid())) process.kill(pid(), 'SIGKILL');
  };
  await waitFor(async () => (await get('/health/ready')).status === 200, {
    what: 'readiness',
    timeoutMs: 60_000,
  }).catch((error: unknown) => {
    kill();
    throw error;
  });
  return {
    httpAddress: `127.0.0.1:${httpPort}`,
    p2pAddress: `/ip4/127.0.0.1/tcp/${p2pPort}`,
    get,
    metric: async (name) => {
      const line = (await get('/metrics')).body.split('\n').find((each) => each.startsWith(`${name} `));
      return Number(line?.split(' ')[1] ?? Number.NaN);
    },
    read: lineReader(pipe.read),
    stop: () => stop(child, pid()),
    kill,
  };
}

/** A pipe of the shell's kind, which waits for its reader, filled to the brim. */
function fullPipe(folder: string): { read: number; write: number } {
  const path = join(folder, 'pipe');
  spawnSync('mkfifo', [path]);
  const read = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const filler = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  const line = Buffer.from(`${'x'.repeat(1023)}\n`);
  while (written(filler, line)) {}
  closeSync(filler);
  return { read, write: openSync(path, 'w') };
}

function written(fd: number, bytes: Buffer): boolean {
  try {
    return writeSync(fd, bytes) > 0;
  } catch {
    return false;
  }
}

function lineReader(fd: number): () => string[] {
  const bytes = Buffer.alloc(1024 * 1024);
  let rest = '';
  return () => {
    try {
      rest += bytes.toString('utf8', 0, readSync(fd, bytes));
    } catch {
      return [];
    }
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    return lines;
  };
}

async function stop(child: ChildProcess, pid: number): Promise<{ code: number | null; ms: number }> {
  const startedMs = performance.now();
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  process.kill(pid, 'SIGTERM');
  await waitFor(() => !isRunning(pid), { what: 'the end of the server', timeoutMs: 30_000 });
  const ms = performance.now() - startedMs;
  // `script` itself waits for its reader.
  if (child.exitCode === null && child.spawnfile === 'script') child.kill('SIGKILL');
  await exited;
  return { code: child.exitCode, ms };
}

function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}
