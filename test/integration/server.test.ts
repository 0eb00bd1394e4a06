// The server's own order of things, with real parts within the process.
import { afterEach, describe, expect, test } from 'vitest';
import { EmbeddedChain } from '../../src/adapters/embedded-chain/embedded-chain.ts';
import {
  decodeKafkaInvalidBlock,
  decodeKafkaInvalidSubtree,
  decodeKafkaRejectedTx,
  encodeKafkaBlock,
  encodeKafkaSubtree,
} from '../../src/adapters/kafka/codec.ts';
import { MemoryBroker, MemoryConsumer, MemoryProducer } from '../../src/adapters/memory/broker.ts';
import { SqliteBanStore } from '../../src/adapters/sql/sqlite-ban-store.ts';
import { NetworkMember, type NetworkMemberOptions } from '../../src/app/network-member.ts';
import { type Endpoint, Server, type ServerOptions } from '../../src/app/server.ts';
import { BanService } from '../../src/bans/service.ts';
import { ChainTracker } from '../../src/chain/tracker.ts';
import { systemClock } from '../../src/ports/clock.ts';
import type { Decoded } from '../../src/wire/fault.ts';
import { NETWORKS } from '../../src/wire/networks.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';
import { makeNode } from '../support/nodes.ts';
import { KAFKA_CHECKS } from '../support/readiness.ts';
import { waitFor } from '../support/wait.ts';

const OPTIONS: ServerOptions = {
  assetHttpPublicAddress: undefined,
  assetHttpAddress: 'http://localhost:8090/api/v1',
  httpAddress: 'localhost:9906',
  servesHttps: false,
};

const MEMBER: NetworkMemberOptions = {
  networks: [
    {
      topicPrefix: 'p',
      topics: {
        block: 'p-b',
        subtree: 'p-s',
        mining_on: 'p-m',
        handshake: 'p-h',
        rejected_tx: 'p-r',
        node_status: 'p-n',
        best_block: 'p-bb',
      },
    },
  ],
  userAgent: 'teranode/bitcoin/test',
  policy: {
    powLimitBits: NETWORKS.regtest.powLimitBits,
    verifiesHeaderPow: true,
    requiresHeader: false,
    authorRate: { perSecond: 500, burst: 10_000 },
    sourceRate: { perSecond: 0, burst: 0 },
    dataHubUrls: { allowsPrivate: true, blacklist: [] },
    maxTargetRatio: 0,
  },
  isShadow: () => false,
  peerMap: { maxSize: 100, ttlMs: 60_000, cleanUpIntervalMs: 60_000 },
  handshake: { topicSize: 1, topicTimeoutMs: 100 },
  sync: { minPeers: 0, maxWaitMs: 0, forcedPeer: undefined, hasBootstrap: false },
  presents: { version: 'v1', commitHash: 'c0ffee', clientName: 'test', listenMode: 'full' },
};

const stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function setUp(options: Partial<ServerOptions> = {}, { endpointStartMs = 0, clock = systemClock } = {}) {
  const log = recordingLogger();
  const metrics = new RecordedMetrics();
  const chain = new EmbeddedChain(
    { log, clock: systemClock },
    { network: NETWORKS.regtest, path: ':memory:', headersFile: undefined, mineIntervalMs: undefined, minerText: '' },
  );
  await chain.start(new AbortController().signal);
  const broker = new MemoryBroker({ metrics }, { maxMessages: 100, maxBytes: 1 << 20 });
  const { node } = await makeNode({ processName: 'teranode1' });
  const order: string[] = [];
  const endpoint: Endpoint = {
    start: async () => {
      await new Promise((resolve) => setTimeout(resolve, endpointStartMs));
      order.push('endpoint started');
    },
    address: () => '127.0.0.1:1',
    stop: async () => {
      order.push('endpoint stopped');
    },
  };
  const grpc = { start: async () => {}, address: () => '127.0.0.1:2', stop: async () => {}, setServing: () => {} };
  const bans = new BanService(
    { store: new SqliteBanStore({ log }, { path: ':memory:' }), clock: systemClock, log, metrics },
    {
      defaultDurationMs: 60_000,
      maxEntries: 100,
      threshold: 100,
      durationMs: 60_000,
      isWhitelisted: () => false,
      isShadow: () => false,
    },
  );
  const consumer = <T>(topic: string, decode: (bytes: Uint8Array) => Decoded<T>) =>
    new MemoryConsumer({ broker, log, metrics }, { topic, groupId: 'p2p.test', replay: true, decode });
  const producer = <T>(topic: string, encode: (value: T) => Uint8Array) =>
    new MemoryProducer({ broker, metrics }, { topic, encode });
  const prober = { probe: async () => ({ outcome: 'alive', reason: 'answered', details: '' }) as const };
  const common = {
    node,
    bans,
    blockchain: chain,
    chain: new ChainTracker({ blockchain: chain, clock, log, metrics }),
    blockProducer: producer('blocks', encodeKafkaBlock),
    subtreeProducer: producer('subtrees', encodeKafkaSubtree),
    log,
    metrics,
    clock,
  };
  const server = new Server(
    {
      ...common,
      member: new NetworkMember({ ...common, prober, blockAssembly: undefined, random: Math.random }, MEMBER),
      blockValidation: undefined,
      reports: {
        invalidBlocks: consumer('ib', decodeKafkaInvalidBlock),
        invalidSubtrees: consumer('is', decodeKafkaInvalidSubtree),
        rejectedTxs: consumer('rt', decodeKafkaRejectedTx),
      },
      grpc,
      endpoints: () => [endpoint],
    },
    { ...OPTIONS, ...options },
  );
  stops.push(async () => {
    await server.stop();
    await chain.stop();
  });
  return { server, chain, node, order, log };
}

