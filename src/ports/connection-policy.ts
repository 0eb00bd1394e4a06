// What the P2P node asks before and tells after it connects. The ban system implements it; a node without one connects to anybody.
import type { PeerId } from '../wire/ids.ts';

export interface ConnectionPolicy {
  /** Asked with the socket's IP before any handshake, and for each address that is dialled. */
  refusesAddress(ip: string): boolean;
  /** Asked once the peer id is proven, and before it is dialled. */
  refusesPeer(peerId: PeerId): boolean;
  /** A connection is open. `ip` is the socket's; undefined when it runs through a relay. */
  connectionOpened(peerId: PeerId, ip: string | undefined): void;
  /** A neighbour sent bytes that are no frame of gossip. */
  brokenFrame(peerId: PeerId): void;
}
