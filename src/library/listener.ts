// A listener: one libp2p node, the server's own validators, and typed events for one reader. No Kafka, HTTP, gRPC, files
// or output.

import { gossipOptions } from '../app/gossip-options.ts';
import type { ChainEvent } from '../domain/chain-event.ts';
import type { PeerId } from '../domain/ids.ts';
import { attachGossip, type Gossip } from '../gossip/attach.ts';
import type { ProcessedMessage } from '../gossip/pipeline.ts';
import { settledWithin } from '../lib/deadline.ts';
import { PeerRegistry, type RegisteredPeer } from '../peers/registry.ts';
import { systemClock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import { type P2PNetwork, topicNamesOf } from '../ports/network.ts';
import type { PeerRecord } from '../ports/p2p-node.ts';
import type { Settings } from '../settings/load.ts';
import { Silence } from '../watch/silence.ts';
import type { Network } from '../wire/networks.ts';
import { ChainFeed } from './chain-feed.ts';
import { DropCounts } from './counts.ts';
import { EventQueue } from './event-queue.ts';
import { eventOf, type ListenEvent, type ListenTopic } from './events.ts';
import type { FollowCounts } from './header-follower.ts';
import { LISTEN_TOPICS, type ListenOptions, listenSettings, queueBounds, silenceBounds } from './options.ts';

export interface ListenerReady {
  readonly peerId: PeerId;
  /** Full multiaddrs; empty unless `listenAddresses` is given. */
  readonly listenAddresses: readonly string[];
}

export interface ListenerStats {
  /** Valid messages by topic. */
  readonly received: Readonly<Record<string, number>>;
  /** Messages dropped, by reason: rules of docs/scoring.md, malformed RPCs, invalid signatures. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Events dropped because they were not read in time, and those that wait. */
  readonly lost: number;
  readonly queued: number;
  readonly connectedPeers: number;
  /** With the option `chain`: the headers that are kept, and what was not added. */
  readonly chain?: FollowCounts & { readonly headers: number };
}

const CHECK_INTERVAL_MS = 1000;
const PURGE_INTERVAL_MS = 60_000;
/** Longer than the node's own deadline. */
const CLOSE_DEADLINE_MS = 5000;

export const SILENT_LOG: Logger = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/**
 * Joins a network and yields what its nodes announce, until the loop is left, `close` is called or the signal aborts.
 * Throws SETTINGS_INVALID; what fails later is thrown into the loop.
 */
export function listen(network: Network, options: ListenOptions = {}): Listener {
  return new Listener(network, options);
}

/** Events have one reader: leaving its loop closes the listener. */
export class Listener implements AsyncIterable<ListenEvent, undefined>, AsyncDisposable {
  /** Resolves once the node runs and dials; rejects when it could not start. */
  readonly ready: Promise<ListenerReady>;
  private readonly settings: Settings;
  private readonly options: ListenOptions;
  private readonly log: Logger;
  private readonly counts = new DropCounts();
  private readonly received: Record<string, number> = {};
  private readonly registry = new PeerRegistry({ clock: systemClock, metrics: this.counts });
  private readonly queue: EventQueue<ListenEvent>;
  private readonly taps = new Set<(event: ListenEvent) => void>();
  private readonly silences: readonly Silence[];
  private readonly ended = new AbortController();
  private readonly chain: ChainFeed | undefined;
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly onAbort = () => void this.close();
  private network: P2PNetwork | undefined;
  private gossip: Gossip | undefined;
  private closing: Promise<void> | undefined;

  constructor(network: Network, options: ListenOptions) {
    this.options = options;
    this.log = options.log ?? SILENT_LOG;
    this.settings = listenSettings(network, options);
    this.silences = [...silenceBounds(options)].map(([feed, ms]) => this.silenceOf(feed, ms));
    this.queue = new EventQueue<ListenEvent>({
      ...queueBounds(options),
      lost: (byType, count) => ({ type: 'lost', atMs: systemClock.now(), count, byType }),
      onReturn: () => this.close(),
    });
    this.chain = this.chainFeed();
    this.ready = this.start();
    this.ready.catch((error: unknown) => {
      this.queue.finish({ error });
      void this.close();
    });
    if (options.signal?.aborted === true) this.onAbort();
    else options.signal?.addEventListener('abort', this.onAbort, { once: true });
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<ListenEvent, undefined> {
    return this.queue;
  }

  /** Ends the loop, then the node. Never rejects; may be called twice. */
  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  stats(): ListenerStats {
    const follower = this.chain?.follower;
    return {
      received: { ...this.received },
      dropped: this.counts.byReason(),
      lost: this.queue.lostCount,
      queued: this.queue.length,
      connectedPeers: this.connections().length,
      ...(follower === undefined ? {} : { chain: { ...follower.counts(), headers: follower.size } }),
    };
  }

  /** What authors and neighbours said about themselves: the connected ones, then at most 2,000 others. */
  peers(): RegisteredPeer[] {
    return this.registry.list();
  }

  /** Dials a peer, also one that is not listed. Throws PEER_UNREACHABLE, ADDRESS_INVALID, NODE_NOT_STARTED. */
  async connect(address: string): Promise<PeerId> {
    await this.ready;
    return await (this.network as P2PNetwork).node.connectPeer(address);
  }

  /** Calls `tap` with each event when it comes, before it is queued; until the returned function is called. */
  tap(tap: (event: ListenEvent) => void): () => void {
    this.taps.add(tap);
    return () => this.taps.delete(tap);
  }

  private chainFeed(): ChainFeed | undefined {
    const { chain = false } = this.options;
    if (chain === false) return undefined;
    const emit = (event: ChainEvent) => this.tell({ ...event, atMs: systemClock.now() });
    return new ChainFeed({ peers: () => this.peers(), emit }, this.settings, chain === true ? {} : chain);
  }

  private async start(): Promise<ListenerReady> {
    // Keeps the process while nothing else does, such as before the first connection.
    this.timers.push(setInterval(() => this.checkSilence(), this.checkIntervalMs()));
    const { listenerNetwork } = await import('./listener-node.ts');
    const { listenAddresses: listenIps = [] } = this.options;
    const deps = { log: this.log, metrics: this.counts, clock: systemClock, random: Math.random };
    const network = await listenerNetwork(this.settings, deps, { listenIps });
    const { node } = network;
    this.network = network;
    this.gossip = this.attach(network);
    node.setPeerConnectedCallback((peerId) => this.peerChanged(peerId, 'connected'));
    node.setPeerDisconnectedCallback((peerId) => this.peerChanged(peerId, 'disconnected'));
    await node.start(this.ended.signal, undefined, topicNamesOf(node, [network]));
    this.gossip.start();
    this.timers.push(setInterval(() => this.registry.purge(), PURGE_INTERVAL_MS));
    if (this.ended.signal.aborted) this.stopTimers();
    return { peerId: node.hostId(), listenAddresses: node.listenAddresses() };
  }

  /** The server's own pipeline, with nobody behind it but the reader. A listener bans nobody. */
  private attach(network: P2PNetwork): Gossip {
    const nowhere = { publish: () => {} };
    const deps = {
      networks: [network],
      ownId: network.node.hostId(),
      node: network.node,
      registry: this.registry,
      chain: { heightOf: () => undefined, tip: () => undefined, isSyncing: () => false },
      sync: { syncPeer: () => undefined },
      scores: { addScore: () => undefined },
      blockProducer: nowhere,
      subtreeProducer: nowhere,
      isBanned: () => false,
      isLowReputation: () => false,
      isInGoodStanding: (peerId: PeerId) => this.registry.get(peerId) !== undefined,
      notify: () => {},
      handshake: () => {},
      bestBlockAsked: () => {},
      clock: systemClock,
      log: this.log,
      metrics: this.counts,
    };
    return attachGossip(
      {
        ...deps,
        onResult: (_envelope, result) => {
          if (!result.process) this.counts.add(result.reason);
        },
        onProcessed: (processed) => this.processed(processed),
      },
      { ...gossipOptions(this.settings), isShadow: () => false },
    );
  }

  private processed(processed: ProcessedMessage): void {
    const event = eventOf(processed, systemClock.now());
    if (event === undefined) return;
    this.received[event.type] = (this.received[event.type] ?? 0) + 1;
    for (const silence of this.silences) silence.heard(event.type);
    this.tell(event, processed.envelope.bytes.byteLength);
    this.chain?.heard(event);
  }

  private peerChanged(peerId: PeerId, state: 'connected' | 'disconnected'): void {
    if (state === 'connected') this.registry.connected(peerId);
    else this.registry.disconnected(peerId);
    const addresses = this.connections().find(({ id }) => id === peerId)?.addresses ?? [];
    this.tell({ type: 'peer', atMs: systemClock.now(), state, peerId, addresses: [...addresses] });
  }

  private checkSilence(): void {
    for (const silence of this.silences) silence.check();
  }

  private silenceOf(feed: ListenTopic | 'all', silentAfterMs: number): Silence {
    const peers = () => this.connections().length;
    const topic = feed === 'all' ? undefined : feed;
    return new Silence(
      {
        clock: systemClock,
        peers,
        changed: ({ to, feed: { silentForMs } }) => {
          const atMs = systemClock.now();
          const sinceMs = Math.round(atMs - silentForMs);
          if (to === 'silent') this.tell({ type: 'silent', atMs, topic, sinceMs, connectedPeers: peers() });
        },
      },
      { topics: topic === undefined ? LISTEN_TOPICS : [topic], silentAfterMs },
    );
  }

  private tell(event: ListenEvent, bytes = 0): void {
    for (const tap of this.taps) tap(event);
    this.queue.push(event, bytes);
  }

  private connections(): readonly PeerRecord[] {
    return this.network?.node.currentlyConnectedPeers() ?? [];
  }

  private checkIntervalMs(): number {
    return Math.min(CHECK_INTERVAL_MS, ...[...silenceBounds(this.options).values()].map((ms) => ms / 4));
  }

  private stopTimers(): void {
    for (const timer of this.timers.splice(0)) clearInterval(timer);
  }

  private async closeOnce(): Promise<void> {
    this.ended.abort();
    this.options.signal?.removeEventListener('abort', this.onAbort);
    this.queue.finish();
    this.chain?.follower.stop();
    this.stopTimers();
    // A start that is under way gives up at its next step.
    await settledWithin([this.ready], CLOSE_DEADLINE_MS);
    this.gossip?.stop();
    await settledWithin([Promise.resolve(this.network?.node.stop())], CLOSE_DEADLINE_MS);
    this.stopTimers();
  }
}
