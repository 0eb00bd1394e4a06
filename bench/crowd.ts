// Hundreds of gossipsub routers in one process, in virtual time: the library's own code and the messages that it sends,
// over links that have a latency and count bytes. Streams, encryption and signatures are left out; a signature has its
// 64 bytes and is not verified.
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import {
  type GossipSub,
  type GossipSubComponents,
  type GossipsubOpts,
  gossipsub,
  type SignedMessage,
} from '@libp2p/gossipsub';
import { RPC } from '@libp2p/gossipsub/message';
import type { PeerId as LibPeerId, PrivateKey, Startable } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { goMessageId, gossipOptions, unverifiedMessageId } from '../src/adapters/libp2p/gossipsub/options.ts';
import type { ReceivedMessage, ValidationResult } from '../src/adapters/libp2p/gossipsub/parts.ts';
import type { Hash, PeerId } from '../src/domain/ids.ts';
import { FirstDeliveries } from '../src/peers/first-deliveries.ts';
import { Random } from '../test/simulator/random.ts';
import { SimulatedMetrics } from '../test/simulator/simulated-metrics.ts';
import type { VirtualTime } from '../test/simulator/virtual-time.ts';

export const TOPIC = 'bitcoin/regtest-block';

/** `ours`: the options of our node. `go`: what a Go node has in their place, with the same library. */
export type CrowdSettings = 'ours' | 'go';

export interface CrowdOptions {
  readonly nodes: number;
  /** Connections that each node opens; as many come in, on average. */
  readonly dials: number;
  readonly settings: CrowdSettings;
  /** One-way latency of a link, drawn evenly. */
  readonly latencyMs: readonly [least: number, most: number];
  readonly seed: number;
  /** Changes of the options, to try a setting. */
  readonly changes?: Partial<GossipsubOpts>;
}

/** Defaults of go-libp2p-pubsub 0.14.2 and 0.17 where ours or those of js-libp2p differ. */
const GO_OPTIONS: Partial<GossipsubOpts> = {
  floodPublish: false,
  idontwantMinDataSize: 1024,
  Dscore: 4,
  opportunisticGraftPeers: 2,
};

/** What the crowd uses of a router besides its public methods. */
interface Router {
  addPeer(peer: LibPeerId, direction: 'inbound' | 'outbound', address: ReturnType<typeof multiaddr>): void;
  readonly streamsOutbound: Map<string, object>;
  readonly seenCache: { has(id: string): boolean; put(id: string): void };
  sendSubscriptions(peer: string, topics: readonly string[], isSubscribed: boolean): void;
  sendIDontWants(id: Uint8Array, topic: string, source: string): void;
  sendRpc(peer: string, rpc: RPC): boolean;
  validateReceivedMessage(source: LibPeerId, message: ReceivedMessage): Promise<ValidationResult>;
  handleReceivedRpc(from: LibPeerId, rpc: RPC): Promise<void>;
}

export class CrowdNode {
  readonly id: LibPeerId;
  readonly text: string;
  readonly gossip: GossipSub & Startable;
  bytesSent = 0;
  bytesReceived = 0;
  /** Bytes of the RPCs that carried no message. */
  controlReceived = 0;
  readonly deliveries: FirstDeliveries;
  private readonly crowd: Crowd;
  private readonly router: Router;
  private readonly arrivedAtMs = new Map<string, number>();

  constructor(crowd: Crowd, privateKey: PrivateKey, options: CrowdOptions) {
    this.crowd = crowd;
    this.id = peerIdFromPrivateKey(privateKey);
    this.text = this.id.toString();
    const { time } = crowd;
    const clock = { now: () => Math.floor(time.nowMs), monotonic: () => time.nowMs };
    this.deliveries = new FirstDeliveries({
      clock,
      metrics: new SimulatedMetrics(),
      propagation: NOT_WATCHED,
      isPenalized: () => false,
    });
    const preferenceOf = (peer: string) => this.deliveries.preferenceOf(peer as PeerId);
    const ours = gossipOptions([TOPIC], options.settings === 'ours' ? { preferenceOf } : {});
    const chosen = { ...ours, ...(options.settings === 'go' ? GO_OPTIONS : {}), ...options.changes };
    this.gossip = gossipsub({ ...chosen, metricsRegister: null })(componentsOf(privateKey, this.id)) as GossipSub &
      Startable;
    this.router = this.gossip as unknown as Router;
    this.router.validateReceivedMessage = (source, message) =>
      this.validate(source, message, chosen.idontwantMinDataSize ?? 512);
    const { sendRpc } = this.router;
    this.router.sendRpc = (peer, rpc) => {
      // As our node and Go do: the author's ID holds the key.
      for (const message of rpc.messages) delete message.key;
      return sendRpc.call(this.router, peer, rpc);
    };
  }

