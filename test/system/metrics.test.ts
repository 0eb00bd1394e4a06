// `/metrics` of running nodes, from outside, while announcements come at 1,000 a second: what it names, and that it
// costs nobody anything.
import { readFileSync } from 'node:fs';
import { Agent, get } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { messageBus } from '../support/bus-network.ts';
import { type CertificateFiles, makeAuthority, makeCertificate } from '../support/certificates.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { GoPeer } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { allTopics, kafkaSettings, PSK, privateNetwork, topicsOf } from '../support/network.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { REPO } from '../support/repo.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const RATE = 1000;
const COUNT = 15_000;
/** Unmeasured, as a scraper that has been there for a while. */
const WARM_UP = 50;
const SCRAPES = 50;
const { subtree } = topicsOf('regtest');
const COMMON = { ...privateNetwork('regtest'), p2p_author_rate: '0', logLevel: 'INFO' };

let authority: CertificateFiles;
/** Whoever scrapes keeps its connection. */
let agent: Agent;
let broker: KafkaBroker;
let services: ReferenceServiceProcess;
/** With everything that has metrics: both wires, a broker, the node's services, HTTPS. */
let server: ServerProcess;
/** With what stands in for them. */
let plain: ServerProcess;
let peer: GoPeer;

beforeAll(async () => {
  const folder = temporaryFolder('metrics-system');
  authority = await makeAuthority(folder, 'authority');
  agent = new Agent({ ca: readFileSync(authority.certFile), keepAlive: true });
  const { certFile, keyFile } = await makeCertificate(folder, 'server', authority);
  [broker, services] = await Promise.all([KafkaBroker.start(), ReferenceServiceProcess.start()]);
  server = await ServerProcess.start({
    settings: {
      ...messageBus('regtest'),
      ...COMMON,
      ...kafkaSettings(broker.address),
      p2p_wire: 'both',
      p2p_go_p2p_port: '0',
      blockchain_grpcAddress: services.address,
      blockvalidation_grpcAddress: services.address,
      blockassembly_grpcAddress: services.address,
      securityLevelHTTP: '1',
      server_certFile: certFile,
      server_keyFile: keyFile,
      p2p_history_days: '1',
      tracing_enabled: 'true',
      // Nobody listens there.
      tracing_collector_url: 'http://127.0.0.1:1',
    },
  });
  plain = await ServerProcess.start({ settings: { ...COMMON, p2p_capture_file: join(folder, 'capture') } });
  peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest'), discard: true, outboundQueue: 10_000 });
  await peer.connect(server.addressOn('go-p2p'));
  await waitFor(async () => (await peer.mesh()).mesh[subtree]?.includes(server.peerId), { what: 'the mesh' });
});

afterAll(async () => {
  agent?.destroy();
  await Promise.all([peer?.stop(), server?.stop(), plain?.stop()]);
  await Promise.all([services?.stop(), broker?.stop()]);
});

async function scrape(): Promise<{ text: string; ms: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const startedMs = performance.now();
  get(`https://${server.ready.httpAddress}/metrics`, { agent, timeout: 10_000 }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.once('end', () => resolve(Buffer.concat(chunks).toString()));
    response.once('error', reject);
  }).once('error', reject);
  return { text: await promise, ms: performance.now() - startedMs };
}

/** `name type` of every metric of a scrape. */
function typed(text: string): string[] {
  return [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`);
}

function table(): string[] {
  const rows = readFileSync(join(REPO, 'docs/metrics.md'), 'utf8').matchAll(/^\| `(\w+)` \| (\w+) \|/gm);
  return [...rows].map(([, name, type]) => `${name} ${type}`);
}

/** Sum of all series of a metric that carry these labels. */
function sumOf(text: string, name: string, ...labels: string[]): number {
  const lines = text
    .split('\n')
    .filter((line) => line.startsWith(name) && labels.every((label) => line.includes(label)));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

test('a scrape under load has exactly the metrics of the table and loses no announcement', async () => {
  await peer.publishMany({ topic: subtree, subtrees: COUNT, ratePerSecond: RATE });
  const judged = (text: string) =>
    sumOf(text, 'teranode_p2p_gossip_messages_total', 'topic="subtree"', 'reason="processed"');
  await waitFor(async () => judged((await scrape()).text) > RATE, { what: 'the load' });
  for (let i = 0; i < WARM_UP; i += 1) await scrape();
  const scrapes: { text: string; ms: number; judged: number }[] = [];
  for (let i = 0; i < SCRAPES; i += 1) {
    const each = await scrape();
    scrapes.push({ ...each, judged: judged(each.text) });
  }
  // The load went on all the while.
  const counts = scrapes.map((each) => each.judged);
  expect(counts.at(-1)).toBeLessThan(COUNT);
  expect(counts).toEqual(counts.toSorted((a, b) => a - b));
  expect(counts.at(-1)).toBeGreaterThan(counts[0] ?? 0);
  const text = scrapes.at(-1)?.text ?? '';
  const others = typed((await plain.get('/metrics')).body);
  expect([...new Set([...typed(text), ...others])].sort()).toEqual(table().sort());
  const times = scrapes.map(({ ms }) => ms).sort((a, b) => a - b);
  const quantile = (q: number) => times[Math.min(times.length - 1, Math.floor(q * times.length))]?.toFixed(1);
  process.stdout.write(
    `/metrics at ${RATE} a second: ${quantile(0.5)} ms, p90 ${quantile(0.9)} ms, of ${text.length} characters\n`,
  );
  await waitFor(async () => judged((await scrape()).text) >= COUNT, { timeoutMs: 60_000, what: 'all announcements' });
  const after = (await scrape()).text;
  expect(judged(after)).toBe(COUNT);
  expect(sumOf(after, 'teranode_p2p_kafka_dropped_total')).toBe(0);
});

test('the number of series is bounded, however many hashes and peers there are', async () => {
  const series = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
  const { text } = await scrape();
  expect(text).not.toContain(peer.peerId);
  expect(series(text)).toBeLessThan(3000);
});

test('the libraries’ own metrics are included: mesh, bytes, validation results', async () => {
  const { text } = await scrape();
  expect(sumOf(text, 'gossipsub_mesh_peer_count', `"${subtree}"`)).toBeGreaterThanOrEqual(1);
  expect(sumOf(text, 'gossipsub_pre_validation_valid_total', `"${subtree}"`)).toBeGreaterThanOrEqual(COUNT);
  expect(sumOf(text, 'gossipsub_rpc_recv_bytes_total')).toBeGreaterThan(COUNT * 200);
  expect(sumOf(text, 'libp2p_connection_manager_connections', '"inbound"')).toBeGreaterThanOrEqual(1);
});
