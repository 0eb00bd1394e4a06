// Whom a node syncs from, seen in what Kafka is told to fetch: five nodes of different heights in five processes, and
// Go peers that claim things.
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { admin } from '../support/admin.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { GoGrpcClient, goGrpcBinary } from '../support/go-grpc.ts';
import { GoPeer } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { readTopic } from '../support/kafka-reader.ts';
import {
  allTopics,
  headerHash,
  kafkaSettings,
  mainnetHeaders,
  PSK,
  privateNetwork,
  protobufStrings,
  topicsOf,
} from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const headers = mainnetHeaders();
const hashAt = (height: number) => headerHash(headers[height] ?? Buffer.alloc(80));
const UNKNOWN_HASH = '0e'.repeat(32);
const MILLION = 1_000_000;
const OWN_HEIGHT = 100;
const KEY = 'a-key-of-this-test-only-43';
/** Time to get to know all peers: versions and the health of their DataHubs. */
const MEETING_MS = 15_000;
const QUIET_MS = 6000;

interface DataHub {
  readonly url: string;
  /** What it answers to everything. */
  status: number;
  stop(): void;
}

interface Ahead {
  readonly height: number;
  readonly hub: DataHub;
  readonly server: ServerProcess;
}

let broker: KafkaBroker;
const hubs: DataHub[] = [];
const running: { stop(): unknown }[] = [];

beforeAll(async () => {
  goGrpcBinary();
  broker = await KafkaBroker.start();
});

afterAll(async () => {
  for (const hub of hubs) hub.stop();
  await broker?.stop();
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});

let hubsMade = 0;