  /** One end of a connection. */
  opened(other: CrowdNode, direction: 'inbound' | 'outbound', latencyMs: number): void {
    this.router.addPeer(other.id, direction, multiaddr('/ip4/127.0.0.1/tcp/1'));
    const push = (bytes: Uint8Array) => this.send(other, bytes, latencyMs);
    const stream = {
      protocol: '/meshsub/1.2.0',
      push,
      pushPrefixed: (data: { subarray(): Uint8Array }) => {
        const bytes = data.subarray();
        push(bytes.subarray(lengthPrefix(bytes)));
      },
      close: async () => {},
    };
    this.router.streamsOutbound.set(other.text, stream);
    this.router.sendSubscriptions(other.text, [TOPIC], true);
  }

  async publish(data: Uint8Array): Promise<void> {
    await this.gossip.publish(TOPIC, data);
  }

  private send(other: CrowdNode, bytes: Uint8Array, latencyMs: number): void {
    const framed = bytes.length + (bytes.length < 128 ? 1 : 2);
    this.bytesSent += framed;
    this.crowd.time.after(latencyMs, () => other.received(this, bytes, framed));
  }

  private received(from: CrowdNode, bytes: Uint8Array, framed: number): void {
    const rpc = RPC.decode(bytes);
    this.bytesReceived += framed;
    if (rpc.messages.length === 0) this.controlReceived += framed;
    void this.router.handleReceivedRpc(from.id, rpc);
  }

  /** What gossipsub does, without the signature. */
  private async validate(
    source: LibPeerId,
    message: ReceivedMessage,
    idontwantMinBytes: number,
  ): Promise<ValidationResult> {
    const msgIdStr = unverifiedMessageId(message);
    const { from: author = NONE, seqno = NONE, data = NONE } = message;
    const { crowd, router, text } = this;
    const { nowMs } = crowd.time;
    crowd.copyArrived(msgIdStr, text, nowMs);
    if (router.seenCache.has(msgIdStr)) {
      const delayMs = nowMs - (this.arrivedAtMs.get(msgIdStr) ?? nowMs);
      this.deliveries.deliveredLater(source.toString() as PeerId, delayMs, false, 0, 0);
      return { code: 'duplicate', msgIdStr };
    }
    router.seenCache.put(msgIdStr);
    this.arrivedAtMs.set(msgIdStr, nowMs);
    const receivedFrom = source.toString() as PeerId;
    this.deliveries.deliveredFirst({ type: 'attribute_block', hash: '' as Hash, author: '' as PeerId, receivedFrom });
    const sequenceNumber = Buffer.from(seqno).readBigUInt64BE();
    const msgId = goMessageId(author, sequenceNumber);
    if (data.length >= idontwantMinBytes) router.sendIDontWants(msgId, message.topic, source.toString());
    const msg = { type: 'signed', topic: message.topic, data, sequenceNumber } as SignedMessage;
    return { code: 'valid', messageId: { msgId, msgIdStr }, msg };
  }
}

const NONE = new Uint8Array();

const NOT_WATCHED = { announced: () => {}, identified: () => {}, repeated: () => {} };

function lengthPrefix(bytes: Uint8Array): number {
  let length = 1;
  while ((bytes[length - 1] ?? 0) >= 0x80) length += 1;
  return length;
}

const quiet = Object.assign(() => {}, { error: () => {}, trace: () => {}, newScope: () => quiet, enabled: false });

function componentsOf(privateKey: PrivateKey, peerId: LibPeerId): GossipSubComponents {
  const unsigned = {
    type: privateKey.type,
    raw: privateKey.raw,
    publicKey: privateKey.publicKey,
    sign: () => new Uint8Array(64),
  };
  const registrar = {
    handle: async () => {},
    unhandle: async () => {},
    register: async () => '',
    unregister: () => {},
  };
  const parts = { privateKey: unsigned, peerId, registrar, logger: { forComponent: () => quiet } };
  return { ...parts, peerStore: {}, connectionManager: {} } as unknown as GossipSubComponents;
}

/** A message and when its copies arrived. */
interface Journey {
  readonly publisher: string;
  readonly publishedAtMs: number;
  /** First arrivals by node, in their order. */
  readonly arrivals: Map<string, number>;
  copies: number;
}

export interface CrowdFigures {
  readonly nodes: number;
  readonly dials: number;
  readonly settings: string;
  readonly messages: number;
  readonly messageBytes: number;
  /** Virtual ms from the publication until this share of the nodes had a message; mean over the messages. */
  readonly halfMs: number;
  readonly share99Ms: number;
  readonly allMs: number;
  /** The longest until all had one. */
  readonly worstMs: number;
  /** Deliveries that never happened. */
  readonly missed: number;
  /** Copies that a node received of a message beyond the first; mean. */
  readonly duplicates: number;
  /** Bytes that a node received per message, copies and control messages included; mean. */
  readonly bytesPerMessage: number;
  /** Of these, bytes of RPCs without a message: IHAVE, IWANT, IDONTWANT, GRAFT, PRUNE. */
  readonly controlBytesPerMessage: number;
  /** The most bytes per message that one node sent. */
  readonly mostBytesSent: number;
}

