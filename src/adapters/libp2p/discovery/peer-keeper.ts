// Keeps the node in its network: dials what the operator listed, meets peers through the DHT, remembers peers across restarts, and trims
// connections over the high-water mark.
import type { IdentifyResult, PeerInfo } from '@libp2p/interface';
import type { PeerId } from '../../../domain/ids.ts';
import { type Repeating, repeating } from '../../../lib/repeating.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Metrics } from '../../../ports/metrics.ts';
import { parseMultiaddr, peerIdOf, withPeerId } from '../addresses.ts';
import type { PeerBook } from '../connections/peer-book.ts';
import { chooseToTrim, type TrimCandidate } from '../connections/trimming.ts';
import { meshPeers } from '../gossipsub/topic-validator.ts';
import type { TeranodeLibp2p } from '../libp2p-options.ts';
import type { Libp2pNodeOptions } from '../node-options.ts';
import { libPeerId, peerIdText } from '../peer-ids.ts';
import { dialOutcome } from './dial-outcome.ts';
import { Dialer, type DialOutcome, type DialTarget } from './dialer.ts';
import { FoundPeers } from './discovered-peers.ts';
import { PeerCache } from './peer-cache.ts';
import { Rendezvous } from './rendezvous.ts';

const DIAL_DEADLINE_MS = 10_000;
const HANG_UP_DEADLINE_MS = 2000;
const TRIM_INTERVAL_MS = 10_000;
const CACHE_INTERVAL_MS = 5000;
/** Looked at, of what somebody says of a peer. */
const MAX_FOUND_ADDRESSES = 16;

export interface PeerKeeperDependencies {
  readonly libp2p: TeranodeLibp2p;
  readonly book: PeerBook;
  readonly ownId: PeerId;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: () => number;
}

export class PeerKeeper {
  private readonly deps: PeerKeeperDependencies;
  private readonly options: Libp2pNodeOptions & { readonly topicNames: readonly string[] };
  private readonly dialer: Dialer;
  private readonly rendezvous: Rendezvous;
  private readonly cache: PeerCache | undefined;
  private readonly foundPeers: FoundPeers;
  private readonly loops: Repeating[] = [];
  private trimming: Repeating | undefined;
  private readonly ended = new AbortController();

  constructor(deps: PeerKeeperDependencies, options: Libp2pNodeOptions & { readonly topicNames: readonly string[] }) {
    this.deps = deps;
    this.options = options;
    const { log, metrics, clock, book } = deps;
    const nowMs = () => clock.monotonic();
    this.dialer = new Dialer(
      {
        log,
        nowMs,
        random: deps.random,
        dials: metrics.counter('teranode_p2p_dials_total', 'Dials to listed peers', ['outcome']),
        isConnected: (peerId) => book.isConnected(peerId),
        connectedCount: () => book.connectedCount(),
        dial: (target, signal) => this.dial(target, signal),
      },
      { optimiseRetries: options.optimiseRetries },
    );
    this.foundPeers = new FoundPeers({
      log,
      metrics,
      nowMs,
      random: deps.random,
      isWanted: (id) =>
        id !== deps.ownId && !book.isConnected(id) && book.connectedCount() < options.connections.highWater,
      dial: (id, addresses) => this.dialFound(id, addresses),
    });
    this.rendezvous = new Rendezvous(
      {
        dht: deps.libp2p.services.dht,
        log,
        nowMs,
        rounds: metrics.counter('teranode_p2p_rendezvous_rounds_total', 'Rounds of peer discovery', ['outcome']),
        connectedCount: () => book.connectedCount(),
        found: (peer) => this.providerFound(peer),
        random: deps.random,
      },
      options,
    );
    if (options.peerCache !== undefined)
      this.cache = new PeerCache({ log, nowMs: () => clock.now() }, options.peerCache);
    metrics.gauge('teranode_p2p_cached_peers', 'Peers kept across restarts', () => this.cache?.size() ?? 0);
  }

  async start(): Promise<void> {
    const { options } = this;
    this.dialer.add(options.staticPeers.map((address) => target(address, 'always')));
    this.dialer.add(
      options.bootstrapAddresses.map((address) =>
        target(address, options.bootstrapPersistent ? 'always' : 'when_alone'),
      ),
    );
    for (const peer of (await this.cache?.load()) ?? []) {
      this.dialer.add(knownAddresses(peer.addresses, peer.id).map((address) => target(address, 'until_connected')));
    }
    this.dialer.start();
    this.rendezvous.start();
    this.every(CACHE_INTERVAL_MS, () => this.saveCache());
    if (options.connections.trims) this.trimming = this.every(TRIM_INTERVAL_MS, () => this.trim());
  }

