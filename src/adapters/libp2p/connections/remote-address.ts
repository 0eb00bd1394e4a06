// Where the ends of a connection really are. A connection dialled by name keeps the name as its address; bans are of IPs, so the socket is
// asked, and names resolve to those addresses alone that may be dialled.
import { lookup as resolve } from 'node:dns';
import { isIPv6, type LookupFunction, type Socket } from 'node:net';
import type { Multiaddr } from '@multiformats/multiaddr';
import ipaddr from 'ipaddr.js';
import type { PeerId } from '../../../domain/ids.ts';
import { isRelayed, parseMultiaddr, socketIp, withoutZone } from '../addresses.ts';

/** A connection, or the socket beneath one: its type keeps the latter private. */
export interface RemoteEnd {
  readonly remoteAddr: Pick<Multiaddr, 'toString'>;
  readonly maConn?: unknown;
  readonly socket?: unknown;
}

/** The IP of the other end, without a zone; undefined for what runs through a relay. */
export function remoteIp(end: RemoteEnd): string | undefined {
  const address = parseMultiaddr(end.remoteAddr.toString());
  if (isRelayed(address)) return undefined;
  const ip = socketOf(end)?.remoteAddress;
  return socketIp(address) ?? (ip === undefined ? undefined : withoutZone(ip));
}

/** The multiaddr of our own end, an IPv4 one on a socket for both families too; undefined for what runs through a relay. */
export function localAddress(end: RemoteEnd, ownId: PeerId): string | undefined {
  const { localAddress: ip, localPort: port } = socketOf(end) ?? {};
  if (ip === undefined || port === undefined || isRelayed(parseMultiaddr(end.remoteAddr.toString()))) return undefined;
  const plain = ipaddr.process(withoutZone(ip));
  return `/${plain.kind() === 'ipv4' ? 'ip4' : 'ip6'}/${plain.toString()}/tcp/${port}/p2p/${ownId}`;
}

function socketOf(end: RemoteEnd): Partial<Pick<Socket, 'remoteAddress' | 'localAddress' | 'localPort'>> | undefined {
  return ((end.maConn ?? end) as { readonly socket?: Partial<Socket> }).socket;
}

/** Who shares a bound: an IPv4 address, or the /64 of an IPv6 one; undefined for what comes through a relay. */
export function addressGroup(end: RemoteEnd): string | undefined {
  const ip = remoteIp(end);
  if (ip === undefined) return undefined;
  const parsed = ipaddr.process(ip);
  return parsed.kind() === 'ipv4' ? parsed.toString() : String(parsed.toByteArray().slice(0, 8));
}

/** The multiaddr of the other end with its IP in the place of a name, as far as it is known. */
export function remoteAddress(end: RemoteEnd): string {
  const text = end.remoteAddr.toString();
  const ip = remoteIp(end);
  return ip === undefined ? text : text.replace(/^\/dns[46]?\/[^/]+/, `/${isIPv6(ip) ? 'ip6' : 'ip4'}/${ip}`);
}

/** Resolves names for dials as the system does, leaving out what is refused; an error with code EADDRREFUSED when nothing is left. */
export function allowedLookup(isRefused: (ip: string) => boolean): LookupFunction {
  return (name, options, callback) => {
    resolve(name, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, []);
      const allowed = found.filter(({ address }) => !isRefused(withoutZone(address)));
      const [first] = allowed;
      if (first === undefined) {
        callback(Object.assign(new Error(`no address of ${name} may be dialled`), { code: 'EADDRREFUSED' }), []);
      } else if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}
