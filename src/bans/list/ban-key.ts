// The canonical form of what can be banned. However an address is written (mapped, with a port or zone, unmasked), there is one key for it; else
// a ban by one spelling would not hold for another.

import type { PeerId } from '../../domain/ids.ts';
import { formatIp, type IpAddress, parseIp } from '../../lib/ip.ts';
import type { BanKind } from '../../ports/ban-store.ts';
import { parsePeerId } from '../../wire/peer-id.ts';

export type BanKey =
  | { readonly kind: 'peer'; readonly key: PeerId }
  | {
      readonly kind: Exclude<BanKind, 'peer'>;
      readonly key: string;
      readonly ip: IpAddress;
      /** Bits that count; 32 or 128 for one address. */
      readonly prefix: number;
    };

const MAX_CHARS = 128;
const MAPPED_BITS = 96;
const MAX_PORT = 65_535;

/** An IP, a CIDR, `host:port` with an IP as host, or a peer id; undefined for anything else. */
export function parseBanKey(text: string): BanKey | undefined {
  if (text.length > MAX_CHARS) return undefined;
  const trimmed = text.trim();
  const slash = trimmed.indexOf('/');
  if (slash >= 0) return subnetKey(trimmed.slice(0, slash), trimmed.slice(slash + 1));
  const ip = parseIp(withoutZone(withoutPort(trimmed)));
  if (ip !== undefined) return addressKey(ip);
  const peerId = parsePeerId(trimmed);
  return peerId === undefined ? undefined : { kind: 'peer', key: peerId };
}

/** `1.2.3.4:9905` and `[2001:db8::1]:9905` without their ports; anything else as it is. */
export function withoutPort(text: string): string {
  if (text.startsWith('[')) {
    const [, host, port = '0'] = /^\[([^\]]*)\](?::(\d{1,5}))?$/.exec(text) ?? [];
    return host !== undefined && isPort(port) ? host : text;
  }
  const colon = text.indexOf(':');
  const isLone = colon > 0 && text.indexOf(':', colon + 1) < 0;
  return isLone && isPort(text.slice(colon + 1)) ? text.slice(0, colon) : text;
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) <= MAX_PORT;
}

/** `fe80::1` of `fe80::1%eth0`: a zone is one machine's name of a link, and nothing of the address. */
function withoutZone(text: string): string {
  return /^([0-9a-f:.]*:[0-9a-f:.]*)%[\w.~-]+$/i.exec(text)?.[1] ?? text;
}

/** The IP at the beginning of a multiaddr, without its zone; undefined for names and for what runs through a relay. */
export function ipOfMultiaddr(address: string): string | undefined {
  if (address.includes('/p2p-circuit')) return undefined;
  const ip = /^(?:\/ip6zone\/[^/]+)?\/ip[46]\/([^/]+)/.exec(address)?.[1];
  return ip === undefined ? undefined : withoutZone(ip);
}

function addressKey(ip: IpAddress): BanKey {
  return { kind: 'address', key: formatIp(ip), ip, prefix: ip.family === 4 ? 32 : 128 };
}

function subnetKey(address: string, bits: string): BanKey | undefined {
  if (!/^(?:0|[1-9]\d{0,2})$/.test(bits)) return undefined;
  const parsed = parseIp(withoutZone(address.replace(/^\[(.*)\]$/, '$1')));
  if (parsed === undefined) return undefined;
  const isMapped = parsed.family === 4 && address.includes(':');
  const prefix = Number(bits) - (isMapped ? MAPPED_BITS : 0);
  const width = parsed.family === 4 ? 32 : 128;
  if (prefix < 0 || prefix > width) return undefined;
  if (prefix === width) return addressKey(parsed);
  const ip = masked(parsed, prefix);
  return { kind: 'subnet', key: `${formatIp(ip)}/${prefix}`, ip, prefix };
}

/** The address with all bits behind the prefix cleared. */
export function masked(ip: IpAddress, prefix: number): IpAddress {
  if (ip.family === 4) return { family: 4, bits: maskedV4(ip.bits, prefix) };
  return { family: 6, groups: maskedV6(ip.groups, prefix) };
}

export function maskedV4(bits: number, prefix: number): number {
  return prefix === 0 ? 0 : (bits & (0xffff_ffff << (32 - prefix))) >>> 0;
}

/** Eight 16-bit groups as the characters of a string, which makes them a key of a map. */
export function maskedV6(groups: string, prefix: number): string {
  const whole = prefix >> 4;
  const rest = prefix & 15;
  if (whole === 8) return groups;
  const partial = rest === 0 ? 0 : groups.charCodeAt(whole) & (0xffff << (16 - rest)) & 0xffff;
  return groups.slice(0, whole) + String.fromCharCode(partial) + '\0'.repeat(7 - whole);
}
