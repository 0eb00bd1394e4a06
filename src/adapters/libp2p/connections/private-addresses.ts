// Private addresses, which a node on a public network neither dials, accepts, stores nor names to others: other peers name them for machines of
// their own site, or to have this node open connections within its site. What the operator listed is excepted.
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import ipaddr from 'ipaddr.js';
import { LRUCache } from 'lru-cache';
import { isPrivateHost, isPrivateIp } from '../../../wire/public-address.ts';
import { dialledIp } from '../addresses.ts';

/** Of listed names; operators list a handful. */
const MAX_RESOLVED_IPS = 1000;

export class PrivateAddresses {
  private readonly ips = new Set<string>();
  private readonly names = new Set<string>();
  /** Where listed names are. */
  private readonly resolvedIps = new LRUCache<string, true>({ max: MAX_RESOLVED_IPS });

  /** `listed`: multiaddrs of static and bootstrap peers. */
  constructor(listed: readonly string[]) {
    for (const address of listed.map((text) => multiaddr(text))) {
      const ip = dialledIp(address);
      const name = address.getComponents()[0]?.value;
      if (ip !== undefined) this.ips.add(canonical(ip));
      else if (name !== undefined) this.names.add(name);
    }
  }

  /** `name`: the name that was resolved to the IP, if any. */
  refuses(ip: string, name?: string): boolean {
    if (!isPrivateIp(ip)) return false;
    const text = canonical(ip);
    if (name !== undefined && this.names.has(name)) this.resolvedIps.set(text, true);
    return !this.ips.has(text) && !this.resolvedIps.has(text);
  }

  /** Whether the address is not to be stored; of names only those that are never public. */
  refusesAddress(address: Multiaddr): boolean {
    const ip = dialledIp(address);
    if (ip !== undefined) return this.refuses(ip);
    const [host] = address.getComponents();
    if (host?.value === undefined || !host.name.startsWith('dns')) return false;
    return isPrivateHost(host.value.toLowerCase()) && !this.names.has(host.value);
  }
}

/** IPv4 also for an IPv4 address in the form of IPv6. */
function canonical(ip: string): string {
  return ipaddr.process(ip).toString();
}
