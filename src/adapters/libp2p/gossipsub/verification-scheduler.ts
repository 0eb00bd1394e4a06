// Verifying signatures is the one expensive step of gossip, and an RPC may carry thousands; keys of other kinds than
// Ed25519 cost 2 ms and more each. gossipsub verifies a whole RPC at one go, while all other peers wait. Here peers take
// turns of some milliseconds, and what waits is verified together; a peer with much waiting is not read, and the time
// for keys other than Ed25519, which no node of the network has, is bounded.
import { TokenBucket, TokenBuckets } from '../../../lib/token-bucket.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';
import type { Received, Verification } from './fast-verification.ts';
import type { GossipsubParts, ReceivedMessage, Stage, ValidationResult } from './parts.ts';
import { isEd25519 } from './plain-message.ts';

type Validate = GossipsubParts['validateReceivedMessage'];
type Source = Parameters<Validate>[0];

/** The parts of an inbound stream that we use. */
export interface PausableStream {
  readonly readStatus: string;
  pause(): void;
  resume(): void;
}

/** Verified with others. */
interface WaitingTogether {
  readonly bytes: number;
  readonly received: Received;
}

/** Verified by gossipsub. */
interface WaitingAlone {
  readonly bytes: number;
  readonly received?: undefined;
  readonly receivedFrom: Source;
  readonly message: ReceivedMessage;
  readonly resolve: (result: ValidationResult | Promise<ValidationResult>) => void;
}

type Waiting = WaitingTogether | WaitingAlone;

/** A peer in this turn, or with messages waiting. */
interface Peer {
  readonly id: string;
  /** In this turn. */
  usedMs: number;
  /** Entries at the head of the queue that this turn has taken. */
  taken: number;
  bytes: number;
  readonly queue: Waiting[];
  /** Not read until less waits. */
  paused: PausableStream | undefined;
}

type DropReason = 'queue_full' | 'costly_key';

/** Time for all peers together before sockets are read again, and for one of them at most. */
const TURN_MS = 25;
const SLICE_MS = 5;
/** What is verified together. More saves little, and delays the first. */
const MAX_BATCH = 64;
const MAX_BATCH_BYTES = 256 * 1024;
/**
 * Beyond so many messages a second, counted over so many milliseconds, a turn waits for more of them: eight signatures
 * cost half as much together as one by one, and each turn has costs of its own. A quiet network waits for nothing.
 */
const JOIN = { abovePerSecond: 2000, countedMs: 100, waitMs: 3 };
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

