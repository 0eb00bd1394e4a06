// Inbound connections whose handshake is not finished. js-libp2p limits their total only and gives each 10 s, so silent
// sockets from one address would keep everybody else out; here each address has a share of the slots.
import type { MessageStreamEvents, TypedEventTarget } from '@libp2p/interface';
import { gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';
import { addressGroup, type RemoteEnd } from './remote-address.ts';

/** Of all addresses. A slot costs a socket and some tens of KiB. */
export const MAX_PENDING = 512;
/** Of one IPv4 address or IPv6 /64: many nodes may share it and return together after it was down. */
export const MAX_PENDING_OF_ADDRESS = 64;

/** The socket of a connection that begins. */
export type InboundSocket = RemoteEnd & Pick<TypedEventTarget<MessageStreamEvents>, 'addEventListener'>;

export class PendingInbound {
  /** Address group -> sockets by their remote address. No more than `MAX_PENDING` in all. */
  private readonly slots = new Map<string, Set<string>>();

  constructor(metrics: Metrics) {
    const name = 'teranode_p2p_pending_inbound_connections';
    const help = 'Inbound connections whose handshake is not finished';
    gaugeWithBound(metrics, { name, help }, () => this.size(), MAX_PENDING);
  }

  /** Takes a slot until the handshake is over or the socket closes; false when the address has no slot left. */
  take(socket: InboundSocket): boolean {
    const group = addressGroup(socket);
    if (group === undefined) return true;
    const sockets = this.slots.get(group) ?? new Set();
    if (sockets.size >= MAX_PENDING_OF_ADDRESS) return false;
    this.slots.set(group, sockets);
    const address = socketAddress(socket);
    sockets.add(address);
    socket.addEventListener('close', () => this.release(group, address), { once: true });
    return true;
  }

  /** The handshake is over. */
  done(connection: RemoteEnd): void {
    const group = addressGroup(connection);
    if (group !== undefined) this.release(group, socketAddress(connection));
  }

  private release(group: string, address: string): void {
    const sockets = this.slots.get(group);
    sockets?.delete(address);
    if (sockets?.size === 0) this.slots.delete(group);
  }

  size(): number {
    let sum = 0;
    for (const sockets of this.slots.values()) sum += sockets.size;
    return sum;
  }
}

/** Address and port, which tell a socket from all others that are open. */
function socketAddress({ remoteAddr }: RemoteEnd): string {
  return remoteAddr.toString().replace(/\/p2p\/.*$/, '');
}
