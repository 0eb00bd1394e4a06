// What a user of the package brings in the place of ours: a node, a blockchain, producers. Nothing here is known of the
// server but what it exports.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  type BlockAnnouncement,
  type BlockchainClient,
  type BlockchainNotification,
  type BlockHeaderRecord,
  type ConnectionPolicy,
  checkProofOfWork,
  compose,
  type DirectStreamHandler,
  decodeBlock,
  encodeBestBlock,
  encodeBlock,
  encodeHeader,
  encodeSubtree,
  type GossipMessage,
  type Hash,
  hashHeader,
  loadSettings,
  NETWORKS,
  type P2PNode,
  type PeerId,
  type Producer,
  type PublishOutcome,
  peerIdFromPublicKey,
  type SubtreeAnnouncement,
  type SubtreeHash,
  type TopicHandler,
  topicName,
} from '../../src/index.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

const DATA_HUB = 'https://datahub.example.com/api/v1';
const AUTHOR_KEY = Uint8Array.from([8, 1, 18, 32, ...new Array<number>(32).fill(7)]);
const AUTHOR = peerIdFromPublicKey(AUTHOR_KEY) as PeerId;
const { regtest } = NETWORKS;

class OwnNode implements P2PNode {
  readonly published: { readonly topic: string; readonly bytes: Uint8Array }[] = [];
  readonly calls: string[] = [];
  topics: readonly string[] = [];
  readonly policy: ConnectionPolicy;
  private readonly id: PeerId;
  private readonly handlers = new Map<string, TopicHandler>();
  private seqno = BigInt(Date.now()) * 1_000_000n;

  constructor(id: PeerId, policy: ConnectionPolicy) {
    this.id = id;
    this.policy = policy;
  }

  /** A message of AUTHOR, as if gossip had verified it. */
  hear(topic: string, bytes: Uint8Array) {
    this.seqno += 1n;
    const message: GossipMessage = {
      topic,
      bytes,
      author: AUTHOR,
      receivedFrom: AUTHOR,
      seqno: this.seqno,
    };
    return this.handlers.get(topic)?.(message);
  }

  async start(_signal: AbortSignal, _streams: DirectStreamHandler | undefined, topics: readonly string[]) {
    this.calls.push('start');
    this.topics = topics;
  }
  async stop() {
    this.calls.push('stop');
  }
  setTopicHandler(topic: string, handler: TopicHandler) {
    this.handlers.set(topic, handler);
  }
  async publish(topic: string, bytes: Uint8Array): Promise<PublishOutcome> {
    this.published.push({ topic, bytes });
    return 'published';
  }
  async connectPeer(): Promise<PeerId> {
    throw new Error('nobody is there');
  }

  hostId = () => this.id;
  listenAddresses = () => [`/memory/own/p2p/${this.id}`];
  getTopic = () => undefined;
  currentlyConnectedPeers = () => [];
  disconnectPeer = async () => {};
  sendToPeer = async () => {};
  setPeerConnectedCallback = () => {};
  setPeerDisconnectedCallback = () => {};
  retryDials = () => {};
}

class OwnChain implements BlockchainClient {
  readonly calls: string[] = [];
  /** Which header each read asked for. */
  readonly headerReads: string[] = [];
  /** Sources of all subscriptions that were ever made. */
  readonly subscriptions: string[] = [];
  private readonly state = new Map<string, Uint8Array>();
  private readonly records: BlockHeaderRecord[] = [recordOf(regtest.genesisHeader, 0)];
  private readonly listeners = new Set<(notification: BlockchainNotification) => void>();

  mine(): BlockHeaderRecord {
    const { hash, height } = this.tip();
    const record = recordOf(minedHeader(hash), height + 1);
    this.records.push(record);
    for (const type of ['block', 'mining_on'] as const)
      for (const listener of this.listeners) listener({ type, hash: record.hash });
    return record;
  }

  async start() {
    this.calls.push('start');
  }
  async stop() {
    this.calls.push('stop');
  }
  async setState(key: string, data: Uint8Array) {
    this.state.set(key, data);
  }
  subscribe(source: string, listener: (notification: BlockchainNotification) => void) {
    this.subscriptions.push(source);
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  async bestBlockHeader() {
    this.headerReads.push('best');
    return this.tip();
  }
  async blockHeader(hash: Hash) {
    this.headerReads.push(hash);
    return this.records.find((record) => record.hash === hash);
  }
  getState = async (key: string) => this.state.get(key);
  fsmState = async () => 'RUNNING' as const;
  waitUntilFsmLeavesIdle = async () => {};
  probe = async () => ({ ok: true, details: 'own' });

  private tip(): BlockHeaderRecord {
    return this.records.at(-1) ?? recordOf(regtest.genesisHeader, 0);
  }
}

class OwnProducer<T> implements Producer<T> {
  readonly values: T[] = [];
  readonly calls: string[] = [];

