// Which network a peer belongs to, for a server of several networks: a peer of one network refuses the topic prefix of
// another. The prefix in the peer's own messages wins over its subscriptions, among the networks whose node is
// connected to it. Until one of them is known, our version is held back for a moment.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../domain/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { HandshakeCounters } from './counters.ts';
import type { HandshakeNetwork } from './topic-versions.ts';

/** Subscriptions arrive about four round trips after the connection; a round trip may take half a second. */
const HOLD_MS = 2000;
const CHECK_INTERVAL_MS = 50;
/** More than the peers of a node with default settings. */
const MAX_HEARD = 2000;

export interface PeerPrefixesDependencies {
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
  private readonly networks: readonly HandshakeNetwork[];
  private readonly heard = new LRUCache<PeerId, string>({ max: MAX_HEARD });
  private readonly held = new Map<PeerId, Held>();
  private timer: NodeJS.Timeout | undefined;

  constructor(deps: PeerPrefixesDependencies, networks: readonly HandshakeNetwork[]) {
    this.deps = deps;
    this.networks = networks;
    deps.counters.bounded('prefixes', MAX_HEARD, () => this.heard.size);
  }

  /** The network of its last message, else of its subscriptions, else the first network in reach. */
  of(peerId: PeerId): HandshakeNetwork | undefined {
    const said = this.heard.peek(peerId);
    if (said !== undefined) return this.withPrefix(said, peerId);
    const inReach = this.inReach(peerId);
    return inReach.find((network) => subscribersOf(network).includes(peerId)) ?? inReach[0];
  }

  /** The network with this topic prefix whose node is connected to the peer, else any with this prefix. */
  withPrefix(topicPrefix: string, peerId: PeerId): HandshakeNetwork | undefined {
    const all = this.networks.filter((network) => network.topicPrefix === topicPrefix);
    return all.find(({ isConnected }) => isConnected(peerId)) ?? all[0];
  }

  /** Resolves when the network is known, at the latest after two seconds; at once when only one is in reach. */
  known(peerId: PeerId): Promise<void> {
    if (this.inReach(peerId).length < 2) return Promise.resolve();
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
    const subscribed = new Set(this.networks.flatMap(subscribersOf));
    for (const [peerId, { untilMs }] of [...this.held])
      if (nowMs >= untilMs || this.heard.has(peerId) || subscribed.has(peerId)) this.release(peerId);
  }

  /** Networks whose node is connected to the peer; all where no node reports it. */
  private inReach(peerId: PeerId): readonly HandshakeNetwork[] {
    const connected = this.networks.filter(({ isConnected }) => isConnected(peerId));
    return connected.length > 0 ? connected : this.networks;
  }
}

function subscribersOf({ topic, node }: HandshakeNetwork): PeerId[] {
  return node.getTopic(topic)?.subscribers() ?? [];
}
