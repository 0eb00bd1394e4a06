// Decides which connections a P2P node accepts. The ban service implements it; a node without a policy connects to
// every peer.
import type { PeerId } from '../domain/ids.ts';

export interface ConnectionPolicy {
  /** Called with the socket's IP before any handshake, and with each IP before it is dialled. */
  refusesAddress(ip: string): boolean;
  /** Called before a peer is dialled, and once the ID of an inbound peer is proven. */
  refusesPeer(peerId: PeerId): boolean;
  /** A connection was opened. `ip` is the socket's; undefined for a connection through a circuit relay. */
  connectionOpened(peerId: PeerId, ip: string | undefined): void;
  /**
   * A direct peer sent an RPC that cannot be decoded. It is responsible itself: RPCs are not forwarded, unlike
   * messages.
   */
  malformedRpc(peerId: PeerId): void;
}