  async start() {
    this.calls.push('start');
  }
  async stop() {
    this.calls.push('stop');
  }
  publish(value: T) {
    this.values.push(value);
  }
  probe = async () => ({ ok: true, details: 'brought' });
}

function recordOf(header: Uint8Array, height: number): BlockHeaderRecord {
  const facts = { txCount: 1n, sizeInBytes: 285n, miner: 'own', chainWork: undefined, invalid: false };
  return { hash: hashHeader(header), header, height, ...facts };
}

function minedHeader(previousHash: Hash): Uint8Array {
  const bits = regtest.powLimitBits;
  const time = Math.floor(Date.now() / 1000);
  for (let nonce = 0; ; nonce += 1) {
    const header = encodeHeader({
      version: 1,
      previousHash,
      merkleRoot: '11'.repeat(32) as Hash,
      time,
      bits,
      nonce,
    });
    if (checkProofOfWork(header, bits) === 'ok') return header;
  }
}

/** A server of parts that were all brought. */
async function composed() {
  const dataFolder = temporaryFolder('own-parts');
  const { settings } = loadSettings({
    folder: REPO,
    env: {
      dataFolder,
      logLevel: 'ERROR',
      grpc_admin_api_key: 'a-key-of-this-test-only-42',
      p2p_http_listen_address: '127.0.0.1:0',
      p2p_grpc_listen_address: '127.0.0.1:0',
    },
  });
  const blockchain = new OwnChain();
  const blockProducer = new OwnProducer<BlockAnnouncement>();
  const subtreeProducer = new OwnProducer<SubtreeAnnouncement>();
  const made: OwnNode[] = [];
  const app = await compose(settings, {
    node: ({ policy }, { privateKey }) => {
      const node = new OwnNode(privateKey.publicKey.toString() as PeerId, policy);
      made.push(node);
      return node;
    },
    blockchain,
    blockProducer,
    subtreeProducer,
  });
  const [node] = made;
  if (node === undefined) throw new Error('no node was made');
  const topicOf = (name = '') => topicName(regtest.topicPrefixes['go-p2p'], name);
  return { app, settings, dataFolder, node, blockchain, blockProducer, subtreeProducer, topicOf };
}

test('an announcement goes from the caller’s node to the caller’s producers, and a block of the caller’s chain to the node', async () => {
  const { app, settings, dataFolder, node, blockchain, blockProducer, subtreeProducer, topicOf } = await composed();
  const parts = [node, blockchain, blockProducer, subtreeProducer];
  try {
    expect(app.blockchain).toBe(blockchain);
    const ready = await app.start(AbortSignal.timeout(30_000));
    expect(ready).toMatchObject({ peerId: node.hostId(), listenAddresses: node.listenAddresses() });
    expect(parts.map(({ calls }) => calls)).toEqual([['start'], ['start'], ['start'], ['start']]);
    expect(node.policy.refusesPeer(AUTHOR)).toBe(false);
    expect((await app.server.health(false)).message).toContain('kafka_blocks: ok (brought)');

    expect(node.topics).toContain(topicOf(settings.p2p_block_topic));
    const header = minedHeader(hashHeader(regtest.genesisHeader));
    const hash = hashHeader(header);
    const block = encodeBlock({ hash, height: 1, dataHubUrl: DATA_HUB, peerId: AUTHOR, header });
    expect(node.hear(topicOf(settings.p2p_block_topic), block)).toBe('accept');
    const subtree = 'ab'.repeat(32) as SubtreeHash;
    const announced = encodeSubtree({ hash: subtree, dataHubUrl: DATA_HUB, peerId: AUTHOR });
    expect(node.hear(topicOf(settings.p2p_subtree_topic), announced)).toBe('accept');
    await waitFor(() => blockProducer.values.length > 0 && subtreeProducer.values.length > 0, {
      what: 'what the producers get',
    });
    const handedOn = { url: DATA_HUB, peerId: AUTHOR };
    expect(blockProducer.values).toEqual([{ hash, ...handedOn }]);
    expect(subtreeProducer.values).toEqual([{ hash: subtree, ...handedOn }]);

    const mined = blockchain.mine();
    const said = await waitFor(() => node.published.find(({ topic }) => topic === topicOf(settings.p2p_block_topic)), {
      what: 'the announcement of our block',
    });
    expect(decodeBlock(said.bytes)).toMatchObject({
      message: { hash: mined.hash, height: 1, peerId: node.hostId() },
    });
  } finally {
    await app.stop();
  }
  for (const { calls } of parts) expect(calls).toContain('stop');
  expect(existsSync(join(dataFolder, 'blockchain.db'))).toBe(false);
});

test('the blockchain service has one subscriber, and a block costs one header read', async () => {
  const { app, settings, node, blockchain, topicOf } = await composed();
  const said = (topic: string) =>
    node.published.flatMap((each) =>
      each.topic === topicOf(topic) ? [JSON.parse(Buffer.from(each.bytes).toString())] : [],
    );
  try {
    await app.start(AbortSignal.timeout(30_000));
    await waitFor(() => said(settings.p2p_node_status_topic).length > 0, { what: 'the first node status' });
    expect(blockchain.subscriptions).toEqual(['p2p']);

    const before = blockchain.headerReads.length;
    const { hash } = blockchain.mine();
    const request = encodeBestBlock({ kind: 'request', peerId: AUTHOR });
    expect(node.hear(topicOf(settings.p2p_bestblock_topic), request)).toBe('accept');
    const what = 'block, mining-on, best block and node status of the new block';
    const sayNewBlock = () =>
      [
        said(settings.p2p_block_topic).some(({ Hash }) => Hash === hash),
        said(settings.p2p_mining_on_topic ?? '').some(({ Hash }) => Hash === hash),
        said(settings.p2p_bestblock_topic).some(({ Hash }) => Hash === hash),
        said(settings.p2p_node_status_topic).some(({ best_block_hash }) => best_block_hash === hash),
      ].every(Boolean);
    await waitFor(sayNewBlock, { what });
    expect(blockchain.headerReads.slice(before)).toEqual(['best']);
    expect(blockchain.subscriptions).toEqual(['p2p']);
  } finally {
    await app.stop();
  }
});
