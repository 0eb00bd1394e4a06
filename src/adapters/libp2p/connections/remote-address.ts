// Where the two ends of a connection are. Its remote address is an IP, also when it was dialled by name
// (named-dials.ts), unless it is relayed.
import type { Multiaddr } from '@multiformats/multiaddr';
import ipaddr from 'ipaddr.js';
import type { PeerId } from '../../../domain/ids.ts';
import { isRelayed, parseMultiaddr, socketIp, withoutZone } from '../addresses.ts';

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
  if (ip === undefined) return undefined;
  const parsed = ipaddr.process(ip);
  return parsed.kind() === 'ipv4' ? parsed.toString() : String(parsed.toByteArray().slice(0, 8));
}
