// Connections from outside that are still in their handshake. js-libp2p bounds all of them together and gives each 10 s, so one address with silent
// sockets would keep everybody else out; here each address has a part of the places.
import type { Metrics } from '../../../ports/metrics.ts';
import { addressGroup, type RemoteEnd } from './remote-address.ts';

/** All of them. A place costs a socket and some tens of KiB. */
export const MAX_PENDING = 512;
/** Of an IPv4 address, or of the /64 of an IPv6 one: many nodes may stand behind one, and come at once after it was away. */
export const MAX_PENDING_OF_ADDRESS = 64;

/** The socket of a connection that begins; its type keeps the event private. */
interface Socket extends RemoteEnd {
  addEventListener?(type: 'close', listener: () => void, options: { readonly once: boolean }): void;
}

export class PendingInbound {
  /** Who shares a bound -> sockets by their remote address. No more than `MAX_PENDING` in all. */
  private readonly places = new Map<string, Set<string>>();

  constructor(metrics: Metrics) {
    metrics.gauge('teranode_p2p_pending_inbound_connections', 'Connections from outside in their handshake', () =>
      this.size(),
    );
    metrics.gauge(
      'teranode_p2p_pending_inbound_connections_bound',
      'Connections from outside in their handshake at most',
      () => MAX_PENDING,
    );
  }

  /** Takes a place until the handshake is over or the socket closes; false when the address has no more. */
  take(socket: Socket): boolean {
    const key = addressGroup(socket);
    if (key === undefined) return true;
    const sockets = this.places.get(key) ?? new Set();
    if (sockets.size >= MAX_PENDING_OF_ADDRESS) return false;
    this.places.set(key, sockets);
    const address = socketAddress(socket);
    sockets.add(address);
    socket.addEventListener?.('close', () => this.leave(key, address), { once: true });
    return true;
  }

  /** The handshake is over. */
  done(connection: RemoteEnd): void {
    const key = addressGroup(connection);
    if (key !== undefined) this.leave(key, socketAddress(connection));
  }

  private leave(key: string, address: string): void {
    const sockets = this.places.get(key);
    sockets?.delete(address);
    if (sockets?.size === 0) this.places.delete(key);
  }

  size(): number {
    let sum = 0;
    for (const sockets of this.places.values()) sum += sockets.size;
    return sum;
  }
}

/** Address and port, which tell a socket from all others that are open. */
function socketAddress({ remoteAddr }: RemoteEnd): string {
  return remoteAddr.toString().replace(/\/p2p\/.*$/, '');
}
