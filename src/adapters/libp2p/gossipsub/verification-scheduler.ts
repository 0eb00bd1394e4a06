// Verifying signatures is the one expensive step of gossip, and an RPC may carry thousands: 0.2 ms each as the network
// writes them, 2 ms and more with keys of other kinds. gossipsub verifies a whole RPC at one go, while all other peers
// wait. Here peers take turns of some milliseconds; a peer with much waiting is not read, and the time for keys other
// than Ed25519, which no node of the network has, is bounded.
import { TokenBucket, TokenBuckets } from '../../../lib/token-bucket.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';
import type { GossipsubParts, ReceivedMessage, Stage, ValidationResult } from './parts.ts';

type Validate = GossipsubParts['validateReceivedMessage'];
type Source = Parameters<Validate>[0];

/** The parts of an inbound stream that we use. */
export interface PausableStream {
  readonly readStatus: string;
  pause(): void;
  resume(): void;
}

interface Waiting {
  readonly receivedFrom: Source;
  readonly message: ReceivedMessage;
  readonly bytes: number;
  readonly resolve: (result: ValidationResult | Promise<ValidationResult>) => void;
}

/** A peer in this turn, or with messages waiting. */
interface Peer {
  readonly id: string;
  /** In this turn. */
  usedMs: number;
  bytes: number;
  readonly queue: Waiting[];
  /** Not read until less waits. */
  paused: PausableStream | undefined;
}

type DropReason = 'queue_full' | 'costly_key';

/** Time for all peers together before sockets are read again, and for one of them at most. */
const TURN_MS = 25;
const SLICE_MS = 5;
/** Beyond this a peer is not read. */
const PAUSE_BYTES = 1024 * 1024;
/** Waiting although nothing is read: what had arrived before, in long RPCs of short messages. */
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_PEER_BYTES = 16 * 1024 * 1024;
/** Author, signature and topic, and the memory of the queue itself. */
const OVERHEAD_BYTES = 2048;
/** Milliseconds per second, and at once, for messages with other keys: of all peers, and of one. */
const COSTLY_MS = { perSecond: 200, burst: 200 };
const COSTLY_PEER_MS = { perSecond: 50, burst: 50 };
/** Some are verified elsewhere, by threads that others need too. */
const LEAST_COSTLY_MS = 1;
const MAX_BUDGETS = 2000;
/** A multihash that is no hash: the protobuf form of an Ed25519 key, 32 bytes of it. */
const ED25519_ID = Buffer.from([0x00, 36, 8, 1, 18, 32]);
const ED25519_ID_BYTES = 38;

interface SchedulerParts {
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  /** The stream on which a peer gossips to us. */
  readonly streamOf: (id: string) => PausableStream | undefined;
  /** A message seen before costs no verification. Asked only where that matters: the look-up itself costs. */
  readonly isSeen: (message: ReceivedMessage) => boolean;
}

export class VerificationScheduler implements Stage<'incoming'> {
  readonly feature = 'verificationScheduler';
  private readonly parts: SchedulerParts;
  private readonly unverified: Counter;
  private readonly peers = new Map<string, Peer>();
  private readonly costly: TokenBucket;
  private readonly costlyOf = new TokenBuckets<string>(COSTLY_PEER_MS, MAX_BUDGETS);
  private bytes = 0;
  private isArmed = false;
  /** The next stage; set when the chain is built. */
  private validate!: Validate;

  constructor(parts: SchedulerParts) {
    this.parts = parts;
    this.costly = new TokenBucket(COSTLY_MS, parts.nowMs());
    this.unverified = parts.metrics.counter(
      'teranode_p2p_gossip_unverified_total',
      'Gossip messages dropped unverified: too many waited (queue_full), or keys that are not Ed25519 cost too much (costly_key)',
      ['reason'],
    );
    for (const reason of ['queue_full', 'costly_key']) this.unverified.add(0, { reason });
    gaugeWithBound(
      parts.metrics,
      { name: 'teranode_p2p_gossip_waiting_bytes', help: 'Bytes of gossip that wait for verification' },
      () => this.bytes,
      MAX_BYTES,
    );
  }

