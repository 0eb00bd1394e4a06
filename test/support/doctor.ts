// Runs `teranode-p2p doctor` as a process and reads its JSON; what a healthy set-up consists of.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { runCli } from './cli.ts';
import { busTopics, GoBus, type GoBusOptions } from './go-bus.ts';
import { GoPeer, type GoPeerOptions } from './go-peer.ts';
import { allTopics, PSK, privateNetwork, topicsOf } from './network.ts';

export interface DoctorCheck {
  readonly name: string;
  readonly ok: boolean | null;
  readonly found: string;
  readonly advice: string;
}

export interface Examined {
  readonly status: number | null;
  readonly checks: Readonly<Record<string, DoctorCheck>>;
  /** Names of the checks that are not ok. */
  readonly failed: readonly string[];
}

const FREE_PORTS = {
  p2p_port: '0',
  p2p_listen_addresses: '127.0.0.1',
  p2p_http_listen_address: '127.0.0.1:0',
  p2p_grpc_listen_address: '127.0.0.1:0',
};

export async function runDoctor(settings: Readonly<Record<string, string>>): Promise<Examined> {
  return examined(await runCli(['doctor', '--json'], { ...FREE_PORTS, ...settings }));
}

export function examined({ status, stdout, stderr }: Awaited<ReturnType<typeof runCli>>): Examined {
  if (stdout === '') throw new Error(`doctor printed nothing: ${stderr}`);
  const { checks } = JSON.parse(stdout) as { readonly checks: readonly DoctorCheck[] };
  return {
    status,
    checks: Object.fromEntries(checks.map((check) => [check.name, check])),
    failed: checks.filter(({ ok }) => ok === false).map(({ name }) => name),
  };
}

/** A DataHub that has every block, of which it serves nothing; `dateMs` is the time that it tells. */
export async function startDataHub(dateMs?: () => number): Promise<string> {
  const server = createServer((_request: IncomingMessage, response: ServerResponse) => {
    if (dateMs !== undefined) response.setHeader('date', new Date(dateMs()).toUTCString());
    response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1`;
}

/** A node status of a node that has run for a minute. */
export function statusText(peerId: string): string {
  const uptime = 60;
  const start_time = Math.round(Date.now() / 1000) - uptime;
  return JSON.stringify({ type: 'node_status', peer_id: peerId, base_url: '', best_height: 1, start_time, uptime });
}

/** Publishes twice a second until the test ends. */
function keepTalking(publish: () => Promise<unknown>): void {
  const timer = setInterval(() => void publish().catch(() => undefined), 500);
  onTestFinished(() => clearInterval(timer));
}

/** A Go peer of a private go-p2p network that announces its status, unless it is silent. */
export async function goP2pPeer(
  options: GoPeerOptions & { readonly network?: 'mainnet' | 'regtest'; readonly isSilent?: boolean } = {},
): Promise<GoPeer> {
  const { network = 'regtest', isSilent = false, ...others } = options;
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics(network), ...others });
  onTestFinished(() => peer.stop());
  if (!isSilent) keepTalking(() => peer.publish(topicsOf(network).nodeStatus, statusText(peer.peerId)));
  return peer;
}

/** A go-p2p-message-bus client that announces its status. */
export async function busPeer(options: GoBusOptions = {}): Promise<GoBus> {
  const { network = 'regtest' } = options;
  const peer = await GoBus.start({ network, ...options });
  onTestFinished(() => peer.stop());
  keepTalking(() => peer.publish(busTopics(network).nodeStatus, statusText(peer.peerId)));
  return peer;
}

/** Settings of a node of a private go-p2p network. */
export function goP2pNode(dataHub: string, peer: string): Record<string, string> {
  return { ...privateNetwork('regtest'), asset_httpAddress: dataHub, p2p_bootstrap_addresses: peer };
}

/** Settings of a node on message-bus. */
export function busNode(dataHub: string, peer: string): Record<string, string> {
  return {
    ...{ network: 'regtest', p2p_wire: 'message-bus', p2p_bootstrap_peers: peer },
    asset_httpPublicAddress: dataHub,
  };
}
