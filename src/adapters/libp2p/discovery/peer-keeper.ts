// Keeps the node in its network: dials what the operator listed, discovers peers through the DHT, remembers peers
// across restarts, and trims connections over the high-water mark.
import type { IdentifyResult, PeerInfo } from '@libp2p/interface';
import type { PeerId } from '../../../domain/ids.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Metrics } from '../../../ports/metrics.ts';
import { parseMultiaddr, peerIdOf, withPeerId } from '../addresses.ts';
import type { PeerBook } from '../connections/peer-book.ts';
import { Trimmer } from '../connections/trimmer.ts';
import { meshPeers } from '../gossipsub/internals.ts';
import type { TeranodeLibp2p } from '../libp2p-options.ts';
import type { Libp2pNodeOptions } from '../node-options.ts';
import { libPeerId, peerIdText } from '../peer-ids.ts';
import { CachedPeers } from './cached-peers.ts';
import { dialOutcome } from './dial-outcome.ts';
import { Dialer, type DialOutcome, type DialTarget } from './dialer.ts';
import { DiscoveredPeers } from './discovered-peers.ts';
import { PeerCache } from './peer-cache.ts';
import { Rendezvous } from './rendezvous.ts';

const DIAL_DEADLINE_MS = 10_000;
const HANG_UP_DEADLINE_MS = 2000;
/** Addresses that are examined, of all that somebody claims for a peer. */
const MAX_CLAIMED_ADDRESSES = 16;

export interface PeerKeeperDependencies {
  readonly libp2p: TeranodeLibp2p;
  readonly book: PeerBook;
  readonly ownId: PeerId;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: () => number;
}

type PeerKeeperOptions = Libp2pNodeOptions & { readonly topicNames: readonly string[] };

export class PeerKeeper {
  private readonly deps: PeerKeeperDependencies;
  private readonly options: PeerKeeperOptions;
  private readonly dialer: Dialer;
  private readonly rendezvous: Rendezvous;
  private readonly cachedPeers: CachedPeers | undefined;
  private readonly discoveredPeers: DiscoveredPeers;
  private readonly trimmer: Trimmer;
  private readonly ended = new AbortController();

  constructor(deps: PeerKeeperDependencies, options: PeerKeeperOptions) {
    this.deps = deps;
    this.options = options;
    this.dialer = this.createDialer();
    this.discoveredPeers = this.createDiscoveredPeers();
    this.rendezvous = this.createRendezvous();
    this.trimmer = this.createTrimmer();
    this.cachedPeers = this.createCachedPeers();
  }

  private createDialer(): Dialer {
    const { log, metrics, clock, book, random } = this.deps;
    return new Dialer(
      {
        log,
        random,
        nowMs: () => clock.monotonic(),
        dials: metrics.counter('teranode_p2p_dials_total', 'Dials to listed and cached peers, by outcome', ['outcome']),
        isConnected: (peerId) => book.isConnected(peerId),
        connectedCount: () => book.connectedCount(),
        dial: (target, signal) => this.dial(target, signal),
      },
      { optimiseRetries: this.options.optimiseRetries },
    );
  }

  private createDiscoveredPeers(): DiscoveredPeers {
    const { log, metrics, clock, book, random, ownId } = this.deps;
    const { highWater } = this.options.connections;
    return new DiscoveredPeers({
      log,
      metrics,
      random,
      nowMs: () => clock.monotonic(),
      isWanted: (id) => id !== ownId && !book.isConnected(id) && book.connectedCount() < highWater,
      dial: (id, addresses) => this.dialDiscovered(id, addresses),
    });
  }

  private createRendezvous(): Rendezvous {
    const { log, metrics, clock, book, random, libp2p } = this.deps;
    return new Rendezvous(
      {
        log,
        random,
        dht: libp2p.services.dht,
        nowMs: () => clock.monotonic(),
        rounds: metrics.counter('teranode_p2p_rendezvous_rounds_total', 'Rounds of peer discovery, by outcome', [
          'outcome',
        ]),
        connectedCount: () => book.connectedCount(),
        found: (peer) => this.providerFound(peer),
      },
      this.options,
    );
  }

