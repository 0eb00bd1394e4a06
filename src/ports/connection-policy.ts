// What the P2P node asks before it connects and tells after. The ban system implements it; a node without one connects
// to anybody.
import type { PeerId } from '../domain/ids.ts';

export interface ConnectionPolicy {
  /** Asked with the socket's IP before any handshake, and for each IP that is dialled. */
  refusesAddress(ip: string): boolean;
  /** Asked before a peer is dialled, and once the id of one that came is proven. */
  refusesPeer(peerId: PeerId): boolean;
  /** A connection is open. `ip` is the socket's own; undefined when it runs through a relay. */
  connectionOpened(peerId: PeerId, ip: string | undefined): void;
  /** A neighbour sent what it alone can have written, and no honest one does: bytes that are no frame. */
  brokenFrame(peerId: PeerId): void;
}
