// A whole server on nodes that a test plays, capturing: what comes in is as random as its seed, and signed for real.
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { join } from 'node:path';
import {
  encodeKafkaInvalidBlock,
  encodeKafkaInvalidSubtree,
  encodeKafkaRejectedTx,
} from '../../src/adapters/kafka/codec.ts';
import type { MemoryBroker } from '../../src/adapters/memory/broker.ts';
import { compose } from '../../src/app/compose.ts';
import type { BanService } from '../../src/bans/service.ts';
import type { BlockHash, Hash, PeerId, SubtreeHash } from '../../src/domain/ids.ts';
import type { ConnectionPolicy } from '../../src/ports/connection-policy.ts';
import type { P2PNode, PeerRecord, PublishOutcome, TopicHandler } from '../../src/ports/p2p-node.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { encodeFor, type TopicMessage, WIRE_FORMATS, type WireName } from '../../src/wire/format.ts';
import { encodeHandshake } from '../../src/wire/handshake.ts';
import { hashHeader } from '../../src/wire/header.ts';
import { peerIdFromPublicKey } from '../../src/wire/peer-id.ts';
import { temporaryFolder } from './cleanup.ts';
import { EASY_BITS, GENESIS, mineChain } from './mined.ts';
import { REPO } from './repo.ts';

/** Random numbers that a seed decides (mulberry32). */
export function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** A key pair that signs messages. */
export class Author {
  readonly id: PeerId;
  private readonly key: KeyObject;
  private readonly multihash: Buffer;
  seqno = 1_000_000n;

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    this.key = privateKey;
    const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
    const protobuf = Buffer.concat([Buffer.from([8, 1, 18, 32]), raw]);
    this.multihash = Buffer.concat([Buffer.from([0, 36]), protobuf]);
    this.id = peerIdFromPublicKey(protobuf) as PeerId;
  }

  /** As gossipsub signs: the protobuf of from, data, sequence number and topic, after a prefix. */
  signature(topic: string, bytes: Uint8Array, seqno: bigint): Uint8Array {
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(seqno);
    const fields = [this.multihash, bytes, number, Buffer.from(topic)];
    const encoded = fields.flatMap((field, i) => [Buffer.from([((i + 1) << 3) | 2, ...varint(field.length)]), field]);
    return sign(null, Buffer.concat([Buffer.from('libp2p-pubsub:'), ...encoded]), this.key);
  }
}

