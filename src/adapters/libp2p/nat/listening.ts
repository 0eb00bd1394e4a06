// Where the node listens, and which of it is announced. js-libp2p announces a public address once AutoNAT has reached
// it; a node without AutoNAT, or without peers that test, would never announce the address that it listens on.
import type { DCUtRServiceComponents } from '@libp2p/dcutr';
import type { PeerId } from '@libp2p/interface';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { isPrivateMultiaddr, isRelayed, peerIdOf, withoutPeerId } from '../addresses.ts';

type AddressManager = DCUtRServiceComponents['addressManager'];

interface ListeningComponents {
  readonly peerId: PeerId;
  readonly peerStore: Pick<DCUtRServiceComponents['peerStore'], 'patch'>;
  readonly transportManager: { getAddrs(): Multiaddr[]; listen(addresses: Multiaddr[]): Promise<void> };
  readonly addressManager: AddressManager;
}

export class Listening {
  /** Public addresses that AutoNAT found unreachable. */
  readonly unreachable = new Set<string>();
  /** Called with an address that the router is about to forward: what was found about it is void. */
  mapped: (address: string) => void = () => {};
  private components: ListeningComponents | undefined;

  /** The service of a libp2p node through which the components are known. */
  service() {
    return (components: ListeningComponents): Listening => {
      this.components = components;
      return this;
    };
  }

  get addressManager(): AddressManager {
    if (this.components === undefined) throw new Error('the libp2p node is not built');
    return this.components.addressManager;
  }

  /** Addresses that the transports listen on, with their real ports; not the announced addresses. */
  bound(): readonly Multiaddr[] {
    return this.components?.transportManager.getAddrs() ?? [];
  }

  /** Reserves a slot at a relay that this node is connected to, and at another when that one is lost. */
  async reserveRelay(): Promise<void> {
    await this.components?.transportManager.listen([multiaddr('/p2p-circuit')]);
  }

  /** Tells connected peers, where identify push is on, after `unreachable` has changed. */
  async announce(): Promise<void> {
    if (this.components === undefined) return;
    const { peerId, peerStore, addressManager } = this.components;
    const multiaddrs = addressManager.getAddresses().map((address) => multiaddr(withoutPeerId(address)));
    await peerStore.patch(peerId, { multiaddrs });
  }

  /** What is announced: `verified`, and the public addresses that are listened on and not known to be unreachable. */
  announced(verified: readonly Multiaddr[], ownId: string): Multiaddr[] {
    const known = new Set(verified.map(String));
    const untested = this.bound().flatMap((address) => {
      if (isPrivateMultiaddr(address) || isRelayed(address) || this.unreachable.has(address.toString())) return [];
      const whole = peerIdOf(address) === undefined ? address.encapsulate(`/p2p/${ownId}`) : address;
      return known.has(whole.toString()) ? [] : [whole];
    });
    return [...verified, ...untested];
  }
}
