// Multiaddrs: made from settings that are IPs, domain names and ports, parsed, and asked for IPs and peer IDs.
import { isIPv4, isIPv6 } from 'node:net';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import ipaddr from 'ipaddr.js';
import { P2PError } from '../../lib/errors.ts';
import { parsePeerId } from '../../wire/peer-id.ts';

/** Components that name a host. */
const HOSTS: ReadonlySet<string> = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6']);

/** An IP of `p2p_listen_addresses` with the port. Throws ADDRESS_INVALID. */
export function listenMultiaddr(ip: string, port: number): string {
  const bare = ip.replace(/^\[(.*)\]$/, '$1');
  if (isIPv4(bare)) return `/ip4/${bare}/tcp/${port}`;
  if (isIPv6(bare)) return `/ip6/${bare}/tcp/${port}`;
  throw new P2PError(
    'ADDRESS_INVALID',
    `invalid address "${ip.slice(0, 100)}" in p2p_listen_addresses (expected an IPv4 or IPv6 address)`,
    {
      details: { address: ip },
    },
  );
}

/**
 * `1.2.3.4`, `[2001:db8::1]:9905`, `node.example:8001`; without a port the default one (spec
 * `p2p_advertise_addresses`). Or a multiaddr, which begins with `/`.
 */
export function advertiseMultiaddr(address: string, defaultPort: number): string {
  const whole = address.trim();
  if (whole.startsWith('/')) return advertisedMultiaddr(whole);
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(whole);
  const host = isIPv6(whole) ? whole : (match?.[1] ?? match?.[2]);
  const port = isIPv6(whole) || match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new P2PError(
      'ADDRESS_INVALID',
      `invalid address "${address.slice(0, 100)}" in p2p_advertise_addresses (expected host, host:port or a multiaddr)`,
      { details: { address } },
    );
  }
  if (isIPv4(host)) return `/ip4/${host}/tcp/${port}`;
  if (isIPv6(host)) return `/ip6/${host}/tcp/${port}`;
  return `/dns/${host}/tcp/${port}`;
}

/** Without a peer ID at its end: libp2p adds this node's. Throws ADDRESS_INVALID. */
function advertisedMultiaddr(text: string): string {
  try {
    return withoutPeerId(dialMultiaddr(text));
  } catch (cause) {
    throw new P2PError(
      'ADDRESS_INVALID',
      `invalid address "${text.slice(0, 100)}" in p2p_advertise_addresses (expected e.g. /dns4/node.example/tcp/9905)`,
      { details: { address: text.slice(0, 200) }, cause },
    );
  }
}

/**
 * Advertised addresses of a node with port 0. An address without a port gets the port of the first listener of its IP
 * family, a name that of the first listener. Empty before anything is bound.
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

/** True for addresses that only this machine or site can reach; domain names count as public. */
export function isPrivateMultiaddr(address: Multiaddr): boolean {
  const ip = firstIp(address);
  return ip !== undefined && (!ipaddr.isValid(ip) || ipaddr.process(ip).range() !== 'unicast');
}

/** The IP that a dial of the address goes to, the relay's for relayed addresses; undefined for names. */
export function dialledIp(address: Multiaddr): string | undefined {
  const ip = firstIp(address);
  return ip === undefined ? undefined : withoutZone(ip);
}

/** The IP of the socket behind an address, without a zone; undefined for names and for relayed addresses. */
export function socketIp(address: Multiaddr): string | undefined {
  return isRelayed(address) ? undefined : dialledIp(address);
}

export function isRelayed(address: Multiaddr): boolean {
  return address.getComponents().some(({ name }) => name === 'p2p-circuit');
}

/** `fe80::1` of `fe80::1%eth0`: a zone is this machine's name for a link, not a part of the address. */
export function withoutZone(ip: string): string {
  const zone = ip.indexOf('%');
  return zone < 0 ? ip : ip.slice(0, zone);
}

function firstIp(address: Multiaddr): string | undefined {
  const [zone, ...rest] = address.getComponents();
  const first = zone?.name === 'ip6zone' ? rest[0] : zone;
  return first?.name === 'ip4' || first?.name === 'ip6' ? first.value : undefined;
}

