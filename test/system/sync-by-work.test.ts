// Whom a node on message-bus syncs from, seen in what Kafka is told to fetch: Go peers of today's network that are
// honest or claim great heights, and services that report what they validated.
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { messageBus } from '../support/bus-network.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { busTopics, GoBus, type GoBusOptions } from '../support/go-bus.ts';
import { GoGrpcClient, goGrpcBinary } from '../support/go-grpc.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { readTopic } from '../support/kafka-reader.ts';
import { headerHash, kafkaSettings, mainnetHeaders, protobufStrings } from '../support/network.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const headers = mainnetHeaders();
const hashAt = (height: number) => headerHash(headers[height] ?? Buffer.alloc(80));
const OWN_HEIGHT = 100;
const HONEST_HEIGHT = 400;
/** As high as a claim may be. */
const LIE = 10_000;
const UNKNOWN_HASH = '0e'.repeat(32);
/** Work of each of the first blocks of mainnet. */
const BLOCK_WORK = 0x1_0001_0001n;
const KEY = 'a-key-of-this-test-only-45';
const QUIET_MS = 5000;
/** `model.NotificationType`. */
const PEER_FAILURE = 6;
const topics = busTopics('mainnet');
/** Nobody can dial it there: peers that hear of it stay where they are. */
const UNREACHABLE = ['/ip4/127.0.0.1/tcp/1'];

interface DataHub {
  readonly url: string;
  /** Paths of the requests. */
  readonly paths: string[];
  stop(): void;
}

let broker: KafkaBroker;
let hubsMade = 0;
const running: { stop(): unknown }[] = [];

beforeAll(async () => {
  goGrpcBinary();
  broker = await KafkaBroker.start();
});

afterAll(async () => {
  await broker?.stop();
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});