interface SchedulerParts {
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  /** The stream on which a peer gossips to us. */
  readonly streamOf: (id: string) => PausableStream | undefined;
  /** A message seen before costs no verification. Asked only where that matters: the look-up itself costs. */
  readonly isSeen: (message: ReceivedMessage) => boolean;
  /** For the messages that `enqueue` takes. */
  readonly verification: () => Verification;
  /** Batches that may be verified beside the event loop at the same time. */
  readonly maxBesideLoop: number;
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
  /** Whether the network is busy enough that messages wait for each other. */
  private isJoining = false;
  /** Messages since then. */
  private counted = 0;
  private countedFromMs = 0;
  /** Batches that are verified beside the event loop. */
  private besideLoop = 0;
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
      if (this.parts.isSeen(message)) return next(receivedFrom, message);
      const { promise, resolve } = Promise.withResolvers<ValidationResult>();
      const waiting = { receivedFrom, message, bytes: bytesOf(message), resolve };
      return this.wait(peer, waiting) ? promise : this.drop('queue_full');
    };
  }

  /** Has a message verified together with others when it is its peer's turn. */
  readonly enqueue = (received: Received): void => {
    this.counted += 1;
    const peer = this.peerOf(received.receivedFrom.toString());
    this.arm();
    if (this.wait(peer, { received, bytes: bytesOf(received.message) })) return;
    this.dropWaiting(received);
  };

  private peerOf(id: string): Peer {
    let peer = this.peers.get(id);
    if (peer === undefined) {
      peer = { id, usedMs: 0, taken: 0, bytes: 0, queue: [], paused: undefined };
      this.peers.set(id, peer);
    }
    return peer;
  }

  /** False when too much of the peer waits already. */
  private wait(peer: Peer, waiting: Waiting): boolean {
    const { bytes } = waiting;
    if (peer.bytes + bytes > MAX_PEER_BYTES) return false;
    peer.queue.push(waiting);
    peer.bytes += bytes;
    this.bytes += bytes;
    if (peer.bytes > PAUSE_BYTES) this.pause(peer);
    // One large message may take the room of many short ones.
    while (this.bytes > MAX_BYTES && this.shed()) {}
    return true;
  }

  private pause(peer: Peer): void {
    const stream = this.parts.streamOf(peer.id);
    if (stream === peer.paused || stream?.readStatus !== 'readable') return;
    stream.pause();
    peer.paused = stream;
  }

  /** Drops the newest message of the peer with most waiting. False when this turn has taken all of them. */
  private shed(): boolean {
    let most: Peer | undefined;
    for (const each of this.peers.values()) if (most === undefined || each.bytes > most.bytes) most = each;
    if (most === undefined || most.queue.length === most.taken) return false;
    const last = most.queue.pop();
    if (last === undefined) return false;
    most.bytes -= last.bytes;
    this.bytes -= last.bytes;
    if (last.received !== undefined) this.dropWaiting(last.received);
    else last.resolve(this.drop('queue_full'));
    return true;
  }

  private dropWaiting(received: Received): void {
    this.unverified.add(1, { reason: 'queue_full' });
    this.parts.verification().drop(received, 'queue_full');
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

  private arm(isJoining = this.isJoining): void {
    if (this.isArmed || this.isFull()) return;
    this.isArmed = true;
    const turn = () => {
      this.isArmed = false;
      this.turn();
    };
    if (isJoining) setTimeout(turn, JOIN.waitMs);
    else setImmediate(turn);
  }

  private turn(): void {
    this.count();
    for (const peer of this.peers.values()) peer.usedMs = 0;
    const sliceMs = Math.min(SLICE_MS, TURN_MS / this.peers.size);
    while (!this.isFull() && this.verifyNext(sliceMs)) {}
    for (const [id, peer] of this.peers) {
      peer.queue.splice(0, peer.taken);
      peer.taken = 0;
      if (peer.bytes <= PAUSE_BYTES / 2) resume(peer);
      if (peer.queue.length === 0) this.peers.delete(id);
    }
    // They have waited already.
    if (this.peers.size > 0) this.arm(false);
  }

  private count(): void {
    const nowMs = this.parts.nowMs();
    const spanMs = nowMs - this.countedFromMs;
    if (spanMs < JOIN.countedMs) return;
    this.isJoining = this.counted * 1000 > JOIN.abovePerSecond * spanMs;
    this.counted = 0;
    this.countedFromMs = nowMs;
  }

  /** Verifies as much as goes together, the same number of each peer. False when no peer has both work and time left. */
  private verifyNext(sliceMs: number): boolean {
    const ofEach = Math.max(1, Math.floor(MAX_BATCH / this.peers.size));
    const batch: Received[] = [];
    const shares: { readonly peer: Peer; readonly bytes: number }[] = [];
    let bytes = 0;
    let isAnyTaken = false;
    for (const peer of this.peers.values()) {
      if (batch.length >= MAX_BATCH || bytes >= MAX_BATCH_BYTES) break;
      const bytesBefore = bytes;
      let count = 0;
      while (count < ofEach && bytes < MAX_BATCH_BYTES && peer.usedMs < sliceMs) {
        const next = peer.queue[peer.taken];
        if (next === undefined) break;
        isAnyTaken = true;
        peer.taken += 1;
        peer.bytes -= next.bytes;
        this.bytes -= next.bytes;
        if (next.received === undefined) {
          next.resolve(this.verify(peer, next.receivedFrom, next.message));
        } else {
          batch.push(next.received);
          bytes += next.bytes;
          count += 1;
        }
      }
      if (count > 0) shares.push({ peer, bytes: bytes - bytesBefore });
    }
    // To the end of the line. Else the first peers fill each batch, and beside the loop a turn may have only one.
    for (const { peer } of shares) {
      this.peers.delete(peer.id);
      this.peers.set(peer.id, peer);
    }
    if (batch.length > 0) {
      const startedMs = this.parts.nowMs();
      const later = this.parts.verification().validate(batch);
      if (later !== undefined) this.awaitBatch(later);
      const msPerByte = (this.parts.nowMs() - startedMs) / bytes;
      for (const share of shares) share.peer.usedMs += share.bytes * msPerByte;
    }
    return isAnyTaken;
  }

  private isFull(): boolean {
    return this.besideLoop > 0 && this.besideLoop >= this.parts.maxBesideLoop;
  }

  private awaitBatch(batch: Promise<void>): void {
    this.besideLoop += 1;
    const done = () => {
      this.besideLoop -= 1;
      this.arm(false);
    };
    batch.then(done, done);
  }
}

function bytesOf({ data, key }: ReceivedMessage): number {
  return (data?.length ?? 0) + (key?.length ?? 0) + OVERHEAD_BYTES;
}

function resume(peer: Peer): void {
  if (peer.paused?.readStatus === 'paused') peer.paused.resume();
  peer.paused = undefined;
}
