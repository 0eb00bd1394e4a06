// The peer-address protocol of this node: serves it to everybody, and without a DHT asks its neighbours.
import type { Connection, IdentifyResult, Stream } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { PeerId } from '../../../domain/ids.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Metrics } from '../../../ports/metrics.ts';
import { dialMultiaddr, isPrivateMultiaddr, isRelayed, withoutPeerId, withPeerId } from '../addresses.ts';
import type { TeranodeLibp2p } from '../libp2p-options.ts';
import { libPeerId, peerIdText } from '../peer-ids.ts';
import { AddressLookups } from './address-lookups.ts';
import { ADDRESS_PROTOCOLS, askForAddresses } from './address-protocol.ts';
import { AddressServer, MAX_STREAMS_PER_PEER } from './address-server.ts';
import { isDnsaddr } from './dnsaddr.ts';

export interface AddressExchangeDependencies {
  readonly libp2p: TeranodeLibp2p;
  readonly ownId: PeerId;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: () => number;
  readonly isWanted: (peerId: PeerId) => boolean;
  readonly found: (peerId: PeerId, addresses: readonly string[]) => void;
}

export class AddressExchange {
  private readonly deps: AddressExchangeDependencies;
  private readonly allowPrivateIps: boolean;
  private readonly server: AddressServer;
  private readonly lookups: AddressLookups | undefined;
  /** Connected peers that speak the protocol. */
  private readonly neighbours = new Set<PeerId>();

  /** `asks`: whether this node asks others too. */
  constructor(
    deps: AddressExchangeDependencies,
    { asks, allowPrivateIps }: { readonly asks: boolean; readonly allowPrivateIps: boolean },
  ) {
    this.deps = deps;
    this.allowPrivateIps = allowPrivateIps;
    const common = { ...deps, nowMs: () => deps.clock.monotonic() };
    this.server = new AddressServer({ ...common, addressesOf: (peerId) => this.addressesOf(peerId) });
    if (!asks) return;
    this.lookups = new AddressLookups({
      ...common,
      neighbours: () => [...this.neighbours],
      ask: (neighbour, wanted, signal) => this.ask(neighbour, wanted, signal),
    });
  }

  /** Before libp2p starts. */
  async serve(): Promise<void> {
    const handler = (stream: Stream, connection: Connection) =>
      this.server.serve(stream, peerIdText(connection.remotePeer));
    for (const protocol of ADDRESS_PROTOCOLS)
      await this.deps.libp2p.handle(protocol, handler, { maxInboundStreams: MAX_STREAMS_PER_PEER });
  }

  start(): void {
    this.lookups?.start();
  }

  stop(): void {
    this.lookups?.stop();
    this.server.stop();
  }

  heard(author: PeerId, receivedFrom: PeerId): void {
    if (author !== this.deps.ownId) this.lookups?.heard(author, receivedFrom);
  }

  peerIdentified({ peerId, protocols }: IdentifyResult): void {
    if (protocols.some((protocol) => ADDRESS_PROTOCOLS.includes(protocol))) this.neighbours.add(peerIdText(peerId));
  }

  peerDisconnected(peerId: PeerId): void {
    this.neighbours.delete(peerId);
  }

  /** What this node knows and may tell; addresses that the peer signed come first. */
  private async addressesOf(peerId: PeerId): Promise<readonly string[]> {
    const { libp2p, ownId } = this.deps;
    if (peerId === ownId) return direct(libp2p.getMultiaddrs());
    const peer = await libp2p.peerStore.get(libPeerId(peerId)).catch(() => undefined);
    const known = [...(peer?.addresses ?? [])].sort((a, b) => Number(b.isCertified) - Number(a.isCertified));
    return direct(known.map(({ multiaddr }) => multiaddr).filter((address) => this.isAllowed(address)));
  }

  private isAllowed(address: Multiaddr): boolean {
    return this.allowPrivateIps || !isPrivateMultiaddr(address);
  }

  private async ask(neighbour: PeerId, wanted: PeerId, signal: AbortSignal): Promise<readonly string[]> {
    const [connection] = this.deps.libp2p.getConnections(libPeerId(neighbour));
    if (connection === undefined) return [];
    const claimed = await askForAddresses(connection, wanted, signal);
    return claimed.flatMap((text) => {
      const address = withPeerId(text, wanted);
      return address !== undefined && this.mayDial(address) ? [address] : [];
    });
  }

  private mayDial(text: string): boolean {
    try {
      const address = dialMultiaddr(text);
      return !isRelayed(address) && this.isAllowed(address) && !isDnsaddr(address);
    } catch {
      return false;
    }
  }
}

/** Without peer IDs, and without addresses of relays. */
function direct(addresses: readonly Multiaddr[]): readonly string[] {
  return [...new Set(addresses.filter((address) => !isRelayed(address)).map(withoutPeerId))];
}
