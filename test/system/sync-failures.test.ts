// A node behind whose chain is a service of its own: what it does when a catch-up fails, and what it keeps from its
// other services while one runs.
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { admin } from '../support/admin.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { GoPeer } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { readTopic } from '../support/kafka-reader.ts';
import {
  allTopics,
  blockFields,
  headerHash,
  kafkaSettings,
  mainnetHeaders,
  PSK,
  privateNetwork,
  protobufStrings,
  topicsOf,
} from '../support/network.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';
import { RawWebSocket } from '../support/websocket.ts';

const headers = mainnetHeaders();
const headerAt = (height: number) => headers[height] ?? Buffer.alloc(80);
const hashAt = (height: number) => headerHash(headerAt(height));
const topics = topicsOf('mainnet');
const UNKNOWN_HASH = '0e'.repeat(32);
const MILLION = 1_000_000;
const OWN_HEIGHT = 100;
const HONEST_HEIGHT = 400;
/** `model.NotificationType`. */
const PEER_FAILURE = 6;
const QUIET_MS = 5000;

let broker: KafkaBroker;
const hubs: { url: string; stop(): void }[] = [];
let hubsMade = 0;
const running: { stop(): unknown }[] = [];

beforeAll(async () => {
  broker = await KafkaBroker.start();
});

// Not after each test: others that run at the same time have parts of their own there.
afterAll(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
  for (const hub of hubs) hub.stop();
  await broker?.stop();
});

