// The composed server's own order of things, with real parts within the process.
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { EmbeddedChain } from '../../src/adapters/embedded-chain/embedded-chain.ts';
import { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import { type AppOptions, compose } from '../../src/app/compose.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { NETWORKS } from '../../src/wire/networks.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { freePort } from '../support/kafka-broker.ts';
import { KAFKA_CHECKS } from '../support/readiness.ts';
import { REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

const stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  vi.restoreAllMocks();
  for (const stop of stops.splice(0)) await stop();
});

async function setUp(env: Record<string, string> = {}, options: AppOptions = {}) {
  const log = recordingLogger();
  const httpPort = await freePort();
  const { settings } = loadSettings({
    folder: REPO,
    env: {
      dataFolder: temporaryFolder('server'),
      clientName: 'teranode1',
      p2p_port: '0',
      p2p_listen_addresses: '127.0.0.1',
      p2p_http_listen_address: `127.0.0.1:${httpPort}`,
      p2p_grpc_listen_address: '127.0.0.1:0',
      embedded_chain_lone_mine_interval: '',
      p2p_handshake_topic_timeout: '100ms',
      ...env,
    },
  });
  const chain = new EmbeddedChain(
    { log, clock: systemClock },
    { network: NETWORKS.regtest, path: ':memory:', headersFile: undefined, mineIntervalMs: undefined, minerText: '' },
  );
  const nodes: Libp2pNode[] = [];
  const app = await compose(settings, {
    log,
    blockchain: chain,
    node: (deps, nodeOptions) => {
      const node = new Libp2pNode(deps, nodeOptions);
      nodes.push(node);
      return node;
    },
    ...options,
  });
  stops.push(() => app.stop());
  const [node] = nodes;
  if (node === undefined) throw new Error('no node was made');
  return { app, server: app.server, chain, node, log, isListening: () => accepts(httpPort) };
}

