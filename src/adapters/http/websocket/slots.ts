// Slots of WebSocket clients: a limit in all and a limit per address. A slot is held until the socket closes.
import type { Socket } from 'node:net';
import { AddressRanges, addressGroup } from '../../listeners/client-address.ts';

export interface WsSlotsOptions {
  readonly max: number;
  /** Per IPv4 address, or /64 of IPv6. */
  readonly maxPerAddress: number;
  /** Address ranges such as 10.0.0.0/8, without a limit per address. */
  readonly unlimitedRanges: readonly string[];
}

export class WsSlots {
  private readonly options: WsSlotsOptions;
  private readonly byAddress = new Map<string, number>();
  private readonly unlimited: AddressRanges;
  private taken = 0;

  constructor(options: WsSlotsOptions) {
    this.options = options;
    this.unlimited = new AddressRanges(options.unlimitedRanges);
  }

  /** Takes a slot for a client's address; a closed socket gets none. */
  take(socket: Socket, ip: string | undefined): 'taken' | 'full' | 'address_full' {
    const { max, maxPerAddress } = this.options;
    if (this.taken >= max || socket.destroyed) return 'full';
    const address = addressGroup(ip);
    const count = this.byAddress.get(address) ?? 0;
    if (count >= maxPerAddress && !this.unlimited.has(ip)) return 'address_full';
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