export class Crowd {
  readonly time: VirtualTime;
  readonly nodes: readonly CrowdNode[];
  private readonly options: CrowdOptions;
  readonly random: Random;
  private readonly journeys = new Map<string, Journey>();
  private publishing: Journey | undefined;

  /** Made before virtual time is installed: keys come from the crypto library's own threads. */
  static async create(time: VirtualTime, options: CrowdOptions): Promise<Crowd> {
    const seed = (n: number) => Uint8Array.from({ length: 32 }, (_each, i) => (i < 4 ? (n >> (8 * i)) & 0xff : 7));
    const keys = await Promise.all(
      Array.from({ length: options.nodes }, (_each, n) => generateKeyPairFromSeed('Ed25519', seed(n))),
    );
    return new Crowd(time, options, keys);
  }

  private constructor(time: VirtualTime, options: CrowdOptions, keys: readonly PrivateKey[]) {
    this.time = time;
    this.options = options;
    this.random = new Random(options.seed);
    this.nodes = keys.map((key) => new CrowdNode(this, key, options));
  }

  /** Connects the nodes and lets the meshes form. */
  async start(): Promise<void> {
    const { nodes, random, time } = this;
    const { dials, latencyMs } = this.options;
    for (const node of nodes) {
      await node.gossip.start();
      node.gossip.subscribe(TOPIC);
      // Heartbeats of different nodes do not beat together.
      await time.advance(random.between(0, 1000 / nodes.length));
    }
    const links = new Set<string>();
    for (const [n, node] of nodes.entries())
      for (let dialled = 0; dialled < Math.min(dials, (nodes.length - 1) / 2); ) {
        const m = random.below(nodes.length);
        const key = n < m ? `${n} ${m}` : `${m} ${n}`;
        if (n === m || links.has(key)) continue;
        links.add(key);
        dialled += 1;
        const other = nodes[m] as CrowdNode;
        const linkMs = random.between(...latencyMs);
        node.opened(other, 'outbound', linkMs);
        other.opened(node, 'inbound', linkMs);
      }
    await time.advance(15_000);
  }

  /** Publishes messages one after another, at random nodes, and counts until the last heartbeats have offered them. */
  async measure(messages: number, messageBytes: number, everyMs: number): Promise<CrowdFigures> {
    const { nodes, random, time, journeys } = this;
    journeys.clear();
    for (const node of nodes) {
      node.bytesSent = 0;
      node.bytesReceived = 0;
      node.controlReceived = 0;
    }
    for (let n = 0; n < messages; n += 1) {
      const publisher = random.pick(nodes);
      this.publishing = { publisher: publisher.text, publishedAtMs: time.nowMs, arrivals: new Map(), copies: 0 };
      await publisher.publish(randomBytes(random, messageBytes));
      await time.advance(everyMs);
    }
    await time.advance(6000);
    return this.figures(messages, messageBytes);
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) await node.gossip.stop();
  }

  copyArrived(id: string, node: string, nowMs: number): void {
    let journey = this.journeys.get(id);
    if (journey === undefined) {
      if (this.publishing === undefined) return;
      journey = this.publishing;
      this.publishing = undefined;
      this.journeys.set(id, journey);
    }
    journey.copies += 1;
    if (node !== journey.publisher && !journey.arrivals.has(node)) journey.arrivals.set(node, nowMs);
  }

  private figures(messages: number, messageBytes: number): CrowdFigures {
    const { nodes, dials } = this.options;
    const others = nodes - 1;
    const all = [...this.journeys.values()];
    const delays = all.map(({ publishedAtMs, arrivals }) => [...arrivals.values()].map((each) => each - publishedAtMs));
    const at = (share: number) => mean(delays.map((each) => each[Math.ceil(each.length * share) - 1] ?? 0));
    const delivered = all.reduce((sum, { arrivals }) => sum + arrivals.size, 0);
    const copies = all.reduce((sum, journey) => sum + journey.copies, 0);
    const perMessage = (bytes: number) => Math.round(bytes / nodes / messages);
    const sum = (of: (node: CrowdNode) => number) => this.nodes.reduce((total, node) => total + of(node), 0);
    return {
      ...{ nodes, dials, settings: this.options.settings, messages, messageBytes },
      ...{ halfMs: Math.round(at(0.5)), share99Ms: Math.round(at(0.99)), allMs: Math.round(at(1)) },
      worstMs: Math.round(Math.max(...delays.map((each) => each.at(-1) ?? 0))),
      missed: others * messages - delivered,
      duplicates: Math.round(((copies - delivered) / delivered) * 100) / 100,
      bytesPerMessage: perMessage(sum(({ bytesReceived }) => bytesReceived)),
      controlBytesPerMessage: perMessage(sum(({ controlReceived }) => controlReceived)),
      mostBytesSent: Math.round(Math.max(...this.nodes.map(({ bytesSent }) => bytesSent)) / messages),
    };
  }
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0) / numbers.length;
}

function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256));
}
