// Which addresses and names lead to the public internet. One rule for whoever judges a URL, and for whoever dials what it names.
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Names that never lead outside (RFC 6761, RFC 6762, RFC 8375, RFC 9476); a name without a dot does not either. */
const PRIVATE_SUFFIXES = ['localhost', 'local', 'internal', 'home.arpa', 'lan', 'test', 'invalid'];
/** All of IPv6 that is handed out to networks (RFC 4291, IANA). */
const GLOBAL_UNICAST = ipaddr.IPv6.parse('2000::');
const GLOBAL_UNICAST_BITS = 3;
/** One network of an IPv6 site; whoever has one address of it has them all. */
const SITE_PARTS = 4;

/** Host of a URL: lower case, without the brackets of IPv6 and the dot at the end; an IPv4 address in IPv6 is the IPv4 address. */
export function plainHost(hostname: string): string {
  const host = hostname
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
  return isIP(host) === 0 ? host : ipaddr.process(host).toString();
}

/** False for what is no address, and for every range with a purpose of its own: private, loopback, mapped ones of these, and so on. */
export function isPublicAddress(text: string): boolean {
  if (!ipaddr.isValid(text)) return false;
  const address = ipaddr.process(text);
  if (address.range() !== 'unicast') return false;
  return address instanceof ipaddr.IPv4 || address.match(GLOBAL_UNICAST, GLOBAL_UNICAST_BITS);
}

/** True for addresses that are not of the public internet, and for names that cannot be. Other names must be looked at once resolved. */
export function isPrivateHost(host: string): boolean {
  if (ipaddr.isValid(host)) return !isPublicAddress(host);
  if (!host.includes('.')) return true;
  return PRIVATE_SUFFIXES.some((suffix) => host.endsWith(`.${suffix}`));
}

/** What counts as one machine: an IPv4 address, a /64 of IPv6, or a name. */
export function machineOf(host: string): string {
  if (isIP(host) === 0) return host;
  const address = ipaddr.process(host);
  if (address instanceof ipaddr.IPv4) return address.toString();
  return `${address.parts
    .slice(0, SITE_PARTS)
    .map((part) => part.toString(16))
    .join(':')}::/64`;
}
