// Keeps the node in its network: dials what the operator listed, discovers peers through the DHT, remembers peers
// across restarts, and trims connections over the high-water mark.
import type { IdentifyResult, PeerInfo } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { PeerId } from '../../../domain/ids.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { DialState } from '../../../ports/diagnosis.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Metrics } from '../../../ports/metrics.ts';
import { parseMultiaddr, peerIdOf, withPeerId } from '../addresses.ts';
import type { DialStages } from '../connections/dial-stage.ts';
import type { OperatorAddresses } from '../connections/operator-addresses.ts';
import type { PeerBook } from '../connections/peer-book.ts';
import { Trimmer } from '../connections/trimmer.ts';
import { meshPeers } from '../gossipsub/internals.ts';
import type { TeranodeLibp2p } from '../libp2p-options.ts';
import type { Libp2pNodeOptions } from '../node-options.ts';
import { libPeerId, peerIdText } from '../peer-ids.ts';
import { AddressExchange } from './address-exchange.ts';
import { CachedPeers } from './cached-peers.ts';
import { dialOutcome } from './dial-outcome.ts';
import { Dialer, type DialResult, type DialTarget } from './dialer.ts';
import { DiscoveredPeers } from './discovered-peers.ts';
import { isDnsaddr, resolveDnsaddr, systemResolveTxt } from './dnsaddr.ts';
import { ListedNames } from './listed-names.ts';
import { PeerCache } from './peer-cache.ts';
import { Rendezvous } from './rendezvous.ts';

const DIAL_DEADLINE_MS = 10_000;
const HANG_UP_DEADLINE_MS = 2000;
/** Addresses that are examined, of all that somebody claims for a peer. */
const MAX_CLAIMED_ADDRESSES = 16;

