// Two servers that export their traces to one collector: what both did with a block stands in one trace, whose ID
// anybody can derive from the hash.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { EmbeddedChain } from '../../src/adapters/embedded-chain/embedded-chain.ts';
import { encodeKafkaInvalidBlock } from '../../src/adapters/kafka/codec.ts';
import { traceIdOf } from '../../src/adapters/traces/trace-ids.ts';
import { type App, compose } from '../../src/app/compose.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { NETWORKS } from '../../src/wire/networks.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { privateNetwork } from '../support/network.ts';
import { REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

/** The parts of OTLP's JSON form that are looked at. */
interface ExportRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

interface KeyValue {
  readonly key: string;
  readonly value: { readonly stringValue?: string };
}

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly KeyValue[];
  readonly status?: { readonly code?: number };
}

const apps: App[] = [];
const collectors: Server[] = [];

afterEach(async () => {
  for (const app of apps.splice(0).reverse()) await app.stop();
  for (const collector of collectors.splice(0)) collector.close();
});

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** An OTLP/HTTP receiver; notes each span with the peer ID of the node that exported it. */
async function startCollector() {
  const spans: (OtlpSpan & { readonly peerId: string | undefined })[] = [];
  const paths = new Set<string>();
  const collector = createServer(async (request, response) => {
    paths.add(`${request.method} ${request.url} ${request.headers['content-type']}`);
    const { resourceSpans } = JSON.parse(await readBody(request)) as ExportRequest;
    for (const { resource, scopeSpans } of resourceSpans)
      for (const span of scopeSpans.flatMap((scope) => scope.spans))
        spans.push({ ...span, peerId: textOf(resource.attributes, 'service.instance.id') });
    response.setHeader('content-type', 'application/json').end('{}');
  });
  collectors.push(collector);
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const { port } = collector.address() as { readonly port: number };
  return { spans, paths, url: `http://127.0.0.1:${port}` };
}

function textOf(attributes: readonly KeyValue[], key: string): string | undefined {
  return attributes.find((each) => each.key === key)?.value.stringValue;
}

async function startServer(env: Record<string, string>) {
  const { settings } = loadSettings({
    folder: REPO,
    env: {
      ...privateNetwork('regtest'),
      dataFolder: temporaryFolder('traces'),
      p2p_port: '0',
      p2p_listen_addresses: '127.0.0.1',
      p2p_http_listen_address: '127.0.0.1:0',
      p2p_grpc_listen_address: '127.0.0.1:0',
      p2p_allow_private_datahubs: 'true',
      p2p_enable_nat_port_map: 'false',
      embedded_chain_lone_mine_interval: '',
      ...env,
    },
  });
  const log = recordingLogger();
  const chain = new EmbeddedChain(
    { log, clock: systemClock },
    { network: NETWORKS.regtest, path: ':memory:', headersFile: undefined, mineIntervalMs: undefined, minerText: '' },
  );
  const app = await compose(settings, { log, blockchain: chain });
  apps.push(app);
  return { app, chain, log, ready: await app.start(AbortSignal.timeout(60_000)) };
}

test('spans of a block from two nodes arrive in one trace, whose ID follows from the hash', async () => {
  const { spans, paths, url } = await startCollector();
  const tracing = { tracing_enabled: 'true', tracing_collector_url: url };
  const miner = await startServer(tracing);
  const receiver = await startServer({ ...tracing, p2p_static_peers: miner.ready.listenAddresses[0] ?? '' });
  const topics = async () => {
    const answer = await fetch(`http://${receiver.ready.httpAddress}/api/v1/topics`);
    return ((await answer.json()) as { readonly topics: { name: string; mesh: string[] }[] }).topics;
  };
  await waitFor(async () => (await topics()).some(({ name, mesh }) => name.endsWith('block') && mesh.length > 0), {
    what: 'the mesh of blocks',
    timeoutMs: 30_000,
  });

  const { hash } = miner.chain.mine();
  const traceId = traceIdOf(hash);
  // The receiver takes the block, and then announces it too.
  const named = (name: string) => {
    const { peerId } = (name === 'announce block' ? miner : receiver).ready;
    return spans.find((span) => span.name === name && span.traceId === traceId && span.peerId === peerId);
  };
  await waitFor(() => named('hand to Kafka block') !== undefined && named('announce block') !== undefined, {
    what: 'the spans of both nodes',
  });
  const reported = { hash, reason: 'bad block', peerId: miner.ready.peerId, peerUrl: '' };
  receiver.app.memoryBroker.append('invalid-blocks', encodeKafkaInvalidBlock(reported));
  await waitFor(() => named('report block') !== undefined, { what: 'the span of the report' });

  const own = spans.filter((span) => span.traceId === traceId);
  expect(new Set(own.map(({ peerId }) => peerId))).toEqual(new Set([miner.ready.peerId, receiver.ready.peerId]));
  expect(named('announce block')?.peerId).toBe(miner.ready.peerId);
  for (const name of ['receive block', 'validate block', 'hand to Kafka block', 'report block'])
    expect([name, named(name)?.peerId]).toEqual([name, receiver.ready.peerId]);
  const received = named('receive block');
  const facts = Object.fromEntries((received?.attributes ?? []).map(({ key, value }) => [key, value.stringValue]));
  expect(facts).toMatchObject({
    'teranode.hash': hash,
    'teranode.author': miner.ready.peerId,
    'teranode.received_from': miner.ready.peerId,
    'teranode.decision': 'accept',
  });
  expect(received?.parentSpanId ?? '').toBe('');
  expect(named('hand to Kafka block')?.parentSpanId).toBe(received?.spanId);
  expect(new Set(own.map(({ spanId }) => spanId)).size).toBe(own.length);
  expect(named('report block')?.status?.code).toBe(2);
  for (const { startTimeUnixNano, endTimeUnixNano } of own)
    expect(BigInt(endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(startTimeUnixNano));
  expect([...paths]).toEqual(['POST /v1/traces application/json']);
});

test('a collector that does not answer keeps nothing from working, and the failure is counted', async () => {
  const tracing = { tracing_enabled: 'true', tracing_collector_url: 'http://127.0.0.1:9' };
  const { app, chain, log, ready } = await startServer(tracing);
  chain.mine();
  await waitFor(() => log.lines.some(({ event }) => event === 'failed to export traces'), {
    what: 'the failed export',
    timeoutMs: 30_000,
  });
  const metrics = await (await fetch(`http://${ready.httpAddress}/metrics`)).text();
  expect(metrics).toMatch(/teranode_p2p_trace_spans_total\{outcome="failed"\} [1-9]/);
  expect((await fetch(`http://${ready.httpAddress}/health/live`)).status).toBe(200);
  await app.stop();
});
