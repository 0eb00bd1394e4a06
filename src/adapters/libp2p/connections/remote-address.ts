// Where the two ends of a connection are. Its remote address is an IP, also when it was dialled by name
// (named-dials.ts), unless it is relayed.
import type { Multiaddr } from '@multiformats/multiaddr';
import ipaddr from 'ipaddr.js';
import type { PeerId } from '../../../domain/ids.ts';
import { reachedIp } from '../../../wire/public-address.ts';
import { dialledIp, isRelayed, parseMultiaddr, socketIp, withoutZone } from '../addresses.ts';

/** A connection, or the socket beneath one. */
export interface RemoteEnd {
  readonly remoteAddr: Pick<Multiaddr, 'toString'>;
}

/** IP of the other end, without a zone; undefined for relayed connections, and for a name. */
export function remoteIp(end: RemoteEnd): string | undefined {
  return socketIp(parseMultiaddr(end.remoteAddr.toString()));
}

/** True when bans of addresses cannot be checked: neither an IP is known nor is the connection relayed. */
export function isUnlocated(end: RemoteEnd): boolean {
  return remoteIp(end) === undefined && !isRelayed(parseMultiaddr(end.remoteAddr.toString()));
}

/** The multiaddr of our own end, IPv4 also on a socket for both families; undefined for relayed connections. */
export function localAddress(
  end: RemoteEnd,
  local: { readonly localAddress?: string | undefined; readonly localPort?: number | undefined } | undefined,
  ownId: PeerId,
): string | undefined {
  const { localAddress: ip, localPort: port } = local ?? {};
  if (ip === undefined || port === undefined || isRelayed(parseMultiaddr(end.remoteAddr.toString()))) return undefined;
  const plain = ipaddr.process(withoutZone(ip));
  return `/${plain.kind() === 'ipv4' ? 'ip4' : 'ip6'}/${plain.toString()}/tcp/${port}/p2p/${ownId}`;
}

/** Who shares limits: an IPv4 address, or the /64 of an IPv6 address; undefined for relayed connections. */
export function addressGroup(end: RemoteEnd): string | undefined {
  const ip = remoteIp(end);
  return ip === undefined ? undefined : ipGroup(ip);
}

/** An IPv4 address has one group, also inside an IPv6 address that a gateway translates. */
function ipGroup(ip: string): string {
  const parsed = reachedIp(ip);
  return parsed.kind() === 'ipv4' ? parsed.toString() : String(parsed.toByteArray().slice(0, 8));
}

/**
 * Who receives a dial of the address: a group of IPs, also for relayed addresses, or a registered domain, whose names
 * one owner can point anywhere.
 */
export function machineGroup(address: Multiaddr): string {
  const ip = dialledIp(address);
  if (ip !== undefined && ipaddr.isValid(ip)) return ipGroup(ip);
  const name = ip ?? address.getComponents()[0]?.value ?? '';
  return name.toLowerCase().split('.').filter(Boolean).slice(-2).join('.');
}

/** The same; undefined for this machine. */
export function dialGroup(address: Multiaddr): string | undefined {
  const ip = dialledIp(address);
  const isHere = ip !== undefined && (!ipaddr.isValid(ip) || reachedIp(ip).range() === 'loopback');
  return isHere ? undefined : machineGroup(address);
}