export interface PeerKeeperDependencies {
  readonly libp2p: TeranodeLibp2p;
  readonly book: PeerBook;
  readonly stages: DialStages;
  readonly ownId: PeerId;
  readonly operators: OperatorAddresses;
  /** Addresses that are never dialled. Default: none. */
  readonly refusesAddress?: ((address: Multiaddr) => boolean) | undefined;
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
  private readonly rendezvous: Rendezvous | undefined;
  private readonly cachedPeers: CachedPeers | undefined;
  private readonly names: ListedNames;
  private readonly exchange: AddressExchange | undefined;
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
    this.names = this.createNames();
    this.exchange = this.createExchange();
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
        room: () => this.room(),
        dial: (target, signal) => this.dial(target, signal),
      },
      { optimiseRetries: this.options.optimiseRetries, rhythm: this.options.dialRhythm },
    );
  }

  private createDiscoveredPeers(): DiscoveredPeers {
    const { log, metrics, clock, random } = this.deps;
    return new DiscoveredPeers({
      log,
      metrics,
      random,
      nowMs: () => clock.monotonic(),
      isWanted: (id) => this.isWanted(id),
      room: () => this.room(),
      dial: (id, addresses) => this.dialDiscovered(id, addresses),
    });
  }

  private isWanted(id: PeerId): boolean {
    const { book, ownId } = this.deps;
    return id !== ownId && !book.isConnected(id) && this.room() > 0;
  }

  /**
   * How many more peers are wanted that the operator did not list. On message-bus they are not dialled over the
   * low-water mark, so that they are not trimmed and dialled again.
   */
  private room(): number {
    const { connections, protocols } = this.options;
    const wanted = protocols === 'message-bus' ? connections.lowWater : connections.highWater;
    return wanted - this.deps.book.connectedCount();
  }

  private createNames(): ListedNames {
    const { log, metrics, clock } = this.deps;
    const { resolveTxt = systemResolveTxt } = this.options;
    const help = 'Lookups of listed names, by outcome';
    return new ListedNames(
      {
        log,
        lookups: metrics.counter('teranode_p2p_listed_name_lookups_total', help, ['outcome']),
        nowMs: () => clock.monotonic(),
        resolve: (address, signal) => resolveDnsaddr(parseMultiaddr(address), resolveTxt, signal),
        resolved: (name, addresses) =>
          this.dialer.replaceGroup(
            name,
            addresses.map((address) => target(address, this.keepOf(name))),
          ),
        hasFailed: (name) => this.dialer.hasGroupFailed(name),
      },
      [...this.options.staticPeers, ...this.options.bootstrapAddresses].filter((address) => this.isName(address)),
    );
  }

  private createExchange(): AddressExchange | undefined {
    const { addressRequests, allowPrivateIps = true } = this.options;
    if (addressRequests !== true) return undefined;
    return new AddressExchange(
      {
        ...this.deps,
        isWanted: (id) => this.isWanted(id),
        found: (id, addresses) => this.discoveredPeers.discovered(id, addresses),
      },
      { asks: this.options.dht.role === 'off', allowPrivateIps },
    );
  }

  private createRendezvous(): Rendezvous | undefined {
    const { log, metrics, clock, book, random, libp2p } = this.deps;
    const { dht } = libp2p.services;
    if (dht === undefined) return undefined;
    return new Rendezvous(
      {
        log,
        random,
        dht,
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
        subscribers: () => topicNames.flatMap((topic) => libp2p.services.pubsub.getSubscribers(topic).map(peerIdText)),
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

  /** Before libp2p starts. */
  async serve(): Promise<void> {
    await this.exchange?.serve();
  }

  async start(): Promise<void> {
    const listed = [...this.options.staticPeers, ...this.options.bootstrapAddresses];
    this.dialer.add(
      listed.filter((address) => !this.isName(address)).map((address) => target(address, this.keepOf(address))),
    );
    for (const peer of (await this.cachedPeers?.load()) ?? []) {
      this.dialer.add(
        this.knownAddresses(peer.addresses, peer.id).map((address) => target(address, 'until_connected')),
      );
    }
    if (this.ended.signal.aborted) return;
    this.deps.libp2p.addEventListener(
      'peer:update',
      ({ detail }) => this.cachedPeers?.peerChanged(peerIdText(detail.peer.id)),
      { signal: this.ended.signal },
    );
    for (const { id } of this.deps.book.connectedRecords()) this.cachedPeers?.peerChanged(id);
    this.dialer.start();
    this.names.start();
    this.exchange?.start();
    this.rendezvous?.start();
    this.cachedPeers?.start();
    this.trimmer.start();
  }

  async stop(): Promise<void> {
    this.ended.abort();
    this.dialer.stop();
    this.names.stop();
    this.exchange?.stop();
    this.rendezvous?.stop();
    this.discoveredPeers.stop();
    this.trimmer.stop();
    await this.cachedPeers?.stop();
  }

  /** Whether the listed address is a name that is resolved to peers before they are dialled. */
  private isName(address: string): boolean {
    return this.options.expandDnsaddr === true && isDnsaddr(parseMultiaddr(address));
  }

  private keepOf(listed: string): DialTarget['keep'] {
    const { staticPeers, bootstrapPersistent } = this.options;
    return bootstrapPersistent || staticPeers.includes(listed) ? 'always' : 'when_alone';
  }

  /** How the dials to listed peers went. */
  dialStates(): DialState[] {
    return this.dialer.states();
  }

  /** A valid message arrived. */
  messageReceived(author: PeerId, receivedFrom: PeerId): void {
    this.exchange?.heard(author, receivedFrom);
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
    this.exchange?.peerDisconnected(peerId);
    this.dialer.peerDisconnected(peerId);
    this.dialer.networkChanged();
  }

  peerIdentified(identified: IdentifyResult): void {
    this.cachedPeers?.peerChanged(peerIdText(identified.peerId));
    if (identified.protocols.includes(this.options.dht.protocol)) this.rendezvous?.dhtPeerConnected();
    this.exchange?.peerIdentified(identified);
    this.trimmer.connectionAdded();
  }

  private async dial(dialTarget: DialTarget, signal: AbortSignal): Promise<DialResult> {
    if (dialTarget.peerId === this.deps.ownId) return { outcome: 'hopeless', reason: 'own address' };
    const address = parseMultiaddr(dialTarget.address);
    // Also what a listed name resolved to.
    if (dialTarget.keep !== 'until_connected') this.deps.operators.add(address);
    const progress = this.deps.stages.of(address);
    try {
      const connection = await this.deps.libp2p.dial(address, {
        onProgress: progress.onProgress,
        signal: AbortSignal.any([signal, AbortSignal.timeout(DIAL_DEADLINE_MS)]),
      });
      return { outcome: 'connected', peerId: peerIdText(connection.remotePeer) };
    } catch (error) {
      return dialOutcome(error, progress);
    }
  }

  private providerFound({ id, multiaddrs }: PeerInfo): void {
    const peerId = peerIdText(id);
    const claimed = multiaddrs.slice(0, MAX_CLAIMED_ADDRESSES).map(String);
    const known = this.knownAddresses(claimed, peerId);
    // Without any, the peer would be looked up.
    if (known.length > 0 || claimed.length === 0) this.discoveredPeers.discovered(peerId, known);
  }

  /** Addresses at which the peer may be dialled; invalid ones that a file or another peer gave are left out. */
  private knownAddresses(addresses: readonly string[], peerId: string): string[] {
    const valid = addresses.flatMap((address) => withPeerId(address, peerId) ?? []);
    return valid.filter((address) => this.deps.refusesAddress?.(parseMultiaddr(address)) !== true);
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