  async stop(): Promise<void> {
    this.ended.abort();
    this.dialer.stop();
    this.rendezvous.stop();
    this.foundPeers.stop();
    for (const loop of this.loops) loop.stop();
    await this.saveCache();
  }

  retryDials(): void {
    this.dialer.retry();
  }

  peerCame(peerId: PeerId): void {
    this.dialer.peerCame(peerId);
  }

  peerLost(peerId: PeerId): void {
    this.dialer.peerLost(peerId);
    this.dialer.networkChanged();
  }

  peerIdentified(identified: IdentifyResult): void {
    if (identified.protocols.includes(this.options.dht.protocol)) this.rendezvous.dhtPeerCame();
    if (this.deps.book.connectedCount() > this.options.connections.highWater) this.trimming?.wake();
  }

  private every(ms: number, task: () => Promise<void>): Repeating {
    const failed = (error: unknown) => this.deps.log.warn({ err: error }, 'periodic work failed');
    const loop = repeating(task, { firstMs: ms, nextMs: () => ms }, failed);
    this.loops.push(loop);
    return loop;
  }

  private async dial(
    dialTarget: DialTarget,
    signal: AbortSignal,
  ): Promise<{ outcome: DialOutcome; peerId?: PeerId; reason?: string }> {
    if (dialTarget.peerId === this.deps.ownId) return { outcome: 'hopeless', reason: 'own address' };
    try {
      const connection = await this.deps.libp2p.dial(parseMultiaddr(dialTarget.address), {
        signal: AbortSignal.any([signal, AbortSignal.timeout(DIAL_DEADLINE_MS)]),
      });
      return { outcome: 'connected', peerId: peerIdText(connection.remotePeer) };
    } catch (error) {
      return dialOutcome(error);
    }
  }

  private providerFound({ id, multiaddrs }: PeerInfo): void {
    const peerId = peerIdText(id);
    this.foundPeers.found(peerId, knownAddresses(multiaddrs.slice(0, MAX_FOUND_ADDRESSES).map(String), peerId));
  }

  private dialFound(peerId: PeerId, addresses: readonly string[]): Promise<unknown> {
    const signal = AbortSignal.any([this.ended.signal, AbortSignal.timeout(DIAL_DEADLINE_MS)]);
    const known = addresses.map(parseMultiaddr);
    return this.deps.libp2p.dial(known.length > 0 ? known : libPeerId(peerId), { signal });
  }

  /** A peer that dialled us did so from a passing port: the addresses it listens on are in the peer store. */
  private async saveCache(): Promise<void> {
    if (this.cache === undefined) return;
    for (const peer of this.deps.book.connectedRecords()) {
      const listening = await this.listenAddressesOf(peer.id);
      this.cache.seen(
        peer.id,
        peer.direction === 'outbound' ? [...new Set([...peer.addresses, ...listening])] : listening,
      );
    }
    await this.cache.save();
  }

  private async listenAddressesOf(peerId: PeerId): Promise<string[]> {
    try {
      const { addresses } = await this.deps.libp2p.peerStore.get(libPeerId(peerId));
      return addresses.map(({ multiaddr }) => multiaddr.toString());
    } catch {
      return [];
    }
  }

  private async trim(): Promise<void> {
    const { libp2p, book, clock } = this.deps;
    const meshTopics = new Map<PeerId, number>();
    for (const topic of this.options.topicNames) {
      for (const peer of meshPeers(libp2p.services.pubsub, topic))
        meshTopics.set(peer, (meshTopics.get(peer) ?? 0) + 1);
    }
    const candidates = book.connectedRecords().map(
      (peer): TrimCandidate => ({
        peerId: peer.id,
        connectedAtMs: peer.connectedAtMs ?? 0,
        isProtected: this.dialer.protects(peer.id),
        meshTopics: meshTopics.get(peer.id) ?? 0,
        direction: peer.direction ?? 'inbound',
        group: book.groupOf(peer.id),
      }),
    );
    const chosen = chooseToTrim(candidates, this.options.connections, clock.now());
    if (chosen.length > 0)
      this.deps.log.info({ connected: candidates.length, closing: chosen.length }, 'connections trimmed');
    await Promise.allSettled(
      chosen.map((peerId) => libp2p.hangUp(libPeerId(peerId), { signal: AbortSignal.timeout(HANG_UP_DEADLINE_MS) })),
    );
  }
}

function target(address: string, keep: DialTarget['keep']): DialTarget {
  return { address, keep, peerId: peerIdOf(parseMultiaddr(address)) as PeerId | undefined };
}

/** Addresses at which the peer can be dialled; what a file or another peer says is left out where it makes no sense. */
function knownAddresses(addresses: readonly string[], peerId: string): string[] {
  return addresses.flatMap((address) => withPeerId(address, peerId) ?? []);
}
