// Addresses that the operator listed or asked to connect to, and their names. All others are claims of peers.
import type { Multiaddr } from '@multiformats/multiaddr';
import { LRUCache } from 'lru-cache';

/** Of either kind; those used longest ago are forgotten. */
const MAX_ADDRESSES = 2000;
const NAMES: ReadonlySet<string> = new Set(['dns', 'dns4', 'dns6']);

export class OperatorAddresses {
  private readonly addresses = new LRUCache<string, true>({ max: MAX_ADDRESSES });
  private readonly names = new LRUCache<string, true>({ max: MAX_ADDRESSES });

  add(address: Multiaddr): void {
    this.addresses.set(address.toString(), true);
    const [host] = address.getComponents();
    if (host?.value !== undefined && NAMES.has(host.name)) this.names.set(host.value, true);
  }

  /** Whether it is this very address, with the same peer ID or none: others may be claimed at the same machine. */
  has(address: Multiaddr): boolean {
    return this.addresses.get(address.toString()) === true;
  }

  hasName(name: string): boolean {
    return this.names.get(name) === true;
  }
}
