// Which topic prefix to use with a peer, for a node between two networks: a peer of one network refuses the prefix of
// the other. The prefix in the peer's own messages wins over its subscriptions. Until one of them is known, our version
// is held back for a moment.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../domain/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { HandshakeCounters } from './counters.ts';
import type { HandshakeNetwork } from './topic-versions.ts';

/** Subscriptions arrive about four round trips after the connection; a round trip may take half a second. */
const HOLD_MS = 2000;
const CHECK_INTERVAL_MS = 50;
/** More than the peers of a node with default settings. */
const MAX_HEARD = 2000;

export interface PeerPrefixesDependencies {
  readonly node: Pick<P2PNode, 'getTopic'>;
  readonly counters: HandshakeCounters;
  readonly clock: Clock;
}

interface Held {
  readonly untilMs: number;
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

export class PeerPrefixes {
  private readonly deps: PeerPrefixesDependencies;
  /** Our own first. */
  private readonly networks: readonly HandshakeNetwork[];
  private readonly heard = new LRUCache<PeerId, string>({ max: MAX_HEARD });
  private readonly held = new Map<PeerId, Held>();
  private timer: NodeJS.Timeout | undefined;

  constructor(deps: PeerPrefixesDependencies, networks: readonly HandshakeNetwork[]) {
    this.deps = deps;
    this.networks = networks;
    deps.counters.bounded('prefixes', MAX_HEARD, () => this.heard.size);
  }

  /** The prefix of its last message, else of its subscriptions, else our own. */
  of(peerId: PeerId): string {
    const said = this.heard.peek(peerId);
    if (said !== undefined) return said;
    const subscribed = this.networks.find(({ topic }) => this.subscribersOf(topic).includes(peerId));
    return (subscribed ?? this.networks[0])?.topicPrefix ?? '';
  }

  /** Resolves when the prefix is known, at the latest after two seconds; at once when there is only one prefix. */
  known(peerId: PeerId): Promise<void> {
    if (this.networks.length < 2) return Promise.resolve();
    const held = this.held.get(peerId) ?? this.hold(peerId);
    this.check();
    return held.promise;
  }

  /** Records the prefix of an accepted message of a connected peer. */
  said(peerId: PeerId, topicPrefix: string): void {
    if (this.networks.length < 2) return;
    this.heard.set(peerId, topicPrefix);
    this.release(peerId);
  }

  /** Forgets the peer's prefix; called for a new connection. */
  forget(peerId: PeerId): void {
    this.heard.delete(peerId);
    this.release(peerId);
  }

  stop(): void {
    for (const peerId of [...this.held.keys()]) this.release(peerId);
  }

  private hold(peerId: PeerId): Held {
    const { promise, resolve } = Promise.withResolvers<void>();
    const held = { untilMs: this.deps.clock.monotonic() + HOLD_MS, promise, resolve };
    this.held.set(peerId, held);
    this.timer ??= setInterval(() => this.check(), CHECK_INTERVAL_MS).unref();
    return held;
  }

  private release(peerId: PeerId): void {
    this.held.get(peerId)?.resolve();
    this.held.delete(peerId);
    if (this.held.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private check(): void {
    const nowMs = this.deps.clock.monotonic();
    const subscribed = new Set(this.networks.flatMap(({ topic }) => this.subscribersOf(topic)));
    for (const [peerId, { untilMs }] of [...this.held])
      if (nowMs >= untilMs || this.heard.has(peerId) || subscribed.has(peerId)) this.release(peerId);
  }

  private subscribersOf(topic: string): PeerId[] {
    return this.deps.node.getTopic(topic)?.subscribers() ?? [];
  }
}