  private createTrimmer(): Trimmer {
    const { log, clock, book, libp2p } = this.deps;
    const { topicNames, connections } = this.options;
    return new Trimmer(
      {
        log,
        book,
        nowMs: () => clock.now(),
        isProtected: (peerId) => this.dialer.protects(peerId),
        meshPeers: () => topicNames.flatMap((topic) => meshPeers(libp2p.services.pubsub, topic)),
        hangUp: (peerId) => libp2p.hangUp(libPeerId(peerId), { signal: AbortSignal.timeout(HANG_UP_DEADLINE_MS) }),
      },
      connections,
    );
  }

  private createCachedPeers(): CachedPeers | undefined {
    const { log, metrics, clock, book } = this.deps;
    const { peerCache } = this.options;
    const cache = peerCache === undefined ? undefined : new PeerCache({ log, nowMs: () => clock.now() }, peerCache);
    metrics.gauge('teranode_p2p_cached_peers', 'Peers kept across restarts', () => cache?.size() ?? 0);
    return (
      cache &&
      new CachedPeers({
        cache,
        log,
        connectedRecord: (peerId) => book.connectedRecord(peerId),
        listenAddresses: (peerId) => this.listenAddressesOf(peerId),
      })
    );
  }

  async start(): Promise<void> {
    const { options } = this;
    this.dialer.add(options.staticPeers.map((address) => target(address, 'always')));
    this.dialer.add(
      options.bootstrapAddresses.map((address) =>
        target(address, options.bootstrapPersistent ? 'always' : 'when_alone'),
      ),
    );
    for (const peer of (await this.cachedPeers?.load()) ?? []) {
      this.dialer.add(knownAddresses(peer.addresses, peer.id).map((address) => target(address, 'until_connected')));
    }
    if (this.ended.signal.aborted) return;
    this.deps.libp2p.addEventListener(
      'peer:update',
      ({ detail }) => this.cachedPeers?.peerChanged(peerIdText(detail.peer.id)),
      { signal: this.ended.signal },
    );
    for (const { id } of this.deps.book.connectedRecords()) this.cachedPeers?.peerChanged(id);
    this.dialer.start();
    this.rendezvous.start();
    this.cachedPeers?.start();
    this.trimmer.start();
  }

  async stop(): Promise<void> {
    this.ended.abort();
    this.dialer.stop();
    this.rendezvous.stop();
    this.discoveredPeers.stop();
    this.trimmer.stop();
    await this.cachedPeers?.stop();
  }

  retryDials(): void {
    this.dialer.retry();
  }

  peerConnected(peerId: PeerId): void {
    this.dialer.peerConnected(peerId);
    this.cachedPeers?.peerChanged(peerId);
  }

  peerDisconnected(peerId: PeerId): void {
    this.cachedPeers?.peerDisconnected(peerId);
    this.dialer.peerDisconnected(peerId);
    this.dialer.networkChanged();
  }

  peerIdentified(identified: IdentifyResult): void {
    this.cachedPeers?.peerChanged(peerIdText(identified.peerId));
    if (identified.protocols.includes(this.options.dht.protocol)) this.rendezvous.dhtPeerConnected();
    this.trimmer.connectionAdded();
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
    const claimed = multiaddrs.slice(0, MAX_CLAIMED_ADDRESSES).map(String);
    this.discoveredPeers.discovered(peerId, knownAddresses(claimed, peerId));
  }

  private dialDiscovered(peerId: PeerId, addresses: readonly string[]): Promise<unknown> {
    const signal = AbortSignal.any([this.ended.signal, AbortSignal.timeout(DIAL_DEADLINE_MS)]);
    const known = addresses.map(parseMultiaddr);
    return this.deps.libp2p.dial(known.length > 0 ? known : libPeerId(peerId), { signal });
  }

  private async listenAddressesOf(peerId: PeerId): Promise<string[]> {
    try {
      const { addresses } = await this.deps.libp2p.peerStore.get(libPeerId(peerId));
      return addresses.map(({ multiaddr }) => multiaddr.toString());
    } catch {
      return [];
    }
  }
}

function target(address: string, keep: DialTarget['keep']): DialTarget {
  return { address, keep, peerId: peerIdOf(parseMultiaddr(address)) as PeerId | undefined };
}

/** Addresses at which the peer can be dialled; invalid ones that a file or another peer gave are left out. */
function knownAddresses(addresses: readonly string[], peerId: string): string[] {
  return addresses.flatMap((address) => withPeerId(address, peerId) ?? []);
}
