// Places for WebSocket clients: so many in all, so many for one address, for as long as a socket lives.
import type { Socket } from 'node:net';
import { clientAddress } from '../server/client-address.ts';

export interface WsPlacesOptions {
  readonly max: number;
  /** Of one IPv4 address, or one /64 of IPv6. */
  readonly maxPerAddress: number;
}

export class WsPlaces {
  private readonly options: WsPlacesOptions;
  private readonly byAddress = new Map<string, number>();
  private taken = 0;

  constructor(options: WsPlacesOptions) {
    this.options = options;
  }

  /** A socket that is gone gets none. */
  take(socket: Socket): 'taken' | 'full' | 'address_full' {
    const { max, maxPerAddress } = this.options;
    if (this.taken >= max || socket.destroyed) return 'full';
    const address = clientAddress(socket.remoteAddress);
    const count = this.byAddress.get(address) ?? 0;
    if (count >= maxPerAddress) return 'address_full';
    this.taken += 1;
    this.byAddress.set(address, count + 1);
    socket.once('close', () => this.free(address));
    return 'taken';
  }

  private free(address: string): void {
    this.taken -= 1;
    const left = (this.byAddress.get(address) ?? 0) - 1;
    if (left > 0) this.byAddress.set(address, left);
    else this.byAddress.delete(address);
  }
}
