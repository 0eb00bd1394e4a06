// Runs the DataHub laboratory where nothing of it can leave: in a network namespace of its own, with addresses of the
// public range on its loopback, and in a mount namespace whose name server is the laboratory's.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endWithTests, temporaryFolder } from './cleanup.ts';
import { goPeerBinary } from './go-peer.ts';
import { collectLines } from './json-lines.ts';
import { REPO } from './repo.ts';
import { requireTool } from './tools.ts';

/** What the laboratory saw. Gaps are those between requests to one machine. */
export interface DataHubLabVerdict {
  readonly countedGapsMs: readonly number[];
  readonly redirectGapsMs: readonly number[];
  readonly silentGapsMs: readonly number[];
  readonly loopGapsMs: readonly number[];
  /** To loopback, whither no URL may lead. */
  readonly canaryConnections: number;
  readonly isGossipRelayed: boolean;
  readonly readinessStatus: number;
  readonly connectedPeers: number;
  readonly peers: number;
  readonly checksRefusedAsPrivate: number;
  readonly warnings: readonly string[];
  readonly stopCode: number | null;
}

/** With processes of its own too, so that none is left when the test run ends in the middle. */
const NAMESPACES = ['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'] as const;
const ADDRESSES = ['44', '45', '46', '47', '48', '49'].map((last) => `11.22.33.${last}/32`);

/** Takes a minute and more: it waits for three intervals. */
export async function runDataHubLab(): Promise<DataHubLabVerdict> {
  const [unshare, ...namespaces] = NAMESPACES;
  requireTool(unshare, [...namespaces, 'ip', 'link', 'set', 'lo', 'up'], 'util-linux and iproute2, as root');
  // Within the namespace nothing can be downloaded.
  goPeerBinary();
  const resolvConf = join(temporaryFolder('datahub-lab'), 'resolv.conf');
  writeFileSync(resolvConf, 'nameserver 127.0.0.1\n');
  const steps = [
    'set -e',
    'ip link set lo up',
    ...ADDRESSES.map((address) => `ip addr add ${address} dev lo`),
    `mount --bind ${resolvConf} /etc/resolv.conf`,
    'exec "$@"',
  ].join('\n');
  const lab = fileURLToPath(import.meta.resolve('./datahub-lab.ts'));
  const [command, ...args] = [...NAMESPACES, 'sh', '-c', steps, 'sh', process.execPath, lab];
  const child = spawn(command, args, { cwd: REPO, stdio: ['ignore', 'pipe', 'pipe'] });
  endWithTests(child);
  const output = collectLines(child.stdout);
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-8000);
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const verdict = output.json.at(-1);
  if (code !== 0 || verdict === undefined) throw new Error(`the laboratory ended with ${code}:\n${errors}`);
  return verdict as unknown as DataHubLabVerdict;
}
