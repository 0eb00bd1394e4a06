// Verifying signatures is the one step of gossip that costs, and a frame may carry thousands: 0.2 ms each as the network writes them, 2 ms and more with
// keys of other kinds. gossipsub verifies a whole frame at one go, while every other neighbour waits. Here neighbours take turns of some
// milliseconds; while much of one waits, it is not read, and the time for other keys than Ed25519, which no node of the network has, is bounded.
import type { GossipSub } from '@libp2p/gossipsub';
import { LRUCache } from 'lru-cache';
import type { Counter, Metrics } from '../../../ports/metrics.ts';

/** The part of the class that is wrapped; private in its type. */
interface GossipInternals {
  validateReceivedMessage(relay: Relay, message: Message): Promise<unknown>;
  fastMsgIdFn?(message: Message): string;
  readonly fastMsgIdCache?: { get(id: string): unknown };
  /** By peer id. */
  readonly streamsInbound: ReadonlyMap<string, { readonly rawStream: ReadStream }>;
}

interface ReadStream {
  readonly readStatus: string;
  pause(): void;
  resume(): void;
}

interface Relay {
  toString(): string;
}

interface Message {
  readonly from?: Uint8Array;
  readonly key?: Uint8Array;
  readonly data?: Uint8Array;
}

interface Waiting {
  readonly bytes: number;
  begin(): void;
  drop(): void;
}

interface Neighbour {
  /** In this turn. */
  usedMs: number;
  bytes: number;
  readonly queue: Waiting[];
  /** Not read until less waits. */
  held: ReadStream | undefined;
}

interface Budget {
  leftMs: number;
  atMs: number;
}

type Unverified = 'queue_full' | 'costly_key';

/** What all neighbours together may use before sockets are read again, and the most that one of them may. */
const TURN_MS = 25;
const SLICE_MS = 5;
/** Beyond this a neighbour is not read. */
const HOLD_BYTES = 1024 * 1024;
/** Of what waits, though nothing is read: what had come already, in long frames of short messages. */
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_NEIGHBOUR_BYTES = 16 * 1024 * 1024;
/** Author, signature and topic, and what waiting itself takes. */
const OVERHEAD_BYTES = 2048;
/** Time in a second for messages with other keys, and at once: of all neighbours, and of one. */
const COSTLY_MS = 200;
const COSTLY_NEIGHBOUR_MS = 50;
/** Some are verified elsewhere, by threads that others need too. */
const LEAST_COSTLY_MS = 1;
const MAX_BUDGETS = 2000;
/** A multihash that is no hash: the protobuf form of an Ed25519 key, 32 bytes of it. */
const ED25519_ID = Buffer.from([0x00, 36, 8, 1, 18, 32]);
const ED25519_ID_BYTES = 38;

/** Call before gossip starts, after its memory was bounded. Throws TypeError when the library no longer has the step that judges messages. */
export function takeTurns(pubsub: GossipSub, metrics: Metrics, nowMs: () => number = () => performance.now()): void {
  const internals = pubsub as unknown as GossipInternals;
  const { validateReceivedMessage } = internals;
  if (typeof validateReceivedMessage !== 'function') throw new TypeError('gossipsub has no step that judges messages');
  const turns = new GossipTurns(metrics, {
    nowMs,
    streamOf: (id) => internals.streamsInbound.get(id)?.rawStream,
    isSeen: (message) => {
      const id = internals.fastMsgIdFn?.(message);
      return id !== undefined && internals.fastMsgIdCache?.get(id) !== undefined;
    },
  });
  internals.validateReceivedMessage = (relay, message) =>
    turns.take(relay.toString(), message, () => validateReceivedMessage.call(pubsub, relay, message));
}

interface TurnsParts {
  readonly nowMs: () => number;
  readonly streamOf: (id: string) => ReadStream | undefined;
  /** What was seen costs nothing any more. Asked where that matters: it costs a look-up itself. */
  readonly isSeen: (message: Message) => boolean;
}

class GossipTurns {
  private readonly parts: TurnsParts;
  private readonly unverified: Counter;
  /** Of this turn, and with something waiting. */
  private readonly neighbours = new Map<string, Neighbour>();
  private readonly costly: Budget = { leftMs: COSTLY_MS, atMs: Number.NEGATIVE_INFINITY };
  private readonly costlyOf = new LRUCache<string, Budget>({ max: MAX_BUDGETS });
  private bytes = 0;
  private isArmed = false;

  constructor(metrics: Metrics, parts: TurnsParts) {
    this.parts = parts;
    this.unverified = metrics.counter(
      'teranode_p2p_gossip_unverified_total',
      'Messages of gossip dropped before verification: too many waited, or too much time went into keys that are not Ed25519',
      ['reason'],
    );
    for (const reason of ['queue_full', 'costly_key']) this.unverified.add(0, { reason });
    metrics.gauge('teranode_p2p_gossip_waiting_bytes', 'Bytes of gossip that wait for verification', () => this.bytes);
    metrics.gauge(
      'teranode_p2p_gossip_waiting_bytes_bound',
      'Bytes of gossip that wait for verification at most',
      () => MAX_BYTES,
    );
  }

