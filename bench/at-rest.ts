// The server without announcements: how long a start takes, and what it costs at rest, alone and with idle peers.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { endWithTests, temporaryFolder } from '../test/support/cleanup.ts';
import { busTopics } from '../test/support/go-bus.ts';
import { GoPeer } from '../test/support/go-peer.ts';
import { GoScored } from '../test/support/go-scored.ts';
import { freePort } from '../test/support/kafka-broker.ts';
import { allTopics, PSK } from '../test/support/network.ts';
import { COMPILE_CACHE, REPO } from '../test/support/repo.ts';
import { ServerProcess } from '../test/support/server-process.ts';
import { waitFor } from '../test/support/wait.ts';
import { round } from './measure.ts';
import type { ReceiverOptions, Wire } from './receiver-port.ts';
import { NODE_OPTIONS, serverSettings } from './receivers.ts';

const START_DEADLINE_MS = 60_000;
const POLL_MS = 2;

export interface Starts {
  readonly wire: Wire;
  /** `checkout`: as `npm start` runs it; `package`: the built program. */
  readonly program: Program;
  /** `none`: as in a first start; `warm`: Node kept what it compiled in an earlier start, as it does by default. */
  readonly compileCache: 'none' | 'warm';
  /** From the start of the process to the first 200 of /health, each run. */
  readonly toHealthMs: readonly number[];
  readonly medianMs: number;
}

const PROGRAMS = {
  checkout: [...NODE_OPTIONS, 'scripts/run.js'],
  package: ['bin/teranode-p2p.js'],
} as const;
type Program = keyof typeof PROGRAMS;

const CACHES = { none: { NODE_DISABLE_COMPILE_CACHE: '1' }, warm: COMPILE_CACHE } as const;

/** The built program only where `npm run build` has built it; else stderr says so. */
export async function measureStarts(options: ReceiverOptions, runs: number): Promise<readonly Starts[]> {
  const results: Starts[] = [];
  const isBuilt = existsSync(join(REPO, 'dist/cli'));
  if (!isBuilt) process.stderr.write('no starts of the built program: npm run build builds it\n');
  for (const program of isBuilt ? (['checkout', 'package'] as const) : (['checkout'] as const))
    for (const compileCache of ['none', 'warm'] as const) {
      const start = () => startToHealthMs(PROGRAMS[program], { ...serverSettings(options), ...CACHES[compileCache] });
      if (compileCache === 'warm') await start();
      const toHealthMs: number[] = [];
      for (let i = 0; i < runs; i += 1) toHealthMs.push(await start());
      const medianMs = toHealthMs.toSorted((a, b) => a - b)[Math.floor(runs / 2)] ?? 0;
      results.push({ wire: options.wire, program, compileCache, toHealthMs, medianMs });
    }
  return results;
}

/** Of the program itself, without npm. */
async function startToHealthMs(program: readonly string[], settings: Record<string, string>): Promise<number> {
  const address = `127.0.0.1:${await freePort()}`;
  const env = {
    PATH: process.env.PATH ?? '',
    dataFolder: temporaryFolder('bench'),
    p2p_port: '0',
    p2p_listen_addresses: '127.0.0.1',
    p2p_http_listen_address: address,
    p2p_grpc_listen_address: '127.0.0.1:0',
    p2p_enable_nat_port_map: 'false',
    embedded_chain_lone_mine_interval: '',
    ...settings,
  };
  const startedMs = performance.now();
  const child = spawn(process.execPath, [...program, 'start'], { cwd: REPO, env, stdio: 'ignore' });
  endWithTests(child);
  const exited = new Promise((resolve) => child.once('exit', resolve));
  try {
    while (!(await isHealthy(`http://${address}/health`))) {
      if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`);
      if (performance.now() - startedMs > START_DEADLINE_MS) throw new Error('waited in vain for /health');
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return Math.round(performance.now() - startedMs);
  } finally {
    child.kill('SIGTERM');
    await exited;
  }
}

function isHealthy(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 1000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(false));
  });
}

export interface Rest {
  readonly wire: Wire;
  /** Go nodes that are connected and subscribed, and publish nothing. */
  readonly idlePeers: number;
  readonly seconds: number;
  readonly memoryMiB: number;
  /** Of one core. */
  readonly cpuPercent: number;
}

/** Both in one server: alone first, then with idle peers. */
export async function measureRest(
  options: ReceiverOptions,
  { peers, seconds }: { readonly peers: number; readonly seconds: number },
): Promise<readonly Rest[]> {
  // Water marks as an operator sets them who wants that many peers.
  const marks = { p2p_conn_high_water: String(2 * peers), p2p_conn_low_water: String(2 * peers) };
  const server = await ServerProcess.start({ settings: { ...serverSettings(options), ...marks } });
  const rest = async (idlePeers: number): Promise<Rest> => {
    // What a start or a wave of connections leaves behind is not rest.
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const [cpuMicros, startedMs] = [server.cpuMicros(), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const tookMicros = (performance.now() - startedMs) * 1000;
    const cpuPercent = round(((server.cpuMicros() - cpuMicros) / tookMicros) * 100);
    const memoryMiB = Math.round(server.memoryBytes() / 1048576);
    return { wire: options.wire, idlePeers, seconds, memoryMiB, cpuPercent };
  };
  const connected = () => server.metric('teranode_p2p_connected_peers');
  let crowd: Crowd | undefined;
  try {
    const alone = await rest(0);
    crowd = await startCrowd(options.wire);
    await crowd.connect(server.address, peers);
    await waitFor(async () => (await connected()) >= peers, { timeoutMs: 60_000, what: 'all idle peers' });
    const crowded = await rest(peers);
    // Those that were still connected at the end: one that was lost is named by a lower number.
    return [alone, { ...crowded, idlePeers: await connected() }];
  } finally {
    await crowd?.stop();
    await server.stop();
  }
}

interface Crowd {
  connect(address: string, count: number): Promise<void>;
  stop(): Promise<void>;
}

/** Of so many at once: they get an answer within its deadline. */
const WAVE = 50;

/** Hosts of one Go program; a wave shares a part of loopback, ten an address at most. */
async function startCrowd(wire: Wire): Promise<Crowd> {
  const isBus = wire === 'message-bus';
  const [peer, topics] = isBus
    ? [await GoScored.start({ network: 'regtest', discard: true }), Object.values(busTopics('regtest'))]
    : [await GoPeer.start({ psk: PSK, discard: true }), allTopics('regtest')];
  return {
    connect: async (address, count) => {
      for (let from = 0; from < count; from += WAVE) {
        const wave = { address, count: Math.min(WAVE, count - from), topics, from: `127.0.${from / WAVE + 1}` };
        if (peer instanceof GoScored) await peer.crowd({ ...wave, network: 'regtest' });
        else await peer.crowd(wave);
      }
    },
    stop: () => peer.stop(),
  };
}