async function accepts(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

const signal = () => AbortSignal.timeout(30_000);

describe('composed server', () => {
  test.each(['message-bus', 'go-p2p'])(
    'keeps the peer ID of a key file in its data folder on %s, when p2p_peer_cache_dir is another folder',
    async (p2p_wire) => {
      const [dataFolder, p2p_peer_cache_dir] = [temporaryFolder('server'), temporaryFolder('cache')];
      const key = await generateKeyPair('Ed25519');
      writeFileSync(join(dataFolder, 'p2p.key'), Buffer.from(key.raw).toString('hex'), { mode: 0o600 });
      const { app } = await setUp({ dataFolder, p2p_peer_cache_dir, p2p_wire, p2p_bootstrap_peers: 'none' });
      expect((await app.start(signal())).peerId).toBe(peerIdFromPrivateKey(key).toString());
    },
  );

  test('announces the public DataHub URL, else the other one, and refuses an invalid one', async () => {
    const first = await setUp({ asset_httpPublicAddress: 'https://public.example/api/v1/' });
    expect((await first.app.start(signal())).dataHubUrl).toBe('https://public.example/api/v1');
    const second = await setUp();
    expect((await second.app.start(signal())).dataHubUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/api\/v1$/);
    await expect((await setUp()).server.start(signal())).rejects.toMatchObject({ code: 'NODE_NOT_STARTED' });
  });

  test.each([
    ['localhost:9906', '0', 'http://localhost:9906', 0],
    ['http://peer.example:9906', '0', 'http://peer.example:9906', 0],
    ['https://peer.example:9906', '0', 'http://peer.example:9906', 1],
  ])(
    'gives its HTTP address the served scheme: %s at security level %s',
    async (p2p_http_address, securityLevelHTTP, httpUrl, warnings) => {
      const { app, log } = await setUp({ p2p_http_address, securityLevelHTTP });
      expect((await app.start(signal())).httpUrl).toBe(httpUrl);
      expect(log.lines.filter(({ event }) => event === 'p2p_http_address adjusted to securityLevelHTTP')).toHaveLength(
        warnings,
      );
    },
  );

  test.each([
    ['localhost:9906', '127.0.0.1:0', /^http:\/\/localhost:(\d+)$/],
    ['', '127.0.0.1:0', /^http:\/\/127\.0\.0\.1:(\d+)$/],
    ['', ':0', /^http:\/\/127\.0\.0\.1:(\d+)$/],
  ])('gives the port that the system chose: address %j, listening on %s', async (given, listening, expected) => {
    const { app } = await setUp({ p2p_http_address: given, p2p_http_listen_address: listening });
    const { httpUrl = '', httpAddress, grpcAddress, listenAddresses } = await app.start(signal());
    expect(expected.exec(httpUrl)?.[1]).toBe(httpAddress?.split(':').at(-1));
    expect((await fetch(`${httpUrl}/health/live`)).status).toBe(200);
    for (const shown of [httpUrl, grpcAddress, ...listenAddresses]) expect(shown).not.toMatch(/[:/]0(?:\/|$)/);
  });

  test('reports its identity when it is ready', async () => {
    const { app, node } = await setUp();
    const ready = await app.start(signal());
    expect(ready).toMatchObject({
      peerId: node.hostId(),
      listenAddresses: node.listenAddresses(),
      httpAddress: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      grpcAddress: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    });
    expect(node.getProcessName()).toBe('teranode1');
  });

  test('waits for the FSM to leave IDLE, and answers HTTP meanwhile', async () => {
    const { app, server, chain, node, isListening } = await setUp();
    chain.setFsmState('IDLE');
    const starting = app.start(signal());
    await waitFor(isListening, { what: 'HTTP' });
    expect(node.listenAddresses()).toEqual([]);
    expect((await server.health(false)).status).toBe(503);
    expect((await server.health(true)).status).toBe(200);
    chain.setFsmState('RUNNING');
    await starting;
    expect(node.listenAddresses()).toHaveLength(1);
  });

  test('undoes an aborted start', async () => {
    const { app, chain, isListening } = await setUp();
    chain.setFsmState('IDLE');
    const given = new AbortController();
    const starting = app.start(given.signal);
    await waitFor(isListening, { what: 'HTTP' });
    given.abort();
    await expect(starting).rejects.toMatchObject({ name: 'AbortError' });
    expect(await isListening()).toBe(false);
  });

  test('listens on nothing after a stop during the start', async () => {
    const { app, server, isListening, node } = await setUp();
    const starting = app.start(signal());
    const stopping = server.stop();
    await expect(starting).rejects.toMatchObject({ name: 'AbortError' });
    await stopping;
    expect(await isListening()).toBe(false);
    expect(node.listenAddresses()).toEqual([]);
  });

  test('reports each readiness check, and its liveness depends on none', async () => {
    const { app, server, chain } = await setUp();
    await app.start(signal());
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

  test('is no longer alive when no message comes out of the pipeline', async () => {
    const { app, server, node } = await setUp();
    let ended = 0;
    node.gossipProgress = () => ({ begun: 1, ended });
    await app.start(signal());
    expect((await server.health(true)).status).toBe(200);
    const { monotonic } = systemClock;
    vi.spyOn(systemClock, 'monotonic').mockImplementation(() => monotonic() + 31_000);
    await waitFor(async () => (await server.health(true)).message.startsWith('pipeline: FAILED'), {
      what: 'a failure',
    });
    expect((await server.health(false)).status).toBe(200);
    ended = 1;
    expect((await server.health(true)).status).toBe(200);
  });

  test('may be stopped twice, and listens on nothing afterwards', async () => {
    const { app, server, node, log, isListening } = await setUp();
    await app.start(signal());
    await Promise.all([server.stop(), server.stop(), app.stop(), app.stop()]);
    expect(node.listenAddresses()).toEqual([]);
    expect(await isListening()).toBe(false);
    expect(log.lines.filter(({ event }) => event === 'failed to stop part')).toEqual([]);
  });

  test('stops within five seconds, whatever its parts do', async () => {
    const withProbes = await setUp({
      health_check_httpListenAddress: '127.0.0.1:0',
      p2p_capture_file: join(temporaryFolder('capture'), 'capture'),
    });
    expect(withProbes.app.stopBudgetMs).toBeLessThan(5000);
  });
});