  /** Judges the message now, when it is this neighbour's turn again, or not at all. */
  take(id: string, message: Message, judge: () => Promise<unknown>): Promise<unknown> {
    let neighbour = this.neighbours.get(id);
    if (neighbour === undefined) {
      neighbour = { usedMs: 0, bytes: 0, queue: [], held: undefined };
      this.neighbours.set(id, neighbour);
    }
    this.arm();
    if (neighbour.queue.length === 0 && neighbour.usedMs < SLICE_MS) return this.judged(id, neighbour, message, judge);
    return this.parts.isSeen(message) ? judge() : this.wait(id, neighbour, message, judge);
  }

  private wait(id: string, neighbour: Neighbour, message: Message, judge: () => Promise<unknown>): Promise<unknown> {
    const bytes = (message.data?.length ?? 0) + (message.key?.length ?? 0) + OVERHEAD_BYTES;
    if (neighbour.bytes + bytes > MAX_NEIGHBOUR_BYTES) return this.drop('queue_full');
    const { promise, resolve } = Promise.withResolvers<unknown>();
    neighbour.queue.push({
      bytes,
      begin: () => resolve(this.judged(id, neighbour, message, judge)),
      drop: () => resolve(this.drop('queue_full')),
    });
    neighbour.bytes += bytes;
    this.bytes += bytes;
    if (neighbour.bytes > HOLD_BYTES) this.hold(id, neighbour);
    if (this.bytes > MAX_BYTES) this.shed();
    return promise;
  }

  private hold(id: string, neighbour: Neighbour): void {
    const stream = this.parts.streamOf(id);
    if (stream === neighbour.held || stream?.readStatus !== 'readable') return;
    stream.pause();
    neighbour.held = stream;
  }

  /** The newest of whoever has most waiting. */
  private shed(): void {
    let most: Neighbour | undefined;
    for (const each of this.neighbours.values()) if (most === undefined || each.bytes > most.bytes) most = each;
    const last = most?.queue.pop();
    if (most === undefined || last === undefined) return;
    most.bytes -= last.bytes;
    this.bytes -= last.bytes;
    last.drop();
  }

  private judged(id: string, neighbour: Neighbour, message: Message, judge: () => Promise<unknown>): Promise<unknown> {
    const isCostly = !isEd25519(message) && !this.parts.isSeen(message);
    if (isCostly && !this.mayCost(id)) return this.drop('costly_key');
    const startedMs = this.parts.nowMs();
    const result = judge();
    const ms = this.parts.nowMs() - startedMs;
    neighbour.usedMs += ms;
    if (isCostly) this.charge(id, Math.max(LEAST_COSTLY_MS, ms));
    return result;
  }

  private mayCost(id: string): boolean {
    const own = this.costlyOf.get(id) ?? { leftMs: COSTLY_NEIGHBOUR_MS, atMs: Number.NEGATIVE_INFINITY };
    this.costlyOf.set(id, own);
    const nowMs = this.parts.nowMs();
    refill(own, COSTLY_NEIGHBOUR_MS, nowMs);
    refill(this.costly, COSTLY_MS, nowMs);
    return own.leftMs > 0 && this.costly.leftMs > 0;
  }

  private charge(id: string, ms: number): void {
    this.costly.leftMs -= ms;
    const own = this.costlyOf.get(id);
    if (own !== undefined) own.leftMs -= ms;
  }

  private drop(reason: Unverified): Promise<unknown> {
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
    const sliceMs = Math.min(SLICE_MS, TURN_MS / this.neighbours.size);
    for (const [id, neighbour] of this.neighbours) {
      neighbour.usedMs = 0;
      let done = 0;
      for (const each of neighbour.queue) {
        if (neighbour.usedMs >= sliceMs) break;
        done += 1;
        neighbour.bytes -= each.bytes;
        this.bytes -= each.bytes;
        each.begin();
      }
      neighbour.queue.splice(0, done);
      if (neighbour.bytes <= HOLD_BYTES / 2) release(neighbour);
      if (neighbour.queue.length === 0) this.neighbours.delete(id);
    }
    if (this.neighbours.size > 0) this.arm();
  }
}

function release(neighbour: Neighbour): void {
  if (neighbour.held?.readStatus === 'paused') neighbour.held.resume();
  neighbour.held = undefined;
}

function refill(budget: Budget, perSecondMs: number, nowMs: number): void {
  budget.leftMs = Math.min(perSecondMs, budget.leftMs + ((nowMs - budget.atMs) / 1000) * perSecondMs);
  budget.atMs = nowMs;
}

/** Its author's key, and the one that may stand beside it. */
function isEd25519({ from, key }: Message): boolean {
  if (from?.length !== ED25519_ID_BYTES || (key !== undefined && key.length !== ED25519_ID_BYTES - 2)) return false;
  return ED25519_ID.every((byte, i) => from[i] === byte);
}
