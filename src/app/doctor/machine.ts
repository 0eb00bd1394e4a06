// What this machine gives the node: ports, open files, room on the disk, permissions of the admin key.
import { readFileSync, statfsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import type { PeerClient } from '../../client/index.ts';
import { openMode } from '../../lib/private-file.ts';
import { isPlaceholderKey } from '../../settings/admin-key.ts';
import type { Settings } from '../../settings/load.ts';
import { speaks } from '../../settings/wire.ts';
import { type Finding, fine, notAskedFor, unknown, wrong } from './finding.ts';
import { listenerOf } from './listener-of.ts';

/** For 400 connections of libp2p, as many of HTTP and gRPC, Kafka and files. */
const MIN_OPEN_FILES = 2048;
const MIN_FREE_BYTES = 512 * 1024 * 1024;

interface Port {
  readonly setting: string;
  readonly host: string;
  readonly port: number;
}

/** Those that the running node has, whatever the settings here say. Throws what its gRPC throws. */
export async function portsOfNode(node: PeerClient): Promise<Finding> {
  const { networks, httpUrl } = await node.status(true);
  const ofP2P = networks.flatMap(({ listenAddresses }) =>
    listenAddresses.map((each) => /\/tcp\/(\d+)/.exec(each)?.[1]),
  );
  const ports = [...ofP2P, httpUrl === undefined ? undefined : new URL(httpUrl).port || undefined];
  const known = [...new Set(ports.filter((port) => port !== undefined))];
  return fine('ports', `the running node has ${known.join(', ') || 'no port for peers or HTTP'} and that of gRPC`);
}

/** Where no node runs. */
export async function checkPorts(settings: Settings): Promise<Finding> {
  const ports = portsOf(settings).filter(({ port }) => port !== 0);
  if (ports.length === 0) return fine('ports', 'the system chooses free ports');
  const results = await Promise.all(ports.map(async (each) => ({ ...each, fault: await bindFault(each) })));
  const taken = results.filter(({ fault }) => fault !== undefined);
  if (taken.length === 0) return fine('ports', `free: ${ports.map(({ port }) => port).join(', ')}`);
  const found = taken.map(({ setting, host, port, fault }) => {
    const who = fault === 'EADDRINUSE' ? listenerOf(port) : undefined;
    const text =
      fault === 'EADDRINUSE' ? `already taken${who === undefined ? '' : ` by ${who}`}` : `cannot be used (${fault})`;
    return `port ${port} of ${setting} (${host}) ${text}`;
  });
  const settingsOf = [...new Set(taken.map(({ setting }) => setting))].join(', ');
  return wrong('ports', found.join('; '), `stop the process that has the port, or set another port in ${settingsOf}`);
}

function portsOf(settings: Settings): Port[] {
  const p2p = settings.p2p_listen_addresses.flatMap((host) => [
    { setting: 'p2p_port', host: bare(host), port: settings.p2p_port },
    ...(settings.p2p_wire === 'both'
      ? [{ setting: 'p2p_go_p2p_port', host: bare(host), port: settings.p2p_go_p2p_port }]
      : []),
  ]);
  const listeners = (['p2p_http_listen_address', 'p2p_grpc_listen_address'] as const).map((setting) => {
    const at = settings[setting].lastIndexOf(':');
    return {
      setting,
      host: bare(settings[setting].slice(0, at)) || '0.0.0.0',
      port: Number(settings[setting].slice(at + 1)),
    };
  });
  return [...p2p, ...listeners];
}

function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

function bindFault({ host, port }: Port): Promise<string | undefined> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', (error) => done('code' in error ? String(error.code) : error.message));
    server.listen({ host, port, exclusive: true, ipv6Only: host === '::' }, () => server.close(() => done(undefined)));
  });
}

export function checkFileDescriptors(settings: Settings): Finding {
  const name = 'file_descriptors';
  const limit = openFilesLimit();
  if (limit === undefined) return unknown(name, 'this system does not tell its limits');
  const connections = settings.p2p_conn_high_water ?? (speaks(settings, 'go-p2p') ? 400 : 35);
  const needed = Math.max(MIN_OPEN_FILES, connections * 2);
  const found = `at most ${limit} open files for this user, ${needed} are enough`;
  if (limit >= needed) return fine(name, found);
  return wrong(name, found, `raise the limit: LimitNOFILE=${needed * 4} of the systemd unit, or ulimit -n`);
}

function openFilesLimit(): number | undefined {
  try {
    const [, hard] = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    // Node.js raises its own limit to the hard one.
    return hard === 'unlimited' ? Number.POSITIVE_INFINITY : hard === undefined ? undefined : Number(hard);
  } catch {
    return undefined;
  }
}

export function checkDisk(settings: Settings, cwd: string): Finding {
  const folder = existing(resolve(cwd, settings.dataFolder));
  try {
    const { bavail, bsize } = statfsSync(folder);
    const free = bavail * bsize;
    const found = `${Math.floor(free / 1024 ** 2)} MiB free at ${folder}`;
    if (free >= MIN_FREE_BYTES) return fine('disk', found);
    return wrong(
      'disk',
      found,
      `free at least ${MIN_FREE_BYTES / 1024 ** 2} MiB there, or move dataFolder to another disk`,
    );
  } catch (error) {
    return unknown('disk', error instanceof Error ? error.message : 'failed');
  }
}

/** The folder itself, or the nearest one above it that exists. */
function existing(folder: string): string {
  const isThere = statSync(folder, { throwIfNoEntry: false }) !== undefined;
  return isThere || dirname(folder) === folder ? folder : existing(dirname(folder));
}

export function checkAdminKey(settings: Settings, cwd: string): Finding {
  const name = 'admin_key';
  const { grpc_admin_api_key: set, dataFolder } = settings;
  if (set && !isPlaceholderKey(set)) return notAskedFor(name, 'grpc_admin_api_key is set');
  const file = join(resolve(cwd, dataFolder), 'admin.key');
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined) return unknown(name, `${file} is created at the first start`);
  const mode = openMode(stats);
  if (mode === undefined) return fine(name, `only the owner reads ${file}`);
  return wrong(name, `${file} has mode ${mode}: other users may read the admin key`, `chmod 600 ${file}`);
}