describe('server', () => {
  test('DataHub URL: the public one, else the other; what is none is refused', async () => {
    const signal = new AbortController().signal;
    const first = await setUp({ assetHttpPublicAddress: 'https://public.example/api/v1/' });
    await first.server.init();
    expect((await first.server.start(signal)).dataHubUrl).toBe('https://public.example/api/v1');
    const second = await setUp();
    await second.server.init();
    expect((await second.server.start(signal)).dataHubUrl).toBe('http://localhost:8090/api/v1');
    for (const bad of ['ftp://x', 'nonsense']) {
      await expect((await setUp({ assetHttpAddress: bad })).server.init()).rejects.toMatchObject({
        code: 'ADDRESS_INVALID',
      });
    }
    await expect((await setUp()).server.start(signal)).rejects.toMatchObject({ code: 'NODE_NOT_STARTED' });
  });

  test.each([
    ['localhost:9906', false, 'http://localhost:9906', 0],
    ['localhost:9906', true, 'https://localhost:9906', 0],
    ['http://peer.example:9906', true, 'https://peer.example:9906', 1],
    ['https://peer.example:9906', false, 'http://peer.example:9906', 1],
  ])(
    'the address of our HTTP gets the scheme that is served: %s, HTTPS %s',
    async (httpAddress, servesHttps, httpUrl, warnings) => {
      const { server, log } = await setUp({ httpAddress, servesHttps });
      await server.init();
      expect((await server.start(new AbortController().signal)).httpUrl).toBe(httpUrl);
      expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(warnings);
    },
  );

  test('says who it is when it is ready', async () => {
    const { server, node } = await setUp();
    await server.init();
    const ready = await server.start(new AbortController().signal);
    expect(ready).toMatchObject({
      peerId: node.hostId(),
      listenAddresses: node.listenAddresses(),
      httpAddress: '127.0.0.1:1',
      grpcAddress: '127.0.0.1:2',
    });
    expect(node.getProcessName()).toBe('teranode1');
  });

  test('waits for the state machine to leave IDLE; HTTP answers meanwhile', async () => {
    const { server, chain, node, order } = await setUp();
    chain.setFsmState('IDLE');
    await server.init();
    const starting = server.start(new AbortController().signal);
    await waitFor(() => order.includes('endpoint started'), { what: 'the endpoint' });
    expect(node.listenAddresses()).toEqual([]);
    expect((await server.health(false)).status).toBe(503);
    expect((await server.health(true)).status).toBe(200);
    chain.setFsmState('RUNNING');
    await starting;
    expect(node.listenAddresses()).toHaveLength(1);
  });

  test('a start that is given up undoes what it began', async () => {
    const { server, chain, order } = await setUp();
    chain.setFsmState('IDLE');
    await server.init();
    const given = new AbortController();
    const starting = server.start(given.signal);
    await waitFor(() => order.includes('endpoint started'), { what: 'the endpoint' });
    given.abort();
    await expect(starting).rejects.toMatchObject({ name: 'AbortError' });
    expect(order).toEqual(['endpoint started', 'endpoint stopped']);
  });

  test('a stop during the start leaves nothing listening', async () => {
    const { server, order } = await setUp({}, { endpointStartMs: 50 });
    await server.init();
    const starting = server.start(new AbortController().signal);
    await server.stop();
    await expect(starting).rejects.toMatchObject({ name: 'AbortError' });
    expect(order.at(-1)).toBe('endpoint stopped');
  });

  test('readiness says what it found of each; liveness depends on nothing', async () => {
    const { server, chain } = await setUp();
    await server.init();
    await server.start(new AbortController().signal);
    const good = await server.health(false);
    expect(good.status).toBe(200);
    for (const check of [...KAFKA_CHECKS.map((name) => `${name}: ok`), 'blockchain: ok', 'fsm: ok (RUNNING)'])
      expect(good.message).toContain(check);
    await chain.stop();
    const [bad] = await Promise.all([server.health(false), server.health(false)]);
    expect(bad.status).toBe(503);
    expect(bad.message).toContain('blockchain: FAILED');
    expect((await server.health(true)).status).toBe(200);
  });

  test('liveness fails when no message comes out of the pipeline any more', async () => {
    let skewMs = 0;
    const clock = { now: systemClock.now, monotonic: () => systemClock.monotonic() + skewMs };
    const { server, node } = await setUp({}, { clock });
    let ended = 0;
    node.gossipProgress = () => ({ begun: 1, ended });
    await server.init();
    await server.start(new AbortController().signal);
    expect((await server.health(true)).status).toBe(200);
    skewMs = 31_000;
    await waitFor(async () => (await server.health(true)).message.startsWith('pipeline: FAILED'), {
      what: 'a failure',
    });
    expect((await server.health(false)).status).toBe(200);
    ended = 1;
    expect((await server.health(true)).status).toBe(200);
  });

  test('stop twice is one stop, and the endpoint goes last', async () => {
    const { server, order, node } = await setUp();
    await server.init();
    await server.start(new AbortController().signal);
    await Promise.all([server.stop(), server.stop()]);
    expect(order).toEqual(['endpoint started', 'endpoint stopped']);
    expect(node.listenAddresses()).toEqual([]);
  });
});