  /** Validates a message at once, when it is its peer's turn again, or not at all. */
  validateReceivedMessage(next: Validate): Validate {
    this.validate = next;
    return (receivedFrom, message) => {
      const peer = this.peerOf(receivedFrom.toString());
      this.arm();
      if (peer.queue.length === 0 && peer.usedMs < SLICE_MS) return this.verify(peer, receivedFrom, message);
      return this.parts.isSeen(message) ? next(receivedFrom, message) : this.wait(peer, receivedFrom, message);
    };
  }

  private peerOf(id: string): Peer {
    let peer = this.peers.get(id);
    if (peer === undefined) {
      peer = { id, usedMs: 0, bytes: 0, queue: [], paused: undefined };
      this.peers.set(id, peer);
    }
    return peer;
  }

  private wait(peer: Peer, receivedFrom: Source, message: ReceivedMessage): Promise<ValidationResult> {
    const bytes = (message.data?.length ?? 0) + (message.key?.length ?? 0) + OVERHEAD_BYTES;
    if (peer.bytes + bytes > MAX_PEER_BYTES) return this.drop('queue_full');
    const { promise, resolve } = Promise.withResolvers<ValidationResult>();
    peer.queue.push({ receivedFrom, message, bytes, resolve });
    peer.bytes += bytes;
    this.bytes += bytes;
    if (peer.bytes > PAUSE_BYTES) this.pause(peer);
    if (this.bytes > MAX_BYTES) this.shed();
    return promise;
  }

  private pause(peer: Peer): void {
    const stream = this.parts.streamOf(peer.id);
    if (stream === peer.paused || stream?.readStatus !== 'readable') return;
    stream.pause();
    peer.paused = stream;
  }

  /** Drops the newest message of the peer with most waiting. */
  private shed(): void {
    let most: Peer | undefined;
    for (const each of this.peers.values()) if (most === undefined || each.bytes > most.bytes) most = each;
    const last = most?.queue.pop();
    if (most === undefined || last === undefined) return;
    most.bytes -= last.bytes;
    this.bytes -= last.bytes;
    last.resolve(this.drop('queue_full'));
  }

  private verify(peer: Peer, receivedFrom: Source, message: ReceivedMessage): Promise<ValidationResult> {
    const isCostly = !isEd25519(message) && !this.parts.isSeen(message);
    const startedMs = this.parts.nowMs();
    const own = isCostly ? this.costlyOf.get(peer.id, startedMs) : undefined;
    if (own !== undefined && (own.available(startedMs) <= 0 || this.costly.available(startedMs) <= 0))
      return this.drop('costly_key');
    const result = this.validate(receivedFrom, message);
    const ms = this.parts.nowMs() - startedMs;
    peer.usedMs += ms;
    if (own !== undefined) {
      own.charge(Math.max(LEAST_COSTLY_MS, ms));
      this.costly.charge(Math.max(LEAST_COSTLY_MS, ms));
    }
    return result;
  }

  private drop(reason: DropReason): Promise<ValidationResult> {
    this.unverified.add(1, { reason });
    return Promise.resolve({ code: 'invalid', reason: 'error', error: reason });
  }

  private arm(): void {
    if (this.isArmed) return;
    this.isArmed = true;
    setImmediate(() => {
      this.isArmed = false;
      this.turn();
    });
  }

  private turn(): void {
    const sliceMs = Math.min(SLICE_MS, TURN_MS / this.peers.size);
    for (const [id, peer] of this.peers) {
      peer.usedMs = 0;
      let done = 0;
      for (const { bytes, receivedFrom, message, resolve } of peer.queue) {
        if (peer.usedMs >= sliceMs) break;
        done += 1;
        peer.bytes -= bytes;
        this.bytes -= bytes;
        resolve(this.verify(peer, receivedFrom, message));
      }
      peer.queue.splice(0, done);
      if (peer.bytes <= PAUSE_BYTES / 2) resume(peer);
      if (peer.queue.length === 0) this.peers.delete(id);
    }
    if (this.peers.size > 0) this.arm();
  }
}

function resume(peer: Peer): void {
  if (peer.paused?.readStatus === 'paused') peer.paused.resume();
  peer.paused = undefined;
}

/** The key of the author, and the key that may stand beside it. */
function isEd25519({ from, key }: ReceivedMessage): boolean {
  if (from?.length !== ED25519_ID_BYTES || (key !== undefined && key.length !== ED25519_ID_BYTES - 2)) return false;
  return ED25519_ID.every((byte, i) => from[i] === byte);
}
