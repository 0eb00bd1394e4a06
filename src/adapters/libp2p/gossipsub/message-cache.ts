// The messages of the last heartbeats, for neighbours that missed them. gossipsub keeps each as a dozen objects and the
// buffer that it came in: 2 KB for a message of 400 bytes, which V8 then has to collect the hard way. Here a message is
// its bytes in a queue outside of V8's heap, and its ID. Takes the place of gossipsub's own through its option
// `messageCache`, and does what that does; it has a bound, too. Can go when gossipsub keeps messages as bytes.
import type { GossipsubOpts } from '@libp2p/gossipsub';
import { ByteQueue } from '../../../lib/byte-queue.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';
import type { MessageId, ReceivedMessage } from './parts.ts';

/** As in go-libp2p-pubsub: for how many heartbeats a message is kept, and for how many it is advertised by IHAVE. */
const KEPT_HEARTBEATS = 5;
const TOLD_HEARTBEATS = 3;
/** Twice what 12,000 messages per second of 400 bytes need. */
const MAX_BYTES = 64 * 1024 * 1024;
/** The ID, its place in the map, and the topic. */
const OVERHEAD_BYTES = 160;

const FIELDS = ['from', 'seqno', 'data', 'signature', 'key'] as const;
const HEADER_BYTES = FIELDS.length * Int32Array.BYTES_PER_ELEMENT;
const ABSENT = -1;
const SCRATCH_BYTES = 64 * 1024;

interface CompactMessageCacheOptions {
  readonly keptHeartbeats: number;
  readonly toldHeartbeats: number;
  readonly maxBytes: number;
}

/** The messages that came between two heartbeats; `first` counts from the first message ever. */
interface Heartbeat {
  readonly first: number;
  readonly ids: string[];
  readonly topics: string[];
}

interface KeptMessage {
  readonly message: ReceivedMessage;
  /** Peers that sent it before it was validated. */
  readonly originatingPeers: Set<string>;
}

export type GossipsubCache = GossipsubOpts['messageCache'];
type CacheFunctions = Pick<GossipsubCache, Exclude<keyof GossipsubCache, 'msgs' | 'history' | 'msgIdToStrFn'>>;

export class CompactMessageCache implements CacheFunctions {
  /** ID → number of the message. */
  readonly msgs = new Map<string, number>();
  private readonly options: CompactMessageCacheOptions;
  private readonly evicted: Counter;
  private readonly queue: ByteQueue;
  /** Newest first. */
  private readonly heartbeats: Heartbeat[];
  /** Number of the oldest message in the queue, and of the next one. */
  private oldest = 0;
  private next = 0;
  /** Messages that are not validated yet → peers that sent them. */
  private readonly unvalidated = new Map<string, Set<string>>();
  /** ID → peer → how often it asked for the message. */
  private readonly requests = new Map<string, Map<string, number>>();
  private readonly scratch = new Uint8Array(SCRATCH_BYTES);
  private isShifting = false;

  constructor(deps: { readonly metrics: Metrics }, options: Partial<CompactMessageCacheOptions> = {}) {
    const { keptHeartbeats = KEPT_HEARTBEATS, toldHeartbeats = TOLD_HEARTBEATS, maxBytes = MAX_BYTES } = options;
    this.options = { keptHeartbeats, toldHeartbeats, maxBytes };
    this.heartbeats = Array.from({ length: keptHeartbeats }, () => this.newHeartbeat());
    const onDrop = () => this.dropped();
    this.queue = new ByteQueue({ maxRecords: Infinity, maxBytes, overheadBytes: OVERHEAD_BYTES, onDrop });
    this.evicted = deps.metrics.counter(
      'teranode_p2p_gossip_kept_evicted_total',
      'Messages no longer kept for neighbours that missed them, before their time',
    );
    this.evicted.add(0);
    gaugeWithBound(
      deps.metrics,
      {
        name: 'teranode_p2p_gossip_kept_bytes',
        help: 'Bytes of recent messages kept for neighbours that missed them',
      },
      () => this.queue.bytes,
      maxBytes,
    );
  }

  get size(): number {
    return this.msgs.size;
  }

  get notValidatedCount(): number {
    return this.unvalidated.size;
  }

  put({ msgIdStr: id }: MessageId, message: ReceivedMessage, isValidated = false): boolean {
    if (this.msgs.has(id)) return false;
    const [newest] = this.heartbeats as [Heartbeat];
    newest.ids.push(id);
    newest.topics.push(message.topic);
    this.msgs.set(id, this.next);
    this.next += 1;
    if (!isValidated) this.unvalidated.set(id, new Set());
    this.queue.push(this.encoded(message));
    return true;
  }

