// A node whose blockchain, block validation and block assembly are services of their own, and what becomes of it when
// one of them is away: what it says on gossip, heard by a Go peer, and what its probes answer.
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { GoPeer } from '../support/go-peer.ts';
import { freePort, KafkaBroker } from '../support/kafka-broker.ts';
import { allTopics, DATA_HUB, kafkaSettings, PSK, privateNetwork, servicesAt, topicsOf } from '../support/network.ts';
import { awaitFailing, KAFKA_CHECKS, probe } from '../support/readiness.ts';
import { type MinedBlock, ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const SETTINGS = { ...privateNetwork('regtest'), asset_httpPublicAddress: DATA_HUB };
const topics = topicsOf('regtest');
const GENESIS = '0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206';
const MINED = [topics.subtree, topics.block, topics.miningOn];
/**
 * Subscriptions that are refused one after the other while the service is away: with the waits between them (0.25, 0.5,
 * 1, 2, 4 s, then 5 s) the ninth comes after more than 20 s.
 */
const REFUSALS_IN_20_S = 9;

const running: { stop(): Promise<unknown> }[] = [];

async function stopAll(): Promise<void> {
  await Promise.all(running.splice(0).map((each) => each.stop()));
}

afterAll(stopAll);

async function startServices(options: Parameters<typeof ReferenceServiceProcess.start>[0] = {}) {
  const services = await ReferenceServiceProcess.start(options);
  running.push(services);
  return services;
}

async function startServer(settings: Record<string, string>): Promise<ServerProcess> {
  const server = await ServerProcess.start({ settings });
  running.push(server);
  return server;
}

/** A Go peer that hears all that the server says from here on. */
async function listener(server: ServerProcess): Promise<GoPeer> {
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
  running.push(peer);
  await peer.connect(server.address);
  await waitFor(
    async () => {
      const { mesh } = await peer.mesh();
      return [...MINED, topics.nodeStatus].every((topic) => mesh[topic]?.includes(server.peerId));
    },
    { timeoutMs: 30_000, what: 'the mesh' },
  );
  return peer;
}

type Fields = Record<string, unknown>;

async function heard(peer: GoPeer, topic: string): Promise<Fields[]> {
  return (await peer.received(topic)).map(({ data }) => JSON.parse(data.toString()) as Fields);
}

async function heardBlocks(peer: GoPeer): Promise<string[]> {
  return (await heard(peer, topics.block)).map(({ Hash }) => String(Hash));
}

/** The last of several mined one on the other, so the others had their turn before it. */
async function awaitBlock(peer: GoPeer, { hash }: MinedBlock): Promise<void> {
  await waitFor(async () => (await heardBlocks(peer)).includes(hash), { timeoutMs: 60_000, what: `block ${hash}` });
}

function previousOf({ header }: MinedBlock): string {
  return Buffer.from(header.slice(4, 36)).reverse().toString('hex');
}

/** Lines that nobody expects, whatever the services do. */
function errorLines(server: ServerProcess): unknown[] {
  return server.output.json.filter(({ level }) => level === 'error' || level === 'fatal');
}

describe('a server with all three services', () => {
  afterEach(stopAll);

  test('waits until the FSM leaves IDLE; meanwhile it is alive, not ready, and accepts no connections', async () => {
    const services = await startServices({ fsmState: 'IDLE' });
    const [httpPort, port] = [await freePort(), await freePort()];
    const address = `127.0.0.1:${httpPort}`;
    let isReady = false;
    const starting = startServer({
      ...servicesAt(services.address),
      p2p_http_listen_address: address,
      p2p_port: String(port),
    }).then((server) => {
      isReady = true;
      return server;
    });
    await waitFor(async () => (await services.counts('WaitUntilFSMTransitionFromIdleState')).calls > 0, {
      timeoutMs: 30_000,
      what: 'the wait',
    });
    const said = await waitFor(async () => await awaitFailing(address, 'fsm'), { what: 'its probes' });
    expect(said.fsm).toBe('IDLE');
    await expect(probe(`127.0.0.1:${port}`, '/')).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
    expect(isReady).toBe(false);
    await services.setFsmState('RUNNING');
    await starting;
    expect(await awaitFailing(address)).toMatchObject({ fsm: 'RUNNING' });
  });

  test('keeps its private key in the blockchain service, so it has the same peer ID in another data folder', async () => {
    const services = await startServices();
    const first = await startServer(servicesAt(services.address));
    await first.stop();
    const second = await startServer(servicesAt(services.address));
    expect(second.dataFolder).not.toBe(first.dataFolder);
    expect(second.peerId).toBe(first.peerId);
  });

  test('announces subtree, block with its header, and mining-on of a mined block', async () => {
    const services = await startServices();
    const server = await startServer(servicesAt(services.address));
    const peer = await listener(server);
    const blocks = [await services.mine(), await services.mine()];
    for (const topic of MINED)
      await waitFor(async () => (await heard(peer, topic)).length >= 2, { what: `two messages on ${topic}` });
    const from = { DataHubURL: DATA_HUB, PeerID: server.peerId };
    // Go checks several at once: what comes close together may come out in another order.
    expect((await heard(peer, topics.block)).toSorted((a, b) => Number(a.Height) - Number(b.Height))).toEqual(
      blocks.map(({ hash, height, header }) => ({
        Hash: hash,
        Height: height,
        ...from,
        Header: Buffer.from(header).toString('hex'),
      })),
    );
    expect((await heard(peer, topics.subtree))[0]).toEqual({ Hash: expect.stringMatching(/^[0-9a-f]{64}$/), ...from });
    const [, tip] = blocks;
    expect(await heard(peer, topics.miningOn)).toContainEqual({
      Hash: tip?.hash,
      PreviousHash: blocks[0]?.hash,
      ...from,
      Height: 2,
      Miner: tip?.miner,
      SizeInBytes: Number(tip?.sizeInBytes),
      TxCount: Number(tip?.txCount),
    });
    expect(blocks.map(previousOf)).toEqual([GENESIS, blocks[0]?.hash]);
  });

  test('does not announce invalid blocks, blocks that turn out invalid, or the tip that each subscription repeats', async () => {
    const [services, elsewhere] = [await startServices(), await startServices()];
    const server = await startServer(servicesAt(services.address));
    const peer = await listener(server);
    const first = await services.mine();
    await awaitBlock(peer, first);
    const subscribed = (await services.counts('Subscribe')).calls;
    await services.endSubscriptions('UNAVAILABLE');
    await waitFor(
      async () => {
        const { calls, subscriptions } = await services.counts('Subscribe');
        return calls > subscribed && subscriptions > 0;
      },
      { timeoutMs: 30_000, what: 'the next subscription' },
    );
    await services.addHeader((await elsewhere.mine()).header, true);
    const second = await services.mine();
    await awaitBlock(peer, second);
    await services.invalidate(second.hash);
    const third = await services.mine();
    await awaitBlock(peer, third);
    expect(previousOf(third)).toBe(first.hash);
    expect(await heardBlocks(peer)).toEqual([first.hash, second.hash, third.hash]);
  });

  test('announces nothing while the FSM catches up or syncs, and only then', async () => {
    const services = await startServices();
    const server = await startServer(servicesAt(services.address));
    const peer = await listener(server);
    const silent = () => server.metric('teranode_p2p_announcements_total', 'outcome="silent"');
    const announced: string[] = [];
    for (const [round, state] of (['CATCHINGBLOCKS', 'LEGACYSYNCING'] as const).entries()) {
      await services.setFsmState(state);
      await services.mine();
      await waitFor(async () => (await silent()) === MINED.length * (round + 1), { what: `silence while ${state}` });
      await services.setFsmState('RUNNING');
      const block = await services.mine();
      await awaitBlock(peer, block);
      announced.push(block.hash);
    }
    expect(await heardBlocks(peer)).toEqual(announced);
  });

  test('has block assembly, chain work and the FSM state in its status', async () => {
    const services = await startServices();
    const server = await startServer(servicesAt(services.address));
    const peer = await listener(server);
    const details = {
      blockAssemblyState: 'running',
      subtreeProcessorState: 'running',
      resetWaitCount: 1,
      resetWaitTime: 2,
      subtreeCount: 3,
      txCount: 9_007_199_254_740_993n,
      queueCount: 5n,
      currentHeight: 1,
      currentHash: 'ab'.repeat(32),
      removeMapCount: 6,
      subtrees: ['cd'.repeat(32)],
    };
    await services.setAssembly({
      ...details,
      txCount: String(details.txCount),
      queueCount: String(details.queueCount),
    });
    const tip = await services.mine();
    const said = await waitFor(
      async () => {
        const all = (await peer.received(topics.nodeStatus)).map(({ data }) => data.toString());
        return all.find((text) => text.includes(tip.hash));
      },
      { timeoutMs: 30_000, what: 'the status after the block' },
    );
    // A number of 64 bits loses nothing on the way.
    expect(said).toContain('"txCount":9007199254740993,');
    expect(JSON.parse(said)).toMatchObject({
      type: 'node_status',
      peer_id: server.peerId,
      base_url: DATA_HUB,
      best_block_hash: tip.hash,
      best_height: 1,
      fsm_state: 'RUNNING',
      miner_name: tip.miner,
      listen_mode: 'full',
      // Two blocks of the easiest target, each two hashes' work.
      chain_work: '4'.padStart(64, '0'),
      block_assembly_details: {
        ...details,
        txCount: Number(details.txCount),
        queueCount: Number(details.queueCount),
      },
    });
  });
});

// They wait for the same times, each with a server and services of its own.
describe.concurrent('a blockchain service killed for 20 s and restarted', () => {
  test('during a stream of blocks loses no best block, which is announced once; readiness shows the outage', async () => {
    const services = await startServices();
    const server = await startServer(servicesAt(services.address));
    const peer = await listener(server);
    const address = server.ready.httpAddress;
    const mined: MinedBlock[] = [];
    let isMining = true;
    const stream = (async () => {
      while (isMining) mined.push(await services.mine());
    })().catch(() => undefined);
    await waitFor(async () => (await heardBlocks(peer)).length >= 20, { timeoutMs: 60_000, what: 'twenty blocks' });
    await services.kill();
    await stream;
    isMining = false;
    const failing = ['blockchain', 'fsm', 'block_validation'];
    await awaitFailing(address, ...failing);
    const restarts = () => server.metric('teranode_p2p_rpc_subscription_restarts_total');
    await waitFor(async () => (await restarts()) >= REFUSALS_IN_20_S, { timeoutMs: 60_000, what: '20 s' });
    await awaitFailing(address, ...failing);
    await services.up();
    // Before the node subscribes, and after it.
    mined.push(...(await services.mineAll(5)));
    await waitFor(async () => (await services.counts('Subscribe')).subscriptions > 0, {
      timeoutMs: 30_000,
      what: 'the subscription',
    });
    mined.push(...(await services.mineAll(5)));
    await awaitFailing(address);
    const last = mined.at(-1);
    if (last === undefined) throw new Error('nothing was mined');
    await awaitBlock(peer, last);

    // The block mined at the kill may have been stored without a notification: its child reveals it.
    const best = [...new Set(mined.flatMap((block) => [previousOf(block), block.hash]))].filter(
      (hash) => hash !== GENESIS,
    );
    expect(best).toHaveLength(last.height);
    await waitFor(async () => (await heardBlocks(peer)).length >= best.length, { what: 'all blocks' });
    expect((await heardBlocks(peer)).sort()).toEqual(best.sort());
    expect(errorLines(server)).toEqual([]);
  });

  test('between the notification and the announcement of a block delays the announcement', async () => {
    const services = await startServices();
    const server = await startServer(servicesAt(services.address));
    const peer = await listener(server);
    const looked = () => server.metric('teranode_p2p_rpc_calls_total', 'method="GetBlockHeader"', 'code="OK"');
    const before = await looked();
    await services.setFsmState('IDLE');
    const block = await services.mine();
    await waitFor(async () => (await looked()) > before, { what: 'the look at the block' });
    await services.kill();
    const restarts = () => server.metric('teranode_p2p_rpc_subscription_restarts_total');
    await waitFor(async () => (await restarts()) >= REFUSALS_IN_20_S, { timeoutMs: 60_000, what: '20 s' });
    await services.up();
    await services.setFsmState('RUNNING');
    await awaitBlock(peer, block);
    await awaitBlock(peer, await services.mine());
    expect(await heardBlocks(peer)).toHaveLength(2);
    expect(errorLines(server)).toEqual([]);
  });

  test('that returns through IDLE has its stored, never reported block announced once when RUNNING', async () => {
    const services = await startServices();
    const server = await startServer(servicesAt(services.address));
    const peer = await listener(server);
    const blocks = [await services.mine()];
    for (const block of blocks) await awaitBlock(peer, block);
    await services.mute(true);
    blocks.push(...(await services.mineAll(2)));
    await services.setFsmState('IDLE');
    await services.kill();
    await awaitFailing(server.ready.httpAddress, 'blockchain', 'fsm', 'block_validation');
    await services.up();
    // Its status at IDLE names the tip: what the service has was read by then.
    const tip = blocks.at(-1)?.hash ?? '';
    await waitFor(
      async () =>
        (await heard(peer, topics.nodeStatus)).some(
          (status) => status.fsm_state === 'IDLE' && status.best_block_hash === tip,
        ),
      { timeoutMs: 60_000, what: 'the status at IDLE' },
    );
    expect(await heardBlocks(peer)).toHaveLength(1);
    await services.setFsmState('RUNNING');
    blocks.push(await services.mine());
    for (const block of blocks) await awaitBlock(peer, block);
    expect((await heardBlocks(peer)).sort()).toEqual(blocks.map(({ hash }) => hash).sort());
    expect(errorLines(server)).toEqual([]);
  });

  test('does not prevent a clean stop of the server', async () => {
    const services = await startServices();
    const server = await startServer(servicesAt(services.address));
    await services.setFsmState('IDLE');
    await services.mine();
    await waitFor(async () => (await server.metric('teranode_p2p_announce_queue_length')) > 0, { what: 'what waits' });
    await services.kill();
    await awaitFailing(server.ready.httpAddress, 'blockchain', 'fsm', 'block_validation');
    expect((await server.stop()).code).toBe(0);
    expect(server.output.json.filter(({ event }) => event === 'failed to stop part')).toEqual([]);
    expect(server.output.json.some(({ event }) => event === 'stopped')).toBe(true);
  });
});

// At the same time as each other: each waits for probes of its own server.
describe.concurrent('a server whose parts are away', () => {
  test('readiness names what is missing: the broker, each service, the FSM; liveness depends on none of them', async () => {
    const broker = await KafkaBroker.start();
    running.push(broker);
    const [blockchain, validation] = [await startServices(), await startServices()];
    const server = await startServer({
      ...servicesAt(blockchain.address),
      blockvalidation_grpcAddress: validation.address,
      ...kafkaSettings(broker.address),
    });
    const address = server.ready.httpAddress;
    expect(Object.keys(await awaitFailing(address))).toEqual([
      ...KAFKA_CHECKS,
      'blockchain',
      'fsm',
      'block_validation',
      'peer_registry',
      'peers',
      'feed',
      'ban_store',
    ]);

    for (const state of ['CATCHINGBLOCKS', 'LEGACYSYNCING', 'RUNNING'] as const) {
      await blockchain.setFsmState(state);
      expect(await awaitFailing(address)).toMatchObject({ fsm: state });
    }
    await blockchain.setFsmState('IDLE');
    expect(await awaitFailing(address, 'fsm')).toMatchObject({ fsm: 'IDLE' });
    await blockchain.setFsmState('RUNNING');

    await validation.setHealth('blockvalidation', false, 'no disk');
    const unwell = await awaitFailing(address, 'block_validation');
    expect(unwell.block_validation).toBe(`${validation.address}: no disk`);
    await validation.kill();
    const gone = await awaitFailing(address, 'block_validation');
    expect(gone.block_validation).toContain(validation.address);
    await validation.up();
    await awaitFailing(address);

    // It stands still and answers nothing: each probe has its deadline.
    blockchain.freeze();
    await awaitFailing(address, 'blockchain', 'fsm');
    blockchain.thaw();
    await awaitFailing(address);
    await blockchain.kill();
    const away = await awaitFailing(address, 'blockchain', 'fsm');
    expect(away.blockchain).toContain(blockchain.address);
    await blockchain.up();
    await awaitFailing(address);

    await broker.kill();
    await awaitFailing(address, ...KAFKA_CHECKS);
    await broker.up();
    await awaitFailing(address);

    await Promise.all([broker.kill(), blockchain.kill(), validation.kill()]);
    await awaitFailing(address, ...KAFKA_CHECKS, 'blockchain', 'fsm', 'block_validation');
    expect(errorLines(server)).toEqual([]);
  });

  test.each([
    ['kafka_invalidBlocksConfig', 'kafka_invalid_blocks'],
    ['kafka_invalidSubtreesConfig', 'kafka_invalid_subtrees'],
    ['kafka_rejectedTxConfig', 'kafka_rejected_tx'],
  ])('%s may name a broker of its own, and readiness names only that one while it is down', async (key, check) => {
    const broker = `127.0.0.1:${await freePort()}`;
    const server = await startServer({ ...SETTINGS, [key]: `kafka://${broker}/reports` });
    const said = await awaitFailing(server.ready.httpAddress, check);
    expect(said[check]).toContain(broker);
  });
});