/** On an address of its own, because hosts are asked in turn. */
async function dataHub(): Promise<DataHub> {
  hubsMade += 1;
  const host = `127.0.1.${hubsMade}`;
  const answers = { status: 200 };
  const server = createServer((_request, response) => {
    response.writeHead(answers.status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  const hub = Object.assign(answers, { url: `http://${host}:${address.port}/api/v1`, stop });
  hubs.push(hub);
  return hub;
}

/** A node whose embedded chain ends at a height of mainnet. */
async function startNode(height: number, hub: DataHub, settings: Record<string, string> = {}): Promise<ServerProcess> {
  const file = join(temporaryFolder('headers'), `${height}.bin`);
  writeFileSync(file, Buffer.concat(headers.slice(0, height + 1)));
  return await ServerProcess.start({
    readyTimeoutMs: 60_000,
    settings: {
      ...privateNetwork('mainnet'),
      embedded_chain_headers: file,
      asset_httpAddress: hub.url,
      p2p_allow_private_datahubs: 'true',
      ...settings,
    },
  });
}

/** The node that is behind; what it wants fetched goes to a topic of its own. */
async function startBehind(topic: string, settings: Record<string, string>): Promise<ServerProcess> {
  return await startNode(OWN_HEIGHT, await dataHub(), {
    ...kafkaSettings(broker.address),
    kafka_blocksConfig: `kafka://${broker.address}/${topic}?partitions=1&replication=1&retention=600000`,
    grpc_admin_api_key: KEY,
    ...settings,
  });
}

interface Fetch {
  readonly hash: string;
  readonly url: string;
  readonly peerId: string;
}

/** All fetch triggers in Kafka so far. */
async function fetches(topic: string, enough: (count: number) => boolean = () => false): Promise<Fetch[]> {
  return (await readTopic(broker.address, topic, enough, QUIET_MS)).map((value) => {
    const { 1: hash = '', 2: url = '', 3: peerId = '' } = protobufStrings(value);
    return { hash, url, peerId };
  });
}

/** The `count`-th thing to fetch and those before it. */
async function awaitFetches(topic: string, count: number): Promise<Fetch[]> {
  return await waitFor(
    async () => {
      const all = await fetches(topic, (seen) => seen >= count);
      return all.length >= count && all;
    },
    { timeoutMs: 90_000, what: `${count} things to fetch in ${topic}` },
  );
}

function bestOf({ height, hub, server }: Ahead): Fetch {
  return { hash: hashAt(height), url: hub.url, peerId: server.peerId };
}

/** Says its version as a Teranode does when it connects. */
async function claimant(server: ServerProcess, height: number, hash: string, url: string): Promise<GoPeer> {
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('mainnet') });
  running.push(peer);
  const says = {
    bestHeight: height,
    bestHash: hash,
    dataHubURL: url,
    userAgent: 'teranode/bitcoin/Unknown',
    topicPrefix: 'bitcoin/mainnet',
  };
  await peer.handshake({ protocol: 'teranode/bitcoin/1.0.0', topic: topicsOf('mainnet').handshake, says });
  await peer.connect(server.address);
  return peer;
}

/** Our answer to its version: that has been noted then. */
async function hasVerack(peer: GoPeer): Promise<boolean> {
  return (await peer.streams()).some(({ data }) => data.toString().includes('"verack"'));
}

describe('a devnet of five nodes in five processes', () => {
  const HEIGHTS = [400, 900, 1600, 2500];
  const killed = new Set<Ahead>();
  let ahead: Ahead[];
  const of = (height: number) => {
    const found = ahead.find((each) => each.height === height);
    if (found === undefined) throw new Error(`no node of height ${height}`);
    return found;
  };
  /** The one behind; it takes its time to meet all others. */
  const start = async (topic: string, settings: Record<string, string> = {}) =>
    await startBehind(topic, {
      p2p_bootstrap_addresses: ahead.map(({ server }) => server.address).join(' | '),
      p2p_min_peers_for_sync: '10',
      p2p_max_wait_for_min_peers: `${MEETING_MS}ms`,
      ...settings,
    });

  beforeAll(async () => {
    ahead = await Promise.all(
      HEIGHTS.map(async (height) => {
        const hub = await dataHub();
        return { height, hub, server: await startNode(height, hub) };
      }),
    );
  });

  afterAll(async () => {
    await Promise.all(ahead?.filter((each) => !killed.has(each)).map(({ server }) => server.stop()) ?? []);
  });

  test('prefers a lower score to a higher chain', async () => {
    const behind = await start('fetch-by-score');
    const operator = new GoGrpcClient({ address: behind.ready.grpcAddress, key: KEY });
    running.push(behind, operator);
    for (const height of [2500, 900]) {
      const request = { peerId: of(height).server.peerId, reason: 'spam' };
      expect(await operator.call('p2p_api.PeerService/AddBanScore', request)).toMatchObject({ code: 'OK' });
    }
    expect(await awaitFetches('fetch-by-score', 1)).toEqual([bestOf(of(1600))]);
    const { choice } = JSON.parse((await behind.get('/api/v1/sync')).body);
    const chosenId = of(1600).server.peerId;
    expect(choice).toMatchObject({ outcome: 'chosen', peerId: chosenId, explanation: expect.stringMatching(/usable/) });
    const whyOf = (height: number) =>
      choice.considered.find(({ peerId }: { peerId: string }) => peerId === of(height).server.peerId)?.why;
    expect([1600, 2500, 900].map(whyOf)).toEqual([undefined, 'ban_score', 'ban_score']);
    expect(await admin(behind, 'chain', 'tip')).toMatchObject([{ syncReason: choice.explanation }]);
  });

  test('skips a peer whose DataHub does not answer, or leaves it once that is known', async () => {
    of(2500).hub.status = 503;
    const behind = await start('fetch-by-health');
    running.push(behind);
    await waitFor(async () => (await fetches('fetch-by-health')).at(-1)?.peerId === of(1600).server.peerId, {
      timeoutMs: 120_000,
      what: 'the best of the others',
    }).finally(() => {
      of(2500).hub.status = 200;
    });
  });

  test('uses only the forced peer, even when others are better', async () => {
    const forced = of(400);
    const behind = await start('fetch-forced', { p2p_force_sync_peer: forced.server.peerId });
    running.push(behind);
    expect(await awaitFetches('fetch-forced', 1)).toEqual([bestOf(forced)]);
    const absences = () => behind.metric('teranode_p2p_sync_choices_total', 'outcome="forced_absent"');
    const before = await absences();
    await admin(behind, 'bans', 'add', forced.server.peerId);
    await waitFor(async () => (await absences()) > before, { timeoutMs: 60_000, what: 'a look that found nobody' });
    expect(await fetches('fetch-forced')).toHaveLength(1);
  });

  test('never chooses a peer that claims a height of a million for a block of our own chain', async () => {
    const behind = await start('fetch-refuted');
    running.push(behind);
    const hub = await dataHub();
    const liar = await claimant(behind, MILLION, hashAt(50), hub.url);
    await waitFor(() => hasVerack(liar), { what: 'the verack' });
    expect(await awaitFetches('fetch-refuted', 1)).toEqual([bestOf(of(2500))]);
    expect(await liar.isConnectedTo(behind.peerId)).toBe(true);
  });

  describe('the node that is behind', () => {
    const topic = 'fetch-best';
    let behind: ServerProcess;

    beforeAll(async () => {
      behind = await start(topic);
    });

    afterAll(async () => {
      await behind?.stop();
    });

    test('chooses the highest peer without a score, and triggers the fetch through Kafka once', async () => {
      expect(await awaitFetches(topic, 1)).toEqual([bestOf(of(2500))]);
      expect(await fetches(topic)).toHaveLength(1);
    });

    test('switches when that peer is banned', async () => {
      await admin(behind, 'bans', 'add', of(2500).server.peerId);
      expect((await awaitFetches(topic, 2)).slice(1)).toEqual([bestOf(of(1600))]);
    });

    test('switches when that peer is killed', async () => {
      killed.add(of(1600));
      await of(1600).server.kill();
      expect((await awaitFetches(topic, 3)).slice(2)).toEqual([bestOf(of(900))]);
      expect(await fetches(topic)).toHaveLength(3);
    });
  });
});

describe('without bootstrap addresses', () => {
  test('a version from a peer that is ahead triggers at once; one without a best hash does not', async () => {
    const behind = await startBehind('fetch-at-once', {
      p2p_min_peers_for_sync: '10',
      p2p_max_wait_for_min_peers: '1h',
    });
    running.push(behind);
    const hub = await dataHub();
    const silent = await claimant(behind, 3000, '', hub.url);
    await waitFor(() => hasVerack(silent), { what: 'the verack' });
    const startedMs = performance.now();
    const peer = await claimant(behind, 2500, UNKNOWN_HASH, hub.url);
    await waitFor(
      () => behind.output.json.some((line) => line.event === 'sync peer chosen' && line.peerId === peer.peerId),
      { what: 'the choice' },
    );
    expect(performance.now() - startedMs).toBeLessThan(20_000);
    expect(await awaitFetches('fetch-at-once', 1)).toEqual([{ hash: UNKNOWN_HASH, url: hub.url, peerId: peer.peerId }]);
  });
});
