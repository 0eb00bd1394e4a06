// A node of an adversary: it runs none of our code, knows who its accomplices are, and says what a story has it say.
import type { BlockHash, PeerId, SubtreeHash } from '../../src/domain/ids.ts';
import type { NodeStatusMessage } from '../../src/domain/node-status.ts';
import { UNKNOWN_BLOCK_ASSEMBLY } from '../../src/wire/block-assembly-details.ts';
import { encodeFor, type TopicKind, type TopicMessage, type WireFormat } from '../../src/wire/format.ts';
import type { Block, Blocks } from './blocks.ts';
import type { Links } from './links.ts';
import { type GossipHost, type Identity, type SignedMessage, signatureOf } from './simulated-node.ts';
import type { Served } from './validation.ts';
import { EPOCH_MS, type VirtualTime } from './virtual-time.ts';

export interface AdversaryDependencies {
  readonly time: VirtualTime;
  readonly links: Links;
  readonly blocks: Blocks;
  readonly wire: WireFormat;
  readonly topics: { readonly [K in TopicKind]?: string };
  readonly onPublished: (message: SignedMessage) => void;
}

/** What it does with the messages of others. */
export type Forwarding = 'everything' | 'nothing' | 'late';

const SEEN_MS = 120_000;
const LATE_MS = 4000;
const MAX_RECORDED = 100;

export class Adversary implements GossipHost {
  readonly id: PeerId;
  readonly name: string;
  readonly ip: string;
  readonly url: string;
  readonly dials: readonly PeerId[];
  readonly isUp = true;
  /** The first messages of others that came, to be played again. */
  readonly recorded: { readonly message: SignedMessage; readonly atMs: number }[] = [];
  /** Blocks for which it serves bytes that are none. */
  readonly garbage = new Set<BlockHash>();
  private readonly deps: AdversaryDependencies;
  private readonly secret: number;
  private readonly forwarding: Forwarding;
  private readonly neighbours = new Set<PeerId>();
  private readonly seen = new Map<string, number>();
  private seqno: bigint;

  constructor(deps: AdversaryDependencies, identity: Identity, dials: readonly PeerId[], forwarding: Forwarding) {
    this.deps = deps;
    this.id = identity.id;
    this.name = identity.name;
    this.ip = identity.ip;
    this.url = `http://hub-${identity.name}.example.org/api/v1`;
    this.secret = identity.secret;
    this.dials = dials;
    this.forwarding = forwarding;
    this.seqno = BigInt(EPOCH_MS + deps.time.nowMs) * 1_000_000n;
  }

  get neighbourCount(): number {
    return this.neighbours.size;
  }

  mayConnect(): boolean {
    return true;
  }

  opened({ id }: GossipHost): void {
    this.neighbours.add(id);
  }

  closed(id: PeerId): void {
    this.neighbours.delete(id);
  }

  receiveDirectly(): void {}

  receive(message: SignedMessage, from: PeerId): void {
    const key = `${message.author}${message.seqno}`;
    const { time } = this.deps;
    if (time.nowMs - (this.seen.get(key) ?? Number.NEGATIVE_INFINITY) < SEEN_MS) return;
    this.seen.set(key, time.nowMs);
    if (this.recorded.length < MAX_RECORDED) this.recorded.push({ message, atMs: time.nowMs });
    if (this.forwarding === 'everything') this.send(message, from);
    if (this.forwarding === 'late') time.after(LATE_MS, () => this.send(message, from));
  }

  /** Bytes for a topic, signed by this node. False for a topic that the wire does not have. */
  publishBytes(kind: TopicKind, bytes: Uint8Array): boolean {
    const topic = this.deps.topics[kind];
    if (topic === undefined) return false;
    this.seqno += 1n;
    const unsigned = { topic, bytes, author: this.id, seqno: this.seqno };
    const message = { ...unsigned, signature: signatureOf(this.secret, unsigned) };
    this.deps.onPublished(message);
    this.send(message, this.id);
    return true;
  }

  publish(message: TopicMessage): boolean {
    return this.publishBytes(message.kind, encodeFor(this.deps.wire, message, this.name));
  }

  announceBlock({ record }: Block, url = this.url): void {
    const { hash, height, header } = record;
    this.publish({
      kind: 'block',
      message: { hash, height, header, dataHubUrl: url, peerId: this.id, clientName: this.name },
    });
  }

  announceSubtree(hash: SubtreeHash): void {
    this.publish({ kind: 'subtree', message: { hash, dataHubUrl: this.url, peerId: this.id, clientName: this.name } });
  }

  /** A message that names another node as its author, which this one cannot sign for. */
  forge(kind: TopicKind, author: PeerId, bytes: Uint8Array): void {
    const topic = this.deps.topics[kind];
    if (topic === undefined) return;
    this.seqno += 1n;
    const unsigned = { topic, bytes, author, seqno: this.seqno };
    this.send({ ...unsigned, signature: signatureOf(this.secret, unsigned) }, this.id);
  }

  claimHeight(bestHeight: number, bestBlockHash: BlockHash, url = this.url): void {
    const message: NodeStatusMessage = {
      ...{ baseUrl: url, peerId: this.id, version: 'v0', commitHash: '', bestBlockHash, bestHeight },
      blockAssemblyDetails: UNKNOWN_BLOCK_ASSEMBLY,
      ...{ fsmState: 'RUNNING', startTime: 0n, uptime: 1, clientName: this.name, minerName: '', listenMode: 'full' },
      chainWork: (2n * BigInt(bestHeight)).toString(16).padStart(64, '0'),
      ...{ syncPeerId: '', syncPeerHeight: 0, syncPeerBlockHash: '', syncConnectedAt: 0n },
    };
    this.publish({ kind: 'node_status', message });
  }

  replay(message: SignedMessage): void {
    this.send(message, this.id);
  }

  /** What its DataHub answers. */
  serve(hash: BlockHash): Served {
    return this.garbage.has(hash) ? 'garbage' : this.deps.blocks.get(hash);
  }

  private send(message: SignedMessage, from: PeerId): void {
    for (const id of this.neighbours) if (id !== from && id !== message.author) this.deps.links.send(this, id, message);
  }
}
