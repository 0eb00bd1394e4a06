// Slots of WebSocket clients: a limit in all and a limit per address. A slot is held until the socket closes.
import type { Socket } from 'node:net';
import { clientAddress } from '../server/client-address.ts';

export interface WsSlotsOptions {
  readonly max: number;
  /** Per IPv4 address, or /64 of IPv6. */
  readonly maxPerAddress: number;
}

export class WsSlots {
  private readonly options: WsSlotsOptions;
  private readonly byAddress = new Map<string, number>();
  private taken = 0;

  constructor(options: WsSlotsOptions) {
    this.options = options;
  }

  /** Takes a slot; a closed socket gets none. */
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
