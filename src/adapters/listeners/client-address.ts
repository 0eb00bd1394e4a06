// Whose limits a request counts towards: an IPv4 address, or the /64 of an IPv6 address, because anyone has many
// addresses within a /64. Behind trusted proxies the address that they forward counts, elsewhere nothing that a client
// sends.
import { BlockList, isIPv4 } from 'node:net';
import { formatIp, isLoopback, parseIp } from '../../lib/ip.ts';

/** Header of HTTP with the addresses that a request passed, the latest last. */
const FORWARDED_FOR = 'x-forwarded-for';
const GROUPS_OF_64 = 4;

/** Canonical text; empty for a closed connection. A text that is no address stands for itself. */
export function addressGroup(remoteAddress: string | undefined): string {
  if (remoteAddress === undefined) return '';
  const ip = parseIp(withoutZone(remoteAddress));
  if (ip === undefined) return remoteAddress;
  if (ip.family === 4) return formatIp(ip);
  return `${formatIp({ family: 6, groups: ip.groups.slice(0, GROUPS_OF_64).padEnd(8, '\0') })}/64`;
}

export function isLoopbackAddress(remoteAddress: string | undefined): boolean {
  return isLoopback(parseIp(remoteAddress ?? ''));
}

/** Ranges of addresses such as 10.0.0.0/8. An IPv4-mapped IPv6 address matches ranges of IPv4. */
export class AddressRanges {
  private readonly list = new BlockList();

  constructor(ranges: readonly string[]) {
    for (const range of ranges) {
      const [address = '', bits] = range.split('/');
      this.list.addSubnet(address, Number(bits), familyOf(address));
    }
  }

  has(address: string | undefined): boolean {
    return address !== undefined && this.list.check(withoutZone(address), familyOf(address));
  }
}

/** What is needed of a request: its socket and its headers. */
export interface Addressed {
  readonly socket: { readonly remoteAddress?: string | undefined };
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/**
 * The client's address: that of the socket, or, when the socket is that of a trusted proxy, the last address of
 * X-Forwarded-For that is not a trusted proxy's. What stands before it, the client may have invented.
 */
export function clientIp(request: Addressed, proxies: AddressRanges): string | undefined {
  let address = request.socket.remoteAddress;
  if (!proxies.has(address)) return address;
  for (const hop of hops(request.headers[FORWARDED_FOR])) {
    if (parseIp(hop) === undefined) return address;
    address = hop;
    if (!proxies.has(address)) return address;
  }
  return address;
}

/** Latest first, without ports and brackets, which some proxies add. */
function hops(header: string | string[] | undefined): string[] {
  const texts = [header ?? []].flat().join(',').split(',').reverse();
  return texts.map((text) =>
    text
      .trim()
      .replace(/^\[([^\]]*)\](?::\d+)?$/, '$1')
      .replace(/^([\d.]+):\d+$/, '$1'),
  );
}

function withoutZone(address: string): string {
  return address.replace(/%.*$/, '');
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv4(address) ? 'ipv4' : 'ipv6';
}
