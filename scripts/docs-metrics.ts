// Writes docs/metrics.md from the registry of a started server.
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CertificateWatch } from '../src/adapters/http/server/certificate.ts';
import { type MetricDescription, PrometheusMetrics } from '../src/adapters/metrics/prometheus.ts';
import { GrpcBlockchainClient } from '../src/adapters/services/blockchain-client.ts';
import { ServicePeerRegistry } from '../src/adapters/services/peer-registry.ts';
import { type App, compose } from '../src/app/compose.ts';
import { systemClock } from '../src/ports/clock.ts';
import type { Logger } from '../src/ports/log.ts';
import { loadSettings } from '../src/settings/load.ts';

/** Nobody listens here. */
const NOWHERE = '127.0.0.1:1';
const SILENT: Logger = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/**
 * A server with every part that has metrics, Kafka and the node's services away, on free ports and a folder of its own.
 */
const SETTINGS = {
  SETTINGS_CONTEXT: 'dev',
  p2p_wire: 'both',
  p2p_port: '0',
  p2p_go_p2p_port: '0',
  p2p_bootstrap_peers: '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWDsRPXvXXUJoK3MpZL5ENQsHarF8Rk6J96CFet6uJGxvu',
  p2p_http_listen_address: '127.0.0.1:0',
  p2p_grpc_listen_address: '127.0.0.1:0',
  embedded_chain_lone_mine_interval: '',
  kafka_subtreesConfig: `kafka://${NOWHERE}/subtrees`,
  kafka_invalidBlocksConfig: `kafka://${NOWHERE}/invalid-blocks`,
  blockvalidation_grpcAddress: NOWHERE,
  blockassembly_grpcAddress: NOWHERE,
  p2p_history_days: '1',
  tracing_enabled: 'true',
  tracing_collector_url: `http://${NOWHERE}`,
};

export interface MeasuredServer {
  readonly metrics: readonly MetricDescription[];
  readonly httpAddress: string;
  stop(): Promise<void>;
}

export async function startMeasured(): Promise<MeasuredServer> {
  const folder = mkdtempSync(join(tmpdir(), 'teranode-p2p-metrics-'));
  copyFileSync(fileURLToPath(new URL('../settings.conf', import.meta.url)), join(folder, 'settings.conf'));
  const { settings } = loadSettings({
    folder,
    env: { ...SETTINGS, dataFolder: join(folder, 'data'), p2p_capture_file: join(folder, 'capture') },
  });
  const app = await compose(settings, { log: SILENT });
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const { httpAddress } = await app.start(AbortSignal.timeout(30_000));
    const metrics = await describeAll(app, folder);
    const stop = async () => {
      await app.stop();
      remove();
    };
    return { metrics, httpAddress: httpAddress ?? '', stop };
  } catch (error) {
    await app.stop();
    remove();
    throw error;
  }
}

/**
 * What this server goes without adds its own: the clients of the blockchain service in place of the embedded chain, and
 * HTTPS.
 */
async function describeAll({ metrics }: App, folder: string): Promise<readonly MetricDescription[]> {
  if (!(metrics instanceof PrometheusMetrics)) throw new TypeError('metrics are not those of Prometheus');
  const deps = { metrics, log: SILENT, clock: systemClock };
  const files = { certFile: join(folder, 'server.pem'), keyFile: join(folder, 'server.key') };
  const none = { cert: Buffer.alloc(0), key: Buffer.alloc(0), validUntilMs: 0 };
  const certificates = new CertificateWatch(deps, files, none, () => {});
  certificates.start();
  certificates.stop();
  const blockchain = new GrpcBlockchainClient(deps, { address: NOWHERE, maxRetries: 0, retryBackoffMs: 1000 });
  await blockchain.start(new AbortController().signal);
  const leave = blockchain.subscribe('metrics', () => {});
  leave();
  await blockchain.stop();
  new ServicePeerRegistry(deps, { address: NOWHERE, maxRetries: 0, retryBackoffMs: 1000 });
  return metrics.describe();
}

const HEAD = `# Metrics

The metrics of \`/metrics\` in Prometheus text format. \`npm run docs:metrics\` generates this page from a started server.

- Metrics of the message-bus wire (\`teranode_p2p_address_*\`, \`teranode_p2p_heard_authors\`) exist when it is in force.
- Metrics of the embedded chain that follows peers (\`teranode_p2p_chain_*\`) exist without a blockchain service and with
  the blocks topic in the in-process broker.
- Metrics of Kafka producers and consumers and of the gRPC clients (\`teranode_p2p_rpc_*\`) exist when the settings name a
  broker or a service; metrics of certificates exist with HTTPS.
- With the in-process broker, "acknowledged by Kafka" means: stored in its log.
- Label values come from closed sets (topics, reasons, methods, states), never from a peer.
- A histogram has the series \`_bucket\`, \`_sum\` and \`_count\`.
- There is a [dashboard for Grafana](grafana-dashboard.json), and there are [alert rules](alerts.yml).

`;

const LIBRARY_HEAD = `
## js-libp2p and gossipsub

The libraries' own metrics, under their own names. Circuit relays, AutoNAT and port mapping add theirs when they are
enabled. gossipsub's peer scores are off, so their metrics are missing. A label has at most 100 values; further values
are counted as \`other\`.

`;

export function metricsDocument(all: readonly MetricDescription[]): string {
  const sorted = all.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const isOurs = ({ name }: MetricDescription) => name.startsWith('teranode_p2p_');
  const isLibrary = ({ name }: MetricDescription) => /^(libp2p|gossi(psub|sub|p))_/.test(name);
  return [
    HEAD,
    table(sorted.filter(isOurs)),
    LIBRARY_HEAD,
    table(sorted.filter(isLibrary)),
    '\n## Process\n\nThe default metrics of prom-client on Linux.\n\n',
    table(sorted.filter((metric) => !isOurs(metric) && !isLibrary(metric))),
  ].join('');
}

function table(metrics: readonly MetricDescription[]): string {
  const rows = metrics.map(({ name, type, labelNames, help }) => {
    const labels = labelNames.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${type} | ${labels} | ${help.replaceAll('|', '\\|')} |\n`;
  });
  return `| name | type | labels | description |\n|---|---|---|---|\n${rows.join('')}`;
}

if (import.meta.main) {
  const server = await startMeasured();
  writeFileSync(fileURLToPath(new URL('../docs/metrics.md', import.meta.url)), metricsDocument(server.metrics));
  await server.stop();
}
