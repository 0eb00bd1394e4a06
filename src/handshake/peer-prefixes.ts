// In which topic prefix a peer is spoken to, by a node between two networks: a peer of one of them alone refuses the prefix of the other. What it
// says itself goes before what it subscribes to; until either is known its version is held, for a moment.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../domain/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { Tally } from './tally.ts';
import type { HandshakeNetwork } from './topic-versions.ts';

/** Subscriptions come some four round trips after the connection; these may take half a second each. */
const HOLD_MS = 2000;
const LOOK_INTERVAL_MS = 50;
/** More than the peers that a node of default settings ever has. */
const MAX_HEARD = 2000;

export interface PeerPrefixesDependencies {
  readonly node: Pick<P2PNode, 'getTopic'>;
  readonly tally: Tally;
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
    deps.tally.bounded('prefixes', MAX_HEARD, () => this.heard.size);
  }

  /** What it said last, else what it subscribes to, else our own. */
  of(peerId: PeerId): string {
    const said = this.heard.peek(peerId);
    if (said !== undefined) return said;
    const subscribed = this.networks.find(({ topic }) => this.subscribersOf(topic).includes(peerId));
    return (subscribed ?? this.networks[0])?.topicPrefix ?? '';
  }

  /** Resolves when `of` is more than a guess, at the latest after two seconds; where there is one prefix, at once. */
  known(peerId: PeerId): Promise<void> {
    if (this.networks.length < 2) return Promise.resolve();
    const held = this.held.get(peerId) ?? this.hold(peerId);
    this.look();
    return held.promise;
  }

  /** A message of a connected peer was accepted. */
  said(peerId: PeerId, topicPrefix: string): void {
    if (this.networks.length < 2) return;
    this.heard.set(peerId, topicPrefix);
    this.release(peerId);
  }

  /** A new connection begins anew. */
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
    this.timer ??= setInterval(() => this.look(), LOOK_INTERVAL_MS).unref();
    return held;
  }

  private release(peerId: PeerId): void {
    this.held.get(peerId)?.resolve();
    this.held.delete(peerId);
    if (this.held.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private look(): void {
    const nowMs = this.deps.clock.monotonic();
    const subscribed = new Set(this.networks.flatMap(({ topic }) => this.subscribersOf(topic)));
    for (const [peerId, { untilMs }] of [...this.held])
      if (nowMs >= untilMs || this.heard.has(peerId) || subscribed.has(peerId)) this.release(peerId);
  }

  private subscribersOf(topic: string): PeerId[] {
    return this.deps.node.getTopic(topic)?.subscribers() ?? [];
  }
}
