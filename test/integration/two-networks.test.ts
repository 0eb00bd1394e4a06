// One server that belongs to two networks, each with a node, a port and a shared key of its own: registry, bans, chain
// and producers are shared.
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EmbeddedChain } from '../../src/adapters/embedded-chain/embedded-chain.ts';
import { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import { type App, compose } from '../../src/app/compose.ts';
import type { BlockAnnouncement } from '../../src/domain/announcement.ts';
import type { Hash, PeerId } from '../../src/domain/ids.ts';
import { type Clock, systemClock } from '../../src/ports/clock.ts';
import type { GossipMessage } from '../../src/ports/p2p-node.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { fullTopicNames } from '../../src/settings/topic-names.ts';
import { type BlockMessage, decodeBlock, encodeBlock } from '../../src/wire/block.ts';
import { GO_P2P } from '../../src/wire/format.ts';
import { decodeHandshake, type HandshakeMessage } from '../../src/wire/handshake.ts';
import { checkProofOfWork, encodeHeader, hashHeader } from '../../src/wire/header.ts';
import { NETWORKS } from '../../src/wire/networks.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { PSK } from '../support/network.ts';
import { addressOf, makeNode } from '../support/nodes.ts';
import { REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

const ADMIN_KEY = 'a-key-of-this-test-only-42';
const OTHER_PSK = 'b7'.repeat(32);
const DATA_HUB = 'https://datahub.example.com/api/v1';
const clock: Clock = systemClock;

const { settings } = loadSettings({
  folder: REPO,
  env: {
    dataFolder: temporaryFolder('two-networks'),
    p2p_shared_key: PSK,
    p2p_port: '0',
    p2p_listen_addresses: '127.0.0.1',
    p2p_http_listen_address: '127.0.0.1:0',
    p2p_grpc_listen_address: '127.0.0.1:0',
    grpc_admin_api_key: ADMIN_KEY,
    p2p_allow_private_datahubs: 'true',
  },
});
/** Both networks use the same topic names: only the shared key distinguishes them. */
const topics = fullTopicNames(settings);

interface Peer {
  readonly node: Libp2pNode;
  readonly id: PeerId;
  readonly heard: GossipMessage[];
  readonly handshakes: HandshakeMessage[];
}

const peers: Libp2pNode[] = [];
const servers: Libp2pNode[] = [];
const published: BlockAnnouncement[] = [];
const producer = {
  start: async () => {},
  stop: async () => {},
  publish: (announcement: BlockAnnouncement) => void published.push(announcement),
  probe: async () => ({ ok: true, details: '' }),
};
let httpAddress = '';
let app: App;
let chain: EmbeddedChain;
let [old, far]: Peer[] = [];

async function peerOf(presharedKey: string, server: Libp2pNode, privateKey?: Ed25519PrivateKey): Promise<Peer> {
  const { node } = await makeNode({ presharedKey, ...(privateKey && { privateKey }) });
  const heard: GossipMessage[] = [];
  const handshakes: HandshakeMessage[] = [];
  node.setTopicHandler(topics.block, (message) => {
    heard.push(message);
    return 'accept';
  });
  await node.start(
    new AbortController().signal,
    async (stream) => {
      const decoded = decodeHandshake(await stream.readToEnd(1 << 16, 5000));
      if (decoded.ok) handshakes.push(decoded.message);
    },
    Object.values(topics),
  );
  peers.push(node);
  await node.connectPeer(addressOf(server));
  await waitFor(() => node.getTopic(topics.block)?.mesh().includes(server.hostId()), { what: 'the mesh' });
  return { node, id: node.hostId(), heard, handshakes };
}

/** One peer in each network; with a key, one identity in both. */
async function inBoth(privateKey?: Ed25519PrivateKey): Promise<[Peer, Peer]> {
  const [first, second] = servers;
  if (first === undefined || second === undefined) throw new Error('no nodes');
  return [await peerOf(PSK, first, privateKey), await peerOf(OTHER_PSK, second, privateKey)];
}

function both(): readonly [Peer, Peer] {
  if (old === undefined || far === undefined) throw new Error('no peers');
  return [old, far];
}

const blocksOf = ({ heard }: Peer) =>
  heard.flatMap(({ bytes, author, receivedFrom }) => {
    const decoded = decodeBlock(bytes);
    return decoded.ok ? [{ ...decoded.message, author, receivedFrom }] : [];
  });

beforeAll(async () => {
  chain = new EmbeddedChain(
    { log: recordingLogger(), clock },
    { network: NETWORKS.regtest, path: ':memory:', headersFile: undefined, mineIntervalMs: undefined, minerText: '' },
  );
  app = await compose(settings, {
    log: recordingLogger(),
    blockchain: chain,
    blockProducer: producer,
    node: (deps, options) => {
      const node = new Libp2pNode(deps, options);
      servers.push(node);
      return node;
    },
    furtherNetworks: (deps, options) => {
      const node = new Libp2pNode(deps, { ...options, presharedKey: OTHER_PSK, peerCache: undefined });
      servers.push(node);
      return [{ name: 'far', topicPrefix: NETWORKS.regtest.topicPrefixes['go-p2p'], wire: GO_P2P, topics, node }];
    },
  });
  httpAddress = (await app.start(AbortSignal.timeout(60_000))).httpAddress ?? '';
  [old, far] = await inBoth();
}, 120_000);

afterAll(async () => {
  await app?.stop();
  await Promise.all(peers.map((node) => node.stop()));
});

async function api(path: string, body?: object): Promise<unknown> {
  const response = await fetch(`http://${httpAddress}/api/v1/${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'x-api-key': ADMIN_KEY, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect(response.ok).toBe(true);
  return await response.json();
}

/** A child of the genesis block; another one for each seed. */
function childOfGenesis(seed: number): Uint8Array {
  const { powLimitBits: bits, genesisHeader } = NETWORKS.regtest;
  for (let nonce = 0; ; nonce += 1) {
    const header = encodeHeader({
      version: 1,
      previousHash: hashHeader(genesisHeader),
      merkleRoot: seed.toString(16).padStart(64, '0') as Hash,
      time: Math.floor(Date.now() / 1000),
      bits,
      nonce,
    });
    if (checkProofOfWork(header, bits) === 'ok') return header;
  }
}

function blockOf(author: PeerId, seed: number) {
  const header = childOfGenesis(seed);
  return { hash: hashHeader(header), height: 1, dataHubUrl: DATA_HUB, peerId: author, header };
}

test('two nodes listen on their own ports under one peer ID, and each peer is greeted in its network', async () => {
  const [first, second] = servers;
  expect(first?.hostId()).toBe(second?.hostId());
  expect(new Set(servers.flatMap((node) => node.listenAddresses())).size).toBe(2);
  for (const peer of both()) {
    await waitFor(() => peer.handshakes.some(({ type }) => type === 'version'), { what: 'our version' });
  }
});

test('a block of our blockchain is announced once in each network', async () => {
  const { hash } = chain.mine();
  for (const peer of both()) {
    await waitFor(() => blocksOf(peer).some((block) => block.hash === hash), { what: 'our block' });
    expect(blocksOf(peer).filter((block) => block.hash === hash)).toMatchObject([{ author: servers[0]?.hostId() }]);
  }
});

test('a message of one network is not signed again in the other; registry and Kafka are shared', async () => {
  const [one, other] = both();
  const announce = async (peer: Peer, seed: number): Promise<BlockMessage> => {
    const message = blockOf(peer.id, seed);
    await peer.node.publish(topics.block, encodeBlock(message));
    await waitFor(() => published.some(({ hash }) => hash === message.hash), { what: 'the record' });
    return message;
  };
  const [first, second] = [await announce(one, 1), await announce(other, 2)];
  // A later block of ours reaches both: anything passed across would have come before.
  const { hash: later } = chain.mine();
  for (const [peer, foreign] of [
    [one, second],
    [other, first],
  ] as const) {
    await waitFor(() => blocksOf(peer).some(({ hash }) => hash === later), { what: 'a later block' });
    expect(blocksOf(peer).filter(({ hash }) => hash === foreign.hash)).toEqual([]);
  }
  expect(published).toMatchObject([
    { hash: first.hash, peerId: one.id },
    { hash: second.hash, peerId: other.id },
  ]);
  const { peers: shown } = (await api('peers')) as { peers: { id: string }[] };
  expect(shown.map(({ id }) => id).sort()).toEqual([one.id, other.id].sort());
});

test('an author in both networks is counted once, and its ban applies in both', async () => {
  const [one, other] = await inBoth(await generateKeyPair('Ed25519'));
  const records = published.length;
  const message = blockOf(one.id, 3);
  for (const peer of [one, other]) await peer.node.publish(topics.block, encodeBlock(message));
  const [first, second] = both();
  for (const peer of [first, second])
    await waitFor(() => blocksOf(peer).some(({ hash }) => hash === message.hash), { what: 'the forwarded block' });
  expect(published.slice(records)).toMatchObject([{ hash: message.hash, peerId: one.id }]);

  const { peers: shown } = (await api('peers')) as { peers: { id: string; addresses: string[] }[] };
  expect(shown.filter(({ id }) => id === one.id)).toMatchObject([
    { addresses: [expect.any(String), expect.any(String)] },
  ]);

  await api('bans', { subject: one.id });
  for (const [index, peer] of [one, other].entries()) {
    const server = servers[index];
    if (server === undefined) throw new Error('no node');
    const isCut = () => !server.currentlyConnectedPeers().some(({ id }) => id === one.id);
    await waitFor(isCut, { what: 'the end of the connection' });
    await peer.node.connectPeer(addressOf(server)).catch(() => {});
    await waitFor(isCut, { what: 'the refusal' });
  }
});