/** URL of a DataHub that answers; on an address of its own, because hosts are asked in turn. */
async function dataHub(): Promise<string> {
  hubsMade += 1;
  const host = `127.0.2.${hubsMade}`;
  const server = createServer((_request, response) => {
    response.writeHead(200).end();
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const url = `http://${host}:${address.port}/api/v1`;
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  hubs.push({ url, stop });
  return url;
}

function headersFile(height: number): string {
  const file = join(temporaryFolder('headers'), `${height}.bin`);
  writeFileSync(file, Buffer.concat(headers.slice(0, height + 1)));
  return file;
}

async function startNode(settings: Record<string, string>): Promise<ServerProcess> {
  const server = await ServerProcess.start({
    readyTimeoutMs: 60_000,
    settings: {
      ...privateNetwork('mainnet'),
      asset_httpAddress: await dataHub(),
      p2p_allow_private_datahubs: 'true',
      ...settings,
    },
  });
  running.push(server);
  return server;
}

/** The node that is behind, and the services beside it; what it wants fetched goes to a topic of its own. */
async function startBehind(topic: string, settings: Record<string, string>) {
  const services = await ReferenceServiceProcess.start({ network: 'mainnet', headersFile: headersFile(OWN_HEIGHT) });
  running.push(services);
  const server = await startNode({
    ...kafkaSettings(broker.address),
    kafka_blocksConfig: `kafka://${broker.address}/${topic}?partitions=1&replication=1&retention=600000`,
    blockchain_grpcAddress: services.address,
    blockvalidation_grpcAddress: services.address,
    blockassembly_grpcAddress: services.address,
    ...settings,
  });
  return { services, server };
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

async function startPeer(): Promise<GoPeer> {
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('mainnet') });
  running.push(peer);
  return peer;
}

/** Takes part as a Teranode does, and claims that. */
async function startClaimant(height: number, url: string): Promise<GoPeer> {
  const peer = await startPeer();
  const says = {
    bestHeight: height,
    bestHash: UNKNOWN_HASH,
    dataHubURL: url,
    userAgent: 'teranode/bitcoin/Unknown',
    topicPrefix: 'bitcoin/mainnet',
  };
  await peer.handshake({ protocol: 'teranode/bitcoin/1.0.0', topic: topics.handshake, says });
  return peer;
}

/** Connects, and waits until what it claims is known. */
async function meet(peer: GoPeer, server: ServerProcess): Promise<void> {
  const veracks = async () => (await peer.streams()).filter(({ data }) => data.toString().includes('"verack"')).length;
  const before = await veracks();
  await peer.connect(server.address);
  await waitFor(async () => (await veracks()) > before, { timeoutMs: 30_000, what: 'the verack' });
}

async function knownHeight(server: ServerProcess, peerId: string): Promise<unknown> {
  return (await admin(server, 'peers', 'list')).find(({ id }) => id === peerId)?.height;
}

function chosen(server: ServerProcess): string[] {
  return server.output.json.filter(({ event }) => event === 'sync peer chosen').map(({ peerId }) => String(peerId));
}

async function catchesUp(server: ServerProcess): Promise<boolean> {
  return (await server.metric('teranode_p2p_sync_peer', 'state="catching_up"')) === 1;
}

function choices(server: ServerProcess, outcome: string): Promise<number> {
  return server.metric('teranode_p2p_sync_choices_total', `outcome="${outcome}"`);
}

type Fail = (services: ReferenceServiceProcess, server: ServerProcess, peerId: string) => Promise<void>;

const cameToNothing: Fail = async (services, server) => {
  await services.setFsmState('CATCHINGBLOCKS');
  await waitFor(() => catchesUp(server), { what: 'the catch-up' });
  await services.setFsmState('RUNNING');
};

/** The state machine stays at RUNNING, our chain does not grow, and the peer says nothing for a minute. */
const nothingHappened: Fail = async () => {};

const wasReported: Fail = async (services, _server, peerId) => {
  const metadata = { peer_id: peerId, failure_type: 'catchup', reason: 'block not found' };
  await services.notify({ type: PEER_FAILURE, hash: '00'.repeat(32), metadata });
};

// Each waits for times of its server, with parts and a topic of its own.
describe.concurrent('a peer that claims a height of a million, chosen before an honest one that is ahead', () => {
  const offence = { reason: 'catch_up_failure', points: 30 };
  test.each([
    ['the catch-up ends where it began', 'fetch-liar-nothing', cameToNothing, [offence]],
    ['block validation reports the peer', 'fetch-liar-reported', wasReported, [offence]],
    ['nothing comes of it', 'fetch-liar-silent', nothingHappened, []],
  ])(
    '%s: the honest peer is chosen; the liar is penalized once and not chosen again, even after it reconnects',
    async (_name, topic, fail, offences) => {
      const honestUrl = await dataHub();
      const honest = await startNode({
        embedded_chain_headers: headersFile(HONEST_HEIGHT),
        asset_httpAddress: honestUrl,
      });
      const { services, server } = await startBehind(topic, {
        p2p_bootstrap_addresses: honest.address,
        p2p_min_peers_for_sync: '3',
        p2p_max_wait_for_min_peers: '1h',
      });
      const url = await dataHub();
      const liar = await startClaimant(MILLION, url);
      await meet(liar, server);
      await waitFor(async () => (await knownHeight(server, honest.peerId)) === HONEST_HEIGHT, {
        timeoutMs: 30_000,
        what: 'the honest peer',
      });
      expect(chosen(server)).toEqual([]);
      // The third peer ends the wait: both are known by then.
      await (await startPeer()).connect(server.address);
      const lie = { hash: UNKNOWN_HASH, url, peerId: liar.peerId };
      expect(await fetches(topic, 1)).toEqual([lie]);

      await fail(services, server, liar.peerId);
      const truth = { hash: hashAt(HONEST_HEIGHT), url: honestUrl, peerId: honest.peerId };
      expect(await fetches(topic, 2)).toEqual([lie, truth]);
      const [explained] = await admin(server, 'bans', 'explain', liar.peerId);
      expect(explained?.offences ?? []).toMatchObject(offences.map((each) => ({ ...each, subject: liar.peerId })));
      expect(await knownHeight(server, liar.peerId)).toBe(MILLION);

      await liar.disconnect(server.peerId);
      await waitFor(async () => (await knownHeight(server, liar.peerId)) === undefined, { what: 'its leave' });
      await meet(liar, server);
      await waitFor(async () => (await knownHeight(server, liar.peerId)) === MILLION, { what: 'its claim' });
      const nobody = await choices(server, 'none_usable');
      await honest.stop();
      await waitFor(async () => (await choices(server, 'none_usable')) > nobody, {
        timeoutMs: 60_000,
        what: 'a look that finds nobody',
      });
      expect(chosen(server)).toEqual([liar.peerId, honest.peerId]);
      expect(await fetches(topic, 2)).toHaveLength(2);
    },
    300_000,
  );
});

describe('with a sync peer', () => {
  test.each(['CATCHINGBLOCKS', 'LEGACYSYNCING'] as const)(
    'passes announcements of other peers to Kafka while RUNNING; while %s it only forwards them, and those below the sync peer’s height',
    async (state) => {
      const topic = `fetch-during-${state.toLowerCase()}`;
      const { services, server } = await startBehind(topic, { p2p_max_wait_for_min_peers: '1h' });
      const url = await dataHub();
      const syncPeer = await startClaimant(3000, url);
      await meet(syncPeer, server);
      await waitFor(() => chosen(server).length > 0, { what: 'the sync peer' });
      const [other, witness] = [await startPeer(), await startPeer()];
      const watcher = await RawWebSocket.open(server.ready.httpAddress);
      running.push({ stop: () => watcher.socket.destroy() });
      for (const peer of [other, witness]) await peer.connect(server.address);
      for (const peer of [other, witness, syncPeer])
        for (const name of [topics.block, topics.miningOn])
          await waitFor(async () => (await peer.mesh()).mesh[name]?.includes(server.peerId), {
            timeoutMs: 30_000,
            what: 'the mesh',
          });

      /** Announces a block and that it mines on it; resolves when both have reached the witness through the server. */
      const announce = async (peer: GoPeer, height: number) => {
        const block = { ...blockFields(headerAt(height), height, peer.peerId), DataHubURL: url };
        const { Hash, DataHubURL, PeerID } = block;
        const PreviousHash = hashAt(height - 1);
        const mining = {
          Hash,
          PreviousHash,
          DataHubURL,
          PeerID,
          Height: height,
          Miner: 'm',
          SizeInBytes: 1,
          TxCount: 1,
        };
        for (const [name, message] of [
          [topics.block, block],
          [topics.miningOn, mining],
        ] as const) {
          await peer.publish(name, JSON.stringify(message));
          await waitFor(
            async () =>
              (await witness.received(name)).some(
                ({ data, author, neighbour }) =>
                  data.toString().includes(Hash) && author === peer.peerId && neighbour === server.peerId,
              ),
            { what: `block ${height} at the witness` },
          );
        }
        return { hash: Hash, url, peerId: peer.peerId };
      };

      const ofOther = await announce(other, 101);
      await services.setFsmState(state);
      // Notifications come in order: this one is told in the log, and the state before it is known then.
      await services.notify({
        type: PEER_FAILURE,
        hash: '00'.repeat(32),
        metadata: { peer_id: witness.peerId, failure_type: 'none', reason: 'a mark' },
      });
      await waitFor(() => server.output.json.some(({ reason }) => reason === 'a mark'), { what: 'the mark' });
      await announce(other, 102);
      await announce(other, 3500);
      await announce(syncPeer, 103);
      const ofSyncPeer = await announce(syncPeer, 3000);

      const trigger = { hash: UNKNOWN_HASH, url, peerId: syncPeer.peerId };
      expect(await fetches(topic, 3)).toEqual([trigger, ofOther, ofSyncPeer]);
      for (const kind of ['block', 'mining_on'])
        expect(await server.metric('teranode_p2p_not_handed_on_total', `topic="${kind}"`)).toBe(3);
      const told = await watcher.received(2, 'mining_on');
      expect(told.map(({ hash, peer_id: peerId }) => ({ hash, peerId }))).toEqual(
        [ofOther, ofSyncPeer].map(({ hash, peerId }) => ({ hash, peerId })),
      );
    },
  );
});