export function newAuthors(): Author[] {
  return Array.from({ length: 8 }, () => new Author());
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** A node without a network. */
class PlayedNode implements P2PNode {
  readonly policy: ConnectionPolicy;
  readonly handlers = new Map<string, TopicHandler>();
  readonly peers = new Map<PeerId, PeerRecord>();
  private readonly id: PeerId;
  private readonly since = new Map<PeerId, number>();
  private onConnected: (peerId: PeerId) => void = () => {};
  private onDisconnected: (peerId: PeerId) => void = () => {};

  constructor(id: PeerId, policy: ConnectionPolicy) {
    this.id = id;
    this.policy = policy;
  }

  connect(id: PeerId, ip: string): void {
    if (this.policy.refusesAddress(ip) || this.policy.refusesPeer(id) || this.peers.has(id)) return;
    this.since.set(id, performance.now());
    const unmeasured = { localAddress: undefined, agentVersion: undefined, pingMs: undefined, lastSendMs: undefined };
    const traffic = { bytesSent: 0, bytesReceived: 0, lastReceiveMs: undefined };
    const addresses = [`/ip4/${ip}/tcp/4001/p2p/${id}`];
    this.peers.set(id, { ...unmeasured, ...traffic, id, addresses, direction: 'inbound', connectedAtMs: Date.now() });
    this.policy.connectionOpened(id, ip);
    this.onConnected(id);
  }

  disconnect(id: PeerId): void {
    if (this.peers.delete(id)) this.onDisconnected(id);
  }

  setTopicHandler(topic: string, handler: TopicHandler): void {
    this.handlers.set(topic, handler);
  }
  setPeerConnectedCallback(callback: (peerId: PeerId) => void): void {
    this.onConnected = callback;
  }
  setPeerDisconnectedCallback(callback: (peerId: PeerId) => void): void {
    this.onDisconnected = callback;
  }
  async disconnectPeer(id: PeerId): Promise<void> {
    this.disconnect(id);
  }
  async publish(): Promise<PublishOutcome> {
    return 'published';
  }
  async connectPeer(): Promise<PeerId> {
    throw new Error('nobody is there');
  }
  currentlyConnectedPeers = () => [...this.peers.values()];
  connectedSinceMs = (id: PeerId) => (this.peers.has(id) ? this.since.get(id) : undefined);
  hostId = () => this.id;
  listenAddresses = () => [`/memory/played/p2p/${this.id}`];
  getTopic = () => undefined;
  start = async () => {};
  stop = async () => {};
  sendToPeer = async () => {};
  retryDials = () => {};
}

export interface CapturingOptions {
  readonly seed: number;
  readonly wire: 'go-p2p' | 'message-bus' | 'both';
  readonly settings?: Readonly<Record<string, string>>;
  /** Default: a new one. */
  readonly dataFolder?: string;
  /** The key pair that signs; default: a new one. */
  readonly authors?: readonly Author[];
}

/** A story on a server that captures. */
export class CapturingServer {
  readonly file: string;
  private readonly options: CapturingOptions;
  private readonly app: Awaited<ReturnType<typeof compose>>;
  private readonly nodes: readonly PlayedNode[];
  private readonly authors: readonly Author[];
  private readonly below: (bound: number) => number;
  private readonly headers = mineChain(GENESIS.header, 60, 'story', EASY_BITS);
  private readonly announced: string[] = [];

  private constructor(
    file: string,
    options: CapturingOptions,
    app: Awaited<ReturnType<typeof compose>>,
    nodes: readonly PlayedNode[],
  ) {
    this.file = file;
    this.options = options;
    this.app = app;
    this.nodes = nodes;
    this.below = seeded(options.seed);
    this.authors = options.authors ?? newAuthors();
  }

  static async start(options: CapturingOptions): Promise<CapturingServer> {
    const dataFolder = options.dataFolder ?? temporaryFolder('capturing');
    const file = join(temporaryFolder('capture'), 'capture');
    const { settings } = loadSettings({
      folder: REPO,
      env: {
        dataFolder,
        network: 'regtest',
        logLevel: 'ERROR',
        p2p_wire: options.wire,
        p2p_dht_use_private: 'true',
        p2p_shared_key: 'ab'.repeat(32),
        p2p_port: '0',
        p2p_http_listen_address: '127.0.0.1:0',
        p2p_grpc_listen_address: '127.0.0.1:0',
        embedded_chain_mine_interval: '40ms',
        p2p_peer_map_cleanup_interval: '50ms',
        p2p_peer_registry_cleanup_interval: '70ms',
        p2p_author_rate: '20',
        p2p_author_burst: '60',
        p2p_ban_threshold: '60',
        p2p_allow_private_datahubs: 'true',
        p2p_capture_file: file,
        ...options.settings,
      },
    });
    const nodes: PlayedNode[] = [];
    const app = await compose(settings, {
      node: ({ policy }, { privateKey }) => {
        const node = new PlayedNode(privateKey.publicKey.toString() as PeerId, policy);
        nodes.push(node);
        return node;
      },
    });
    await app.start(AbortSignal.timeout(60_000));
    return new CapturingServer(file, options, app, nodes);
  }

  /** The ban service, as the door of orders. */
  get bans(): BanService {
    return this.nodes[0]?.policy as BanService;
  }

  /** Random inputs, with pauses in which timers and the chain go on. */
  async play(steps: number): Promise<void> {
    for (let i = 0; i < steps; i += 1) {
      this.step();
      if (this.below(8) === 0) await new Promise((resolve) => setTimeout(resolve, this.below(4)));
    }
  }

  async stop(): Promise<void> {
    await this.app.stop();
  }

  private step(): void {
    const choice = this.below(100);
    const node = this.pick(this.nodes);
    const author = this.pick(this.authors);
    if (choice < 70) this.gossip(node, author);
    else if (choice < 78) node.connect(author.id, `10.0.0.${1 + this.below(6)}`);
    else if (choice < 82) node.disconnect(author.id);
    else if (choice < 90) this.report(this.app.memoryBroker, author);
    else if (choice < 92) node.policy.malformedRpc(author.id);
    else if (choice < 94) void this.bans.addScore(author.id, 'spam', ORDERED);
    else if (choice < 96) void this.bans.ban(this.pick([author.id, '10.0.0.3', '192.0.2.0/24'])).catch(() => {});
    else if (choice < 99) void this.bans.unban(author.id).catch(() => {});
    else void this.bans.clear();
  }

  private gossip(node: PlayedNode, author: Author): void {
    const wire: WireName = this.wireOf(node);
    const topic = this.pick([...node.handlers.keys()]);
    const kind = this.pick(['block', 'block', 'subtree', 'subtree', 'subtree', 'handshake', 'rejected_tx'] as const);
    const named = this.below(6) === 0 ? this.pick(this.authors) : author;
    const bytes =
      this.below(12) === 0 ? Buffer.from(`{"Hash":${this.below(1000)}`) : this.message(wire, kind, named.id);
    author.seqno += BigInt(this.below(10) === 0 ? -3 : 1);
    const { seqno } = author;
    const signature = author.signature(topic, bytes, seqno);
    const receivedFrom = this.below(2) === 0 ? author.id : this.pick(this.authors).id;
    const name = [...node.handlers.keys()].find((each) => each.endsWith(kind)) ?? topic;
    const used = this.below(5) === 0 ? topic : name;
    const signed = used === topic ? signature : author.signature(used, bytes, seqno);
    node.handlers.get(used)?.({ topic: used, bytes, author: author.id, receivedFrom, seqno, signature: signed });
  }

  private message(wire: WireName, kind: TopicMessage['kind'], peerId: PeerId): Uint8Array {
    const dataHubUrl = `http://10.1.1.${1 + this.below(5)}:8090/api/v1`;
    const height = 1 + this.below(this.headers.length);
    const header = this.headers[height - 1] ?? GENESIS.header;
    const hash = hashHeader(header);
    const number = this.below(40);
    const of = (text: string) => createHash('sha256').update(`${text}${number}`).digest('hex');
    const told = height + (this.below(9) === 0 ? 1 : 0);
    if (kind === 'block') {
      this.announced.push(hash);
      return this.encoded(wire, { kind, message: { hash, height: told, dataHubUrl, peerId, header } });
    }
    if (kind === 'subtree') {
      const subtree = of('subtree') as SubtreeHash;
      this.announced.push(subtree);
      return this.encoded(wire, { kind, message: { hash: subtree, dataHubUrl, peerId } });
    }
    if (kind === 'handshake' && wire === 'go-p2p') return this.handshake(peerId, told, dataHubUrl);
    return this.encoded(wire, { kind: 'rejected_tx', message: { txId: of('tx') as Hash, reason: 'bad', peerId } });
  }

  /** What comes of it is decided outside of the replayed parts. */
  private handshake(peerId: PeerId, bestHeight: number, dataHubUrl: string): Uint8Array {
    const [topicPrefix = ''] = [...(this.nodes.at(-1)?.handlers.keys() ?? [])].map((topic) =>
      topic.replace(/-[^-]*$/, ''),
    );
    const chain = { bestHeight, bestHash: undefined, services: 1n };
    const names = { userAgent: 'story', topicPrefix: this.below(4) === 0 ? 'bitcoin/other' : topicPrefix };
    return encodeHandshake({ type: this.pick(['version', 'verack']), peerId, dataHubUrl, ...chain, ...names });
  }

  private encoded(wire: WireName, message: TopicMessage): Uint8Array {
    return encodeFor(WIRE_FORMATS[wire], message, 'story');
  }

  private report(broker: MemoryBroker, { id }: Author): void {
    const hash = this.announced.length === 0 ? '00'.repeat(32) : this.pick(this.announced);
    const peerId = this.below(3) === 0 ? id : '';
    const peerUrl = this.below(2) === 0 ? `http://10.1.1.${1 + this.below(5)}:8090/api/v1` : '';
    const reason = this.below(6) === 0 ? 'block already exists' : 'invalid';
    const [block, subtree, tx] = [hash as BlockHash, hash as SubtreeHash, hash as Hash];
    const choice = this.below(7);
    if (choice === 0) broker.append('rejectedtx', encodeKafkaRejectedTx({ txId: tx, reason, peerId }));
    else if (choice === 1) broker.append('invalid-blocks', Buffer.from([255, this.below(256)]));
    else if (choice < 4)
      broker.append('invalid-subtrees', encodeKafkaInvalidSubtree({ hash: subtree, reason, peerId, peerUrl }));
    else broker.append('invalid-blocks', encodeKafkaInvalidBlock({ hash: block, reason, peerId, peerUrl }));
  }

  private wireOf(node: PlayedNode): WireName {
    const { wire } = this.options;
    if (wire !== 'both') return wire;
    return node === this.nodes[0] ? 'message-bus' : 'go-p2p';
  }

  private pick<T>(all: readonly T[]): T {
    return all[this.below(all.length)] as T;
  }
}

const ORDERED = { role: 'author', rule: 'operator', topic: '', hash: undefined } as const;