  observeDuplicate(id: string, peer: string): void {
    this.unvalidated.get(id)?.add(peer);
  }

  get(id: Uint8Array): ReceivedMessage | undefined {
    return this.messageOf(textOf(id));
  }

  getWithIWantCount(id: string, peer: string): { msg: ReceivedMessage; count: number } | null {
    const msg = this.messageOf(id);
    if (msg === undefined) return null;
    const requests = this.requests.get(id) ?? new Map<string, number>();
    const count = (requests.get(peer) ?? 0) + 1;
    this.requests.set(id, requests.set(peer, count));
    return { msg, count };
  }

  getGossipIDs(topics: ReadonlySet<string>): Map<string, Uint8Array[]> {
    const idsOf = new Map<string, Uint8Array[]>();
    if (topics.size === 0) return idsOf;
    for (const { first, ids, topics: topicOf } of this.heartbeats.slice(0, this.options.toldHeartbeats))
      for (const [i, id] of ids.entries()) {
        const topic = topicOf[i] as string;
        if (!topics.has(topic) || this.msgs.get(id) !== first + i || this.unvalidated.has(id)) continue;
        const list = idsOf.get(topic);
        if (list === undefined) idsOf.set(topic, [Buffer.from(id, 'latin1')]);
        else list.push(Buffer.from(id, 'latin1'));
      }
    return idsOf;
  }

  validate(id: string): KeptMessage | null {
    const kept = this.keptMessage(id);
    this.unvalidated.delete(id);
    return kept;
  }

  /** With each heartbeat. */
  shift(): void {
    const last = this.heartbeats.at(-1) as Heartbeat;
    this.isShifting = true;
    while (this.oldest < last.first + last.ids.length) this.queue.dropOldest();
    this.isShifting = false;
    this.heartbeats.pop();
    this.heartbeats.unshift(this.newHeartbeat());
  }

  remove(id: string): KeptMessage | null {
    const kept = this.keptMessage(id);
    this.forget(id);
    return kept;
  }

  private newHeartbeat(): Heartbeat {
    return { first: this.next, ids: [], topics: [] };
  }

  /** Called by the queue for its oldest message. */
  private dropped(): void {
    const number = this.oldest;
    this.oldest += 1;
    if (!this.isShifting) this.evicted.add(1);
    const heartbeat = this.heartbeatOf(number);
    const id = heartbeat?.ids[number - heartbeat.first];
    if (id !== undefined && this.msgs.get(id) === number) this.forget(id);
  }

  private forget(id: string): void {
    this.msgs.delete(id);
    this.unvalidated.delete(id);
    this.requests.delete(id);
  }

  private heartbeatOf(number: number): Heartbeat | undefined {
    return this.heartbeats.find(({ first }) => first <= number);
  }

  private keptMessage(id: string): KeptMessage | null {
    const message = this.messageOf(id);
    return message === undefined ? null : { message, originatingPeers: this.unvalidated.get(id) ?? new Set() };
  }

  private messageOf(id: string): ReceivedMessage | undefined {
    const number = this.msgs.get(id);
    const bytes = number === undefined ? undefined : this.queue.at(number - this.oldest);
    if (number === undefined || bytes === undefined) return undefined;
    const heartbeat = this.heartbeatOf(number);
    return decoded(bytes, heartbeat?.topics[number - heartbeat.first] ?? '');
  }

  /** The lengths of the fields, then the fields. Valid until the next call. */
  private encoded(message: ReceivedMessage): Uint8Array {
    const bytes = FIELDS.reduce((sum, field) => sum + (message[field]?.length ?? 0), HEADER_BYTES);
    const record = bytes <= SCRATCH_BYTES ? this.scratch : new Uint8Array(bytes);
    const lengths = new Int32Array(record.buffer, 0, FIELDS.length);
    let at = HEADER_BYTES;
    for (const [i, field] of FIELDS.entries()) {
      const value = message[field];
      lengths[i] = value?.length ?? ABSENT;
      if (value === undefined) continue;
      record.set(value, at);
      at += value.length;
    }
    return record.subarray(0, bytes);
  }
}

function decoded(record: Uint8Array, topic: string): ReceivedMessage {
  const message: { topic: string } & Partial<Record<(typeof FIELDS)[number], Uint8Array>> = { topic };
  const lengths = new Int32Array(record.buffer, record.byteOffset, FIELDS.length);
  let at = HEADER_BYTES;
  for (const [i, field] of FIELDS.entries()) {
    const length = lengths[i] as number;
    if (length === ABSENT) continue;
    message[field] = record.subarray(at, at + length);
    at += length;
  }
  return message;
}

function textOf(id: Uint8Array): string {
  return Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString('latin1');
}