/** On an address of its own, because hosts are asked in turn. It knows its best block, or nothing at all. */
async function dataHub(knowsBest = true): Promise<DataHub> {
  hubsMade += 1;
  const host = `127.0.3.${hubsMade}`;
  const paths: string[] = [];
  const server = createServer(({ url = '' }, response) => {
    paths.push(url);
    response.writeHead(knowsBest && url === '/api/v1/bestblockheader' ? 200 : 404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  const hub = { url: `http://${host}:${address.port}/api/v1`, paths, stop };
  running.push(hub);
  return hub;
}

/** The node that is behind; what it wants fetched goes to a topic of its own. */
async function startBehind(topic: string, settings: Record<string, string> = {}): Promise<ServerProcess> {
  const file = join(temporaryFolder('headers'), 'headers.bin');
  writeFileSync(file, Buffer.concat(headers.slice(0, OWN_HEIGHT + 1)));
  const server = await ServerProcess.start({
    readyTimeoutMs: 60_000,
    settings: {
      ...messageBus('mainnet'),
      ...kafkaSettings(broker.address),
      embedded_chain_headers: file,
      kafka_blocksConfig: `kafka://${broker.address}/${topic}?partitions=1&replication=1&retention=600000`,
      p2p_allow_private_datahubs: 'true',
      grpc_admin_api_key: KEY,
      ...settings,
    },
  });
  running.push(server);
  return server;
}

/** Calls the server as the other services of its node do. */
function servicesOf(server: ServerProcess) {
  const go = new GoGrpcClient({ address: server.ready.grpcAddress, key: KEY });
  running.push(go);
  return async (method: string, request: object) => {
    const { code, response } = await go.call(`p2p_api.PeerService/${method}`, request);
    expect({ method, code }).toEqual({ method, code: 'OK' });
    return response ?? {};
  };
}

/** What block validation reports when it has validated the peer's chain up to that height. */
function validatedUpTo(height: number, peerId: string) {
  const work = (BLOCK_WORK * BigInt(height + 1)).toString(16).padStart(64, '0');
  return { peerId, height, blockHash: hashAt(height), chainWork: Buffer.from(work, 'hex').toString('base64') };
}

/** A Go peer whose announcements reach the server. */
async function startPeer(server: ServerProcess, options: GoBusOptions = {}): Promise<GoBus> {
  const peer = await GoBus.start({ bootstrapPeers: [server.address], announceAddrs: UNREACHABLE, ...options });
  running.push(peer);
  return peer;
}

async function isMeshedWith(peer: GoBus, peerId: string): Promise<void> {
  await waitFor(async () => (await peer.mesh()).mesh[topics.nodeStatus]?.includes(peerId), {
    timeoutMs: 60_000,
    what: 'the mesh',
  });
}

/** Publishes the status of a node of that height. */
async function says(peer: GoBus, height: number, { url }: DataHub, changes: object = {}): Promise<void> {
  await peer.publish(topics.nodeStatus, {
    peer_id: peer.peerId,
    client_name: 'bus',
    type: 'node_status',
    base_url: url,
    version: 'v0.14.4',
    commit_hash: 'abcdef0',
    best_block_hash: height < headers.length ? hashAt(height) : UNKNOWN_HASH,
    best_height: height,
    fsm_state: 'RUNNING',
    start_time: 1_790_000_000,
    uptime: 12.5,
    miner_name: 'miner',
    listen_mode: 'full',
    chain_work: '01',
    storage: 'full',
    ...changes,
  });
}

/** Its own address, which others do not learn. */
function loopbackOf({ listenAddresses, peerId }: GoBus): string {
  const all = listenAddresses.find((address) => address.startsWith('/ip4/0.0.0.0/'));
  if (all === undefined) throw new Error('it listens nowhere');
  return `${all.replace('0.0.0.0', '127.0.0.1')}/p2p/${peerId}`;
}

interface Fetch {
  readonly hash: string;
  readonly url: string;
  readonly peerId: string;
}

/** All fetch triggers in Kafka, once there are at least `count`. */
async function fetches(topic: string, count: number): Promise<Fetch[]> {
  return await waitFor(
    async () => {
      // One more than is awaited is seen too.
      const values = await readTopic(broker.address, topic, (seen) => seen > count, QUIET_MS);
      if (values.length < count) return false;
      return values.map((value) => {
        const { 1: hash = '', 2: url = '', 3: peerId = '' } = protobufStrings(value);
        return { hash, url, peerId };
      });
    },
    { timeoutMs: 90_000, what: `${count} things to fetch in ${topic}` },
  );
}

test('a peer ahead by validated work is synced from, whatever others claim, after a request for its best block header', async () => {
  const topic = 'work-validated';
  const server = await startBehind(topic);
  const [honest, ...liars] = await Promise.all([startPeer(server), startPeer(server), startPeer(server)]);
  for (const peer of [honest, ...liars]) await isMeshedWith(peer, server.peerId);
  const call = servicesOf(server);
  await call('ReportValidatedChainProgress', validatedUpTo(HONEST_HEIGHT - 50, honest.peerId));
  const hub = await dataHub();
  await says(honest, HONEST_HEIGHT, hub);
  for (const liar of liars) await says(liar, LIE, await dataHub());
  const expected = { hash: hashAt(HONEST_HEIGHT), url: hub.url, peerId: honest.peerId };
  expect(await fetches(topic, 1)).toEqual([expected]);
  expect(hub.paths[0]).toBe('/api/v1/bestblockheader');
  const choices = server.output.json.filter(({ event }) => event === 'sync peer chosen');
  expect(choices).toMatchObject([{ peerId: honest.peerId, isProbe: false }]);
});

test('a peer whose DataHub does not know its best block is not synced from', async () => {
  const topic = 'work-hub';
  const server = await startBehind(topic);
  const [useless, honest] = await Promise.all([startPeer(server), startPeer(server)]);
  for (const peer of [useless, honest]) await isMeshedWith(peer, server.peerId);
  const call = servicesOf(server);
  await call('ReportValidatedChainProgress', validatedUpTo(HONEST_HEIGHT, useless.peerId));
  await call('ReportValidatedChainProgress', validatedUpTo(HONEST_HEIGHT - 100, honest.peerId));
  const [empty, hub] = [await dataHub(false), await dataHub()];
  await says(useless, HONEST_HEIGHT, empty);
  await waitFor(() => empty.paths.length > 0, { what: 'the check of its DataHub' });
  await says(honest, HONEST_HEIGHT - 100, hub);
  expect((await fetches(topic, 1)).map(({ peerId }) => peerId)).toEqual([honest.peerId]);
});

test('an author that is not connected to us is synced from', async () => {
  const topic = 'work-author';
  // Go peers dial the authors whom they hear; this one they do not hear.
  const server = await startBehind(topic, { listen_mode: 'silent' });
  const between = await startPeer(server);
  await isMeshedWith(between, server.peerId);
  const author = await startPeer(server, { bootstrapPeers: [loopbackOf(between)] });
  await isMeshedWith(author, between.peerId);
  const hub = await dataHub();
  await says(author, HONEST_HEIGHT, hub);
  expect(await fetches(topic, 1)).toEqual([{ hash: hashAt(HONEST_HEIGHT), url: hub.url, peerId: author.peerId }]);
  expect(await author.isConnectedTo(server.peerId)).toBe(false);
});

test('of peers that only claim to be ahead no more than the setting says are tried in a back-off window, until an honest one has delivered', async () => {
  const topic = 'work-probes';
  const probes = 2;
  const server = await startBehind(topic, {
    p2p_max_unproven_sync_probes_per_backoff_window: `${probes}`,
    p2p_sync_peer_no_progress_timeout: '2s',
    p2p_sync_coordinator_periodic_evaluation_interval: '500ms',
  });
  const liars = await Promise.all(Array.from({ length: 5 }, () => startPeer(server)));
  for (const peer of liars) await isMeshedWith(peer, server.peerId);
  for (const peer of liars) await says(peer, LIE, await dataHub());
  await waitFor(
    async () => {
      const { body } = await server.get('/metrics');
      const count = (outcome: string) =>
        Number(new RegExp(`sync_choices_total.*"${outcome}".* (\\d+)`).exec(body)?.[1] ?? 0);
      expect(count('chosen')).toBeLessThanOrEqual(probes * (count('none_usable') + 1));
      return count('chosen') > probes;
    },
    { timeoutMs: 60_000, what: 'a second back-off window' },
  );
  const [honest] = liars;
  if (honest === undefined) throw new Error('no peers');
  const call = servicesOf(server);
  await call('ReportValidatedChainProgress', validatedUpTo(HONEST_HEIGHT, honest.peerId));
  await waitFor(
    () => {
      const choices = server.output.json.filter(({ event }) => event === 'sync peer chosen');
      return choices.at(-1)?.peerId === honest.peerId && choices.at(-1)?.isProbe === false;
    },
    { timeoutMs: 90_000, what: 'the choice of the peer whose chain was validated' },
  );
});

test('a peer that block validation reports gets a failed interaction, and the next one is asked', async () => {
  const topic = 'work-failure';
  const file = join(temporaryFolder('headers'), 'headers.bin');
  writeFileSync(file, Buffer.concat(headers.slice(0, OWN_HEIGHT + 1)));
  const services = await ReferenceServiceProcess.start({ network: 'mainnet', headersFile: file });
  running.push(services);
  const server = await startBehind(topic, { blockchain_grpcAddress: services.address });
  const [first, second] = await Promise.all([startPeer(server), startPeer(server)]);
  const call = servicesOf(server);
  for (const [peer, height] of [
    [first, HONEST_HEIGHT],
    [second, HONEST_HEIGHT - 100],
  ] as const) {
    await isMeshedWith(peer, server.peerId);
    await call('ReportValidatedChainProgress', validatedUpTo(height, peer.peerId));
    await says(peer, height, await dataHub());
    // Only then the other one: the first choice is certain.
    await waitFor(() => server.output.json.some(({ event }) => event === 'sync peer chosen'), {
      timeoutMs: 60_000,
      what: 'a choice',
    });
  }
  const metadata = { peer_id: first.peerId, failure_type: 'catchup', reason: 'block not found' };
  await services.notify({ type: PEER_FAILURE, hash: '00'.repeat(32), metadata });
  expect((await fetches(topic, 2)).map(({ peerId }) => peerId)).toEqual([first.peerId, second.peerId]);
  const { peer } = await call('GetPeer', { peerId: first.peerId });
  expect(peer).toMatchObject({ interactionFailures: '1' });
});
