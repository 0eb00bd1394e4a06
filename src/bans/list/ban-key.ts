// Parses what a ban is of into its canonical key. However an address is written (IPv4-mapped, with a port or zone, with
// host bits), it has one key; otherwise a ban of one spelling would not apply to another.

import type { BanKey } from '../../domain/ban.ts';
import type { PeerId } from '../../domain/ids.ts';
import { P2PError } from '../../lib/errors.ts';
import { formatIp, type IpAddress, parseIp } from '../../lib/ip.ts';
import { parsePeerId } from '../../wire/peer-id.ts';

/** The key of an address or a subnet. */
export type IpKey = Exclude<BanKey, { readonly kind: 'peer' }>;

const MAX_CHARS = 128;
const MAPPED_BITS = 96;
const MAX_PORT = 65_535;

/** Parses an IP, a CIDR, `host:port` with an IP as host, or a peer ID; undefined for anything else. */
export function parseBanKey(text: string): BanKey | undefined {
  if (text.length > MAX_CHARS) return undefined;
  const trimmed = text.trim();
  const slash = trimmed.indexOf('/');
  if (slash >= 0) return subnetKey(trimmed.slice(0, slash), trimmed.slice(slash + 1));
  const ip = parseIp(withoutZone(withoutPort(trimmed)));
  if (ip !== undefined) return addressKey(ip);
  const peerId = parsePeerId(trimmed);
  return peerId === undefined ? undefined : peerKey(peerId);
}

/** As {@link parseBanKey}; throws INPUT_INVALID for anything else. */
export function checkedBanKey(text: string): BanKey {
  const key = parseBanKey(text);
  if (key !== undefined) return key;
  const given = text.slice(0, MAX_CHARS);
  const expected = 'an IP, a subnet such as 192.0.2.0/24, host:port with an IP as host, or a peer ID such as 12D3Koo…';
  throw new P2PError('INPUT_INVALID', `invalid ban subject ${JSON.stringify(given)} (expected ${expected})`, {
    details: { given },
  });
}

export function peerKey(peerId: PeerId): BanKey {
  return { kind: 'peer', key: peerId };
}

/** Removes the port of `1.2.3.4:9905` and `[2001:db8::1]:9905`; returns anything else unchanged. */
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

/** `fe80::1` for `fe80::1%eth0`: a zone names a link of one machine and is not part of the address. */
function withoutZone(text: string): string {
  return /^([0-9a-f:.]*:[0-9a-f:.]*)%[\w.~-]+$/i.exec(text)?.[1] ?? text;
}

/** The IP at the start of a multiaddr, without its zone; undefined for host names and circuit relay addresses. */
export function ipOfMultiaddr(address: string): string | undefined {
  if (address.includes('/p2p-circuit')) return undefined;
  const ip = /^(?:\/ip6zone\/[^/]+)?\/ip[46]\/([^/]+)/.exec(address)?.[1];
  return ip === undefined ? undefined : withoutZone(ip);
}

/** The IP at the start of a multiaddr, parsed; undefined as for {@link ipOfMultiaddr}. */
export function socketIp(address: string): IpAddress | undefined {
  const text = ipOfMultiaddr(address);
  return text === undefined ? undefined : parseIp(text);
}

/** Whether an address or subnet covers an IP. */
export function covers({ ip, prefix }: IpKey, other: IpAddress): boolean {
  if (ip.family === 4) return other.family === 4 && maskedV4(other.bits, prefix) === ip.bits;
  return other.family === 6 && maskedV6(other.groups, prefix) === ip.groups;
}

/** The key of a single IP. */
export function addressKey(ip: IpAddress): IpKey {
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

/** The address with all bits after the prefix cleared. */
export function masked(ip: IpAddress, prefix: number): IpAddress {
  if (ip.family === 4) return { family: 4, bits: maskedV4(ip.bits, prefix) };
  return { family: 6, groups: maskedV6(ip.groups, prefix) };
}

export function maskedV4(bits: number, prefix: number): number {
  return prefix === 0 ? 0 : (bits & (0xffff_ffff << (32 - prefix))) >>> 0;
}

/** Works on eight 16-bit groups, each a character of a string, which makes them usable as a key of a map. */
export function maskedV6(groups: string, prefix: number): string {
  const whole = prefix >> 4;
  const rest = prefix & 15;
  if (whole === 8) return groups;
  const partial = rest === 0 ? 0 : groups.charCodeAt(whole) & (0xffff << (16 - rest)) & 0xffff;
  return groups.slice(0, whole) + String.fromCharCode(partial) + '\0'.repeat(7 - whole);
}
