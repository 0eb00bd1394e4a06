// Which wires this server speaks. `p2p_wire` decides; where it is unset, settings that only nodes since October 2025
// have mean message-bus.
import { isLoopback, parseIp } from '../lib/ip.ts';
import type { WireName } from '../wire/format.ts';
import { isPrivateIp, plainHost } from '../wire/public-address.ts';
import type { Settings } from './schema.ts';

export interface WireChoice {
  /** The newer one first. */
  readonly names: readonly WireName[];
  /** For people. */
  readonly reason: string;
}

const OF_MESSAGE_BUS = ['p2p_bootstrap_peers', 'p2p_dht_mode'] as const;

export function wireChoice(settings: Settings): WireChoice {
  const { p2p_wire: set } = settings;
  if (set === 'both') return { names: ['message-bus', 'go-p2p'], reason: 'p2p_wire = both' };
  if (set !== undefined) return { names: [set], reason: `p2p_wire = ${set}` };
  const given = OF_MESSAGE_BUS.find((key) => settings[key] !== undefined);
  if (given !== undefined) return { names: ['message-bus'], reason: `p2p_wire is unset and ${given} is set` };
  return { names: ['go-p2p'], reason: `p2p_wire, ${OF_MESSAGE_BUS.join(' and ')} are unset` };
}

export function wireNames(settings: Settings): readonly WireName[] {
  return wireChoice(settings).names;
}

/** Whether a wire is in force. */
export function speaks(settings: Settings, wire: WireName): boolean {
  return wireNames(settings).includes(wire);
}

/** Networks whose operators publish bootstrap peers under a name. */
const WITH_BOOTSTRAP: ReadonlySet<Settings['network']> = new Set(['mainnet', 'testnet', 'stn', 'teratestnet']);

/**
 * `p2p_bootstrap_peers`; where neither it nor `p2p_static_peers` is set, the published name of the network, so that
 * `network` alone is enough to join.
 */
export function bootstrapPeers(settings: Settings): readonly string[] {
  if (settings.p2p_bootstrap_peers !== undefined) return settings.p2p_bootstrap_peers;
  const hasPreset = settings.p2p_static_peers.length === 0 && WITH_BOOTSTRAP.has(settings.network);
  return hasPreset ? [`/dnsaddr/${settings.network}.bootstrap.teranode.bsvb.tech`] : [];
}

/**
 * `p2p_allow_private_ips`; unset: on regtest, where the node listens on private addresses only, and in a go-p2p network
 * with a shared key, whose peers all know it.
 */
export function allowsPrivateIps(settings: Settings, wire: WireName): boolean {
  const { p2p_allow_private_ips: set, network, p2p_listen_addresses: listen } = settings;
  if (set !== undefined) return set;
  if (wire === 'go-p2p' && settings.p2p_dht_use_private) return true;
  return network === 'regtest' || (listen.length > 0 && listen.map(plainHost).every(isPrivateListener));
}

/**
 * Whether DataHubs of peers, and our own, may have private addresses on a wire. A private listener is not enough: a
 * machine behind a router, in the public network, has one too.
 */
export function allowsPrivateDataHubs(settings: Settings, wire: WireName | undefined): boolean {
  const { p2p_allow_private_datahubs: allowed, p2p_allow_private_ips: set } = settings;
  const { network, p2p_listen_addresses: listen } = settings;
  if (allowed || wire !== 'message-bus') return allowed;
  return set ?? (network === 'regtest' || (listen.length > 0 && listen.map(plainHost).every(isLoopbackIp)));
}

function isPrivateListener(ip: string): boolean {
  return isPrivateIp(ip) && !UNSPECIFIED.has(ip);
}

/** All addresses of the machine, public ones too. */
const UNSPECIFIED: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

function isLoopbackIp(ip: string): boolean {
  return isLoopback(parseIp(ip));
}
