// Slots of WebSocket clients: a limit in all and a limit per address. A slot is held until the socket closes.
import { BlockList, isIPv4, type Socket } from 'node:net';
import { clientAddress } from '../server/client-address.ts';

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
  private readonly unlimited = new BlockList();
  private taken = 0;

  constructor(options: WsSlotsOptions) {
    this.options = options;
    for (const range of options.unlimitedRanges) {
      const [address = '', bits] = range.split('/');
      this.unlimited.addSubnet(address, Number(bits), familyOf(address));
    }
  }

  /** Takes a slot; a closed socket gets none. */
  take(socket: Socket): 'taken' | 'full' | 'address_full' {
    const { max, maxPerAddress } = this.options;
    if (this.taken >= max || socket.destroyed) return 'full';
    const address = clientAddress(socket.remoteAddress);
    const count = this.byAddress.get(address) ?? 0;
    if (count >= maxPerAddress && !this.isUnlimited(socket.remoteAddress ?? '')) return 'address_full';
    this.taken += 1;
    this.byAddress.set(address, count + 1);
    socket.once('close', () => this.free(address));
    return 'taken';
  }

  /** An IPv4-mapped IPv6 address matches ranges of IPv4. */
  private isUnlimited(remoteAddress: string): boolean {
    return this.unlimited.check(remoteAddress, familyOf(remoteAddress));
  }

  private free(address: string): void {
    this.taken -= 1;
    const left = (this.byAddress.get(address) ?? 0) - 1;
    if (left > 0) this.byAddress.set(address, left);
    else this.byAddress.delete(address);
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv4(address) ? 'ipv4' : 'ipv6';
}
