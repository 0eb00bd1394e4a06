// How long a start takes until /health answers 200, and the memory of a node that nobody uses. Give it one or more
// variants, `name=program.js [Node options]`; they take turns, so that a noisy machine is noisy for all of them. Prints
// the medians as JSON. Example: node bench/start.ts 11 sources=src/cli/main.ts dist=bin/teranode-p2p.js
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const POLL_MS = 5;
const REST_MS = Number(process.env.REST_MS ?? 5000);
const IDLE_MS = Number(process.env.IDLE_MS ?? 0);
const PAGE = 4096;
const TICK_MS = 10;

interface Run {
  readonly healthMs: number;
  readonly cpuMs: number;
  readonly rssMb: number;
  readonly idlePercent: number;
}

const [count = '5', ...variants] = process.argv.slice(2);
const runs = new Map<string, Run[]>();
const shared = new Map(variants.map((each) => [each, mkdtempSync(join(tmpdir(), 'start-bench-'))]));
for (let i = 0; i < Number(count); i += 1) {
  for (const variant of variants) {
    const run = await runOnce(variant);
    // The first one fills caches.
    if (i > 0) runs.set(variant, [...(runs.get(variant) ?? []), run]);
  }
}
for (const [variant, of] of runs) {
  const median = (pick: (run: Run) => number) => of.map(pick).sort((a, b) => a - b)[Math.floor(of.length / 2)] ?? 0;
  const figures = { healthMs: median((r) => r.healthMs), cpuMs: median((r) => r.cpuMs), rssMb: median((r) => r.rssMb) };
  process.stdout.write(
    `${JSON.stringify({ variant, ...figures, idlePercent: median((r) => r.idlePercent), runs: of.length })}\n`,
  );
}
for (const folder of shared.values()) rmSync(folder, { recursive: true, force: true });

async function runOnce(variant: string): Promise<Run> {
  const [program = '', ...options] = variant.slice(variant.indexOf('=') + 1).split(' ');
  const port = await freePort();
  const startedMs = performance.now();
  const child = spawn(process.execPath, [...options, program, 'start', '--json-logs'], {
    env: { ...process.env, ...settings(port, shared.get(variant) ?? '') },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    while (!(await isHealthy(port))) {
      if (child.exitCode !== null) throw new Error(`${variant} ended with ${child.exitCode}`);
      await pause(POLL_MS);
    }
    const healthMs = Math.round(performance.now() - startedMs);
    const cpuMs = cpuOf(child);
    await pause(REST_MS);
    const rssMb = Math.round((statusOf(child, 'statm', 1) * PAGE) / 1e6);
    const before = cpuOf(child);
    await pause(IDLE_MS);
    const idlePercent = IDLE_MS === 0 ? 0 : ((cpuOf(child) - before) * 100) / IDLE_MS;
    return { healthMs, cpuMs, rssMb, idlePercent };
  } finally {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }
}

/** A private regtest network without anybody to dial; the rest as shipped. */
function settings(port: number, dataFolder: string): Record<string, string> {
  return {
    network: 'regtest',
    p2p_shared_key: '9ce675c11a3cf8fc964fcfb6eb12748221b0622f98e248c8473324d5ffb3ee2e',
    p2p_dht_use_private: 'true',
    p2p_port: '0',
    p2p_listen_addresses: '127.0.0.1',
    p2p_http_listen_address: `127.0.0.1:${port}`,
    p2p_grpc_listen_address: '127.0.0.1:0',
    p2p_enable_nat_port_map: 'false',
    p2p_share_private_addresses: 'true',
    embedded_chain_mine_interval: '',
    dataFolder,
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function isHealthy(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path: '/health', agent: false, timeout: 1000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}

function statusOf(child: ChildProcess, file: string, field: number): number {
  const text = readFileSync(`/proc/${child.pid}/${file}`, 'utf8');
  return Number((file === 'stat' ? text.slice(text.lastIndexOf(') ') + 2) : text).split(' ')[field]);
}

/** User and system time. */
function cpuOf(child: ChildProcess): number {
  return (statusOf(child, 'stat', 11) + statusOf(child, 'stat', 12)) * TICK_MS;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
