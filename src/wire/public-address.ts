// Which addresses and names lead to the public internet: one rule for validating URLs and for dialling their hosts.
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * Suffixes of names that are never public (RFC 6761, RFC 6762, RFC 8375, RFC 9476). A name without a dot is not public
 * either.
 */
const PRIVATE_SUFFIXES = ['localhost', 'local', 'internal', 'home.arpa', 'lan', 'test', 'invalid'];
/** The IPv6 addresses that are allocated to networks (RFC 4291, IANA). */
const GLOBAL_UNICAST = ipaddr.IPv6.parse('2000::');
const GLOBAL_UNICAST_BITS = 3;
/** A /64: the holder of one of its addresses has all of them. */
const SITE_PARTS = 4;

/**
 * The host of a URL in lower case, without IPv6 brackets and the final dot. An IPv4-mapped IPv6 address becomes the
 * IPv4 address.
 */
export function plainHost(hostname: string): string {
  const host = hostname
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
  return isIP(host) === 0 ? host : ipaddr.process(host).toString();
}

/**
 * False for texts that are not an address and for every special range: private, loopback, their mapped forms, and so
 * on.
 */
export function isPublicAddress(text: string): boolean {
  if (!ipaddr.isValid(text)) return false;
  const address = ipaddr.process(text);
  if (address.range() !== 'unicast') return false;
  return address instanceof ipaddr.IPv4 || address.match(GLOBAL_UNICAST, GLOBAL_UNICAST_BITS);
}

/**
 * True for addresses and names that cannot be on the public internet. Other names must be checked again once they are
 * resolved.
 */
export function isPrivateHost(host: string): boolean {
  if (ipaddr.isValid(host)) return !isPublicAddress(host);
  if (!host.includes('.')) return true;
  return PRIVATE_SUFFIXES.some((suffix) => host.endsWith(`.${suffix}`));
}

/** Ranges of ipaddr.js that lead to this machine, or stay within a site or a carrier's network. */
const PRIVATE_RANGES: ReadonlySet<string> = new Set([
  'private',
  'loopback',
  'linkLocal',
  'carrierGradeNat',
  'uniqueLocal',
  'deprecatedSiteLocal',
  'unspecified',
]);

/**
 * The ranges that go-p2p-message-bus refuses, fec0::/10, and 0.0.0.0/8 and ::, which reach this machine; also inside
 * NAT64 and 6to4 addresses. Text that is not an IP: true. Looser than `!isPublicAddress`: what is reserved is not
 * private.
 */
export function isPrivateIp(ip: string): boolean {
  return !ipaddr.isValid(ip) || PRIVATE_RANGES.has(reachedIp(ip).range());
}

/** 64:ff9b::/96 and 64:ff9b:1::/48 (RFC 6052, 8215), and ::ffff:0:0:0/96 (RFC 6145). */
const LAST_FOUR_BYTES: ReadonlySet<string> = new Set(['rfc6052', 'rfc6145']);

/**
 * A valid IP as it is, or the IPv4 address within an IPv6 one: mapped, compatible (RFC 4291), or what a gateway
 * translates it to, NAT64 and 6to4 (2002::/16, RFC 3056).
 */
export function reachedIp(text: string): ipaddr.IPv4 | ipaddr.IPv6 {
  const ip = ipaddr.process(text);
  const bytes = ip.toByteArray();
  const range: string = ip.range();
  const isCompatible = range === 'unicast' && bytes.length > 4 && bytes.slice(0, 12).every((byte) => byte === 0);
  if (isCompatible || LAST_FOUR_BYTES.has(range)) return ipaddr.fromByteArray(bytes.slice(12));
  return range === '6to4' ? ipaddr.fromByteArray(bytes.slice(2, 6)) : ip;
}

/** What counts as one machine: an IPv4 address, an IPv6 /64, or a name. */
export function machineOf(host: string): string {
  if (isIP(host) === 0) return host;
  const address = ipaddr.process(host);
  if (address instanceof ipaddr.IPv4) return address.toString();
  return `${address.parts
    .slice(0, SITE_PARTS)
    .map((part) => part.toString(16))
    .join(':')}::/64`;
}
