// Settings that are IPs, domain names and ports, turned into multiaddrs; and which of our own addresses others may hear of.
import { isIPv4, isIPv6 } from 'node:net';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import ipaddr from 'ipaddr.js';
import { P2PError } from '../../errors.ts';

/** An IP of `p2p_listen_addresses` with the port. Throws ADDRESS_INVALID. */
export function listenMultiaddr(ip: string, port: number): string {
  const bare = ip.replace(/^\[(.*)\]$/, '$1');
  if (isIPv4(bare)) return `/ip4/${bare}/tcp/${port}`;
  if (isIPv6(bare)) return `/ip6/${bare}/tcp/${port}`;
  throw new P2PError('ADDRESS_INVALID', 'p2p_listen_addresses takes IPv4 and IPv6 addresses', {
    details: { address: ip },
  });
}

/** `1.2.3.4`, `[2001:db8::1]:9905`, `node.example:8001`; without a port the default one (spec `p2p_advertise_addresses`). */
export function advertiseMultiaddr(address: string, defaultPort: number): string {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(address.trim());
  const whole = address.trim();
  const host = isIPv6(whole) ? whole : (match?.[1] ?? match?.[2]);
  const port = isIPv6(whole) || match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new P2PError('ADDRESS_INVALID', 'an advertised address is host or host:port', { details: { address } });
  }
  if (isIPv4(host)) return `/ip4/${host}/tcp/${port}`;
  if (isIPv6(host)) return `/ip6/${host}/tcp/${port}`;
  return `/dns/${host}/tcp/${port}`;
}

/**
 * Advertised addresses of a node that was given port 0: one without a port has that of the first listener of its family, a name that of the
 * first. Empty before anything is bound.
 */
export function advertisedOnBoundPort(addresses: readonly string[], bound: readonly Multiaddr[]): Multiaddr[] {
  const listeners = bound.flatMap((address) => {
    const [host, transport] = address.getComponents();
    const port = Number(transport?.value);
    return transport?.name === 'tcp' && port > 0 ? { family: host?.name, port } : [];
  });
  const [first] = listeners;
  if (first === undefined) return [];
  return addresses.map((address) => {
    const [host] = multiaddr(advertiseMultiaddr(address, first.port)).getComponents();
    const own = listeners.find(({ family }) => family === host?.name) ?? first;
    return multiaddr(advertiseMultiaddr(address, own.port));
  });
}

/** True for what only this machine or this site can reach; domain names are public. */
export function isPrivateMultiaddr(address: Multiaddr): boolean {
  const first = address.getComponents()[0];
  if (first?.value === undefined || (first.name !== 'ip4' && first.name !== 'ip6')) return false;
  return !ipaddr.isValid(first.value) || ipaddr.process(first.value).range() !== 'unicast';
}

/** The IP of the socket behind an address; undefined for names, and for what runs through a relay. */
export function socketIp(address: Multiaddr): string | undefined {
  const components = address.getComponents();
  if (components.some(({ name }) => name === 'p2p-circuit')) return undefined;
  const first = components[0];
  return first?.name === 'ip4' || first?.name === 'ip6' ? first.value : undefined;
}

/** The peer id that a multiaddr ends with, if any. */
export function peerIdOf(address: Multiaddr): string | undefined {
  const components = address.getComponents();
  const last = components[components.length - 1];
  return last?.name === 'p2p' ? last.value : undefined;
}

/** The address ending with this peer's id; undefined for what leads nowhere or to another peer. */
export function withPeerId(address: string, peerId: string): string | undefined {
  try {
    const parsed = multiaddr(address);
    const first = parsed.getComponents()[0];
    if (first === undefined || first.name === 'p2p') return undefined;
    const named = peerIdOf(parsed);
    if (named !== undefined && named !== peerId) return undefined;
    const whole = named === undefined ? parsed.encapsulate(`/p2p/${peerId}`) : parsed;
    // Only its bytes are wholly parsed: ports, and the id itself.
    return whole.bytes.byteLength > 0 ? whole.toString() : undefined;
  } catch {
    return undefined;
  }
}

/** Parses a multiaddr from settings, a file or a peer. Throws ADDRESS_INVALID. */
export function parseMultiaddr(text: string): Multiaddr {
  try {
    return multiaddr(text);
  } catch (cause) {
    throw new P2PError('ADDRESS_INVALID', 'no multiaddr', { details: { address: text.slice(0, 200) }, cause });
  }
}