/** The peer ID that a multiaddr ends with, if any. */
export function peerIdOf(address: Multiaddr): string | undefined {
  const components = address.getComponents();
  const last = components[components.length - 1];
  return last?.name === 'p2p' ? last.value : undefined;
}

/** The text of the address without the peer ID at its end. */
export function withoutPeerId(address: Multiaddr): string {
  const peerId = peerIdOf(address);
  const text = address.toString();
  return peerId === undefined ? text : text.slice(0, -`/p2p/${peerId}`.length);
}

/**
 * Of a text that a file or a peer gave: fits a domain name, a relay's ID and the peer's own. The time to decode an ID
 * grows with the square of its length, and is 50 ms for 8,000 characters.
 */
const MAX_ADDRESS_CHARS = 512;

/**
 * The address with this peer's ID at its end; undefined for invalid addresses, those of another peer, and those of more
 * than 512 characters.
 */
export function withPeerId(address: string, peerId: string): string | undefined {
  if (address.length > MAX_ADDRESS_CHARS) return undefined;
  try {
    const parsed = multiaddr(address);
    const first = parsed.getComponents()[0];
    if (first === undefined || first.name === 'p2p') return undefined;
    const named = peerIdOf(parsed);
    if (named !== undefined && named !== peerId) return undefined;
    const whole = named === undefined ? parsed.encapsulate(`/p2p/${peerId}`) : parsed;
    // Only the bytes are parsed completely, ports and the ID included.
    return whole.bytes.byteLength > 0 ? whole.toString() : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Parses an address to dial: an IP or a name with a TCP port, or a peer behind a relay, with complete IDs. Throws
 * ADDRESS_INVALID.
 */
export function dialMultiaddr(text: string): Multiaddr {
  const address = parseMultiaddr(text);
  if (isWhole(address) && isDialled(address.getComponents().map(({ name, value }) => ({ name, value }))))
    return address;
  throw new P2PError(
    'ADDRESS_INVALID',
    `invalid address "${text.slice(0, 100)}" (expected host and TCP port, e.g. /ip4/192.0.2.1/tcp/9905/p2p/12D3Koo…)`,
    {
      details: { address: text.slice(0, 200) },
    },
  );
}

/** Only the bytes are parsed completely: the text alone may hold invalid ports and IPs. */
function isWhole(address: Multiaddr): boolean {
  try {
    return address.bytes.byteLength > 0;
  } catch {
    return false;
  }
}

/** As bytes have it: @multiformats/multiaddr takes NaN for port 0. */
const PORT = /^[1-9]\d{0,4}$/;

type Component = { readonly name: string; readonly value: string | undefined };

/** Host, port and perhaps an ID; behind a relay an ID alone is enough. */
function isDialled(components: readonly Component[]): boolean {
  const relayAt = components.findIndex(({ name }) => name === 'p2p-circuit');
  if (relayAt >= 0) {
    const [target, ...more] = components.slice(relayAt + 1);
    return isDialled(components.slice(0, relayAt)) && target !== undefined && isPeer(target) && more.length === 0;
  }
  const [host, ...rest] = components[0]?.name === 'ip6zone' ? components.slice(1) : components;
  if (host?.name === 'dnsaddr') return rest.every(isPeer) && rest.length <= 1;
  const [port, ...peer] = rest;
  const isHost = host !== undefined && HOSTS.has(host.name);
  return isHost && port?.name === 'tcp' && PORT.test(port.value ?? '') && peer.every(isPeer) && peer.length <= 1;
}

function isPeer({ name, value = '' }: Component): boolean {
  return name === 'p2p' && parsePeerId(value) !== undefined;
}

/** Parses a multiaddr from settings, a file or a peer. Throws ADDRESS_INVALID. */
export function parseMultiaddr(text: string): Multiaddr {
  try {
    return multiaddr(text);
  } catch (cause) {
    throw new P2PError(
      'ADDRESS_INVALID',
      `invalid multiaddr "${text.slice(0, 100)}" (expected e.g. /ip4/192.0.2.1/tcp/9905)`,
      { details: { address: text.slice(0, 200) }, cause },
    );
  }
}
