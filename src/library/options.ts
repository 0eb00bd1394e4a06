// What a caller may choose about a listener, and the settings that follow: the names and defaults of the server, so that
// both go by the same rules. No file and no environment variable is read.
import { P2PError } from '../lib/errors.ts';
import type { Logger } from '../ports/log.ts';
import { loadSettings, type SettingProblem, type Settings } from '../settings/load.ts';
import type { SettingKey } from '../settings/schema.ts';
import { bootstrapPeers } from '../settings/wire.ts';
import type { WireName } from '../wire/format.ts';
import type { Network } from '../wire/networks.ts';
import type { ListenTopic } from './events.ts';
import type { Anchor } from './header-follower.ts';

/** Of a chain of headers in memory. */
export interface ChainOptions {
  /**
   * Where the chain begins: a header that you vouch for, or `genesis`. Default: `depth` headers before the first block
   * that is announced and whose headers a DataHub delivers; its height is then the announcer's word.
   */
  readonly anchor?: Anchor | 'genesis';
  /** 0 to 2000, default 100. */
  readonly depth?: number;
  /** Headers kept, 100 to 1,000,000; default 10,000, about 5 MB. */
  readonly maxHeaders?: number;
}

export interface ListenOptions {
  /**
   * Peers through which the network is found: multiaddrs with a peer ID, on message-bus also `/dnsaddr/<host>`. Default:
   * the published name of mainnet, testnet, stn and teratestnet. Elsewhere they are required; an empty list dials nobody.
   */
  readonly bootstrapPeers?: readonly string[];
  /** `message-bus`, the default: nodes since October 2025. `go-p2p`: older ones. */
  readonly wire?: WireName;
  /** go-p2p: the key of the private network, 64 hex digits. Default: none, for a network without a key. */
  readonly sharedKey?: string;
  /** Connects to private addresses and takes DataHub URLs there. Default: on regtest, and for bootstrap peers, only. */
  readonly allowPrivateIps?: boolean;
  /** Replaces the topic prefix of the network. */
  readonly topicPrefix?: string;
  /** Ed25519 identity, 64 raw bytes as hex. Default: a new one for each listener. */
  readonly privateKey?: string;
  /** IP addresses to accept connections on. Default: none, the listener only dials. */
  readonly listenAddresses?: readonly string[];
  /** TCP port of `listenAddresses`. Default 0, any free one. */
  readonly port?: number;
  /** Ends the listener when it aborts, and the loop over its events with it. */
  readonly signal?: AbortSignal;
  /** Events that wait for a slow reader; beyond it the oldest is dropped. 1 to 1,000,000, default 1000. */
  readonly maxQueuedEvents?: number;
  /** The same in bytes of their messages. 65,536 to 1 GiB, default 16 MiB. */
  readonly maxQueuedBytes?: number;
  /**
   * A `silent` event after this time without a valid message while peers are connected: on all topics together, or on
   * each of those named. At least 100 ms. Default: none.
   */
  readonly silentAfterMs?: number | { readonly [K in ListenTopic]?: number };
  /** Follows the chain as `headers()` does and yields its `tip` and `reorg` too. Default: it is not followed. */
  readonly chain?: boolean | ChainOptions;
  /** Peers above which connections are trimmed. Default 35. */
  readonly maxPeers?: number;
  /** Gets the lines that the server would log. Default: nothing is logged. */
  readonly log?: Logger;
}

export const LISTEN_TOPICS: readonly ListenTopic[] = [
  ...(['block', 'subtree', 'rejected_tx', 'node_status', 'mining_on', 'best_block'] as const),
];
/** Bounds of `maxQueuedEvents` and `maxQueuedBytes`. */
const QUEUE = { events: { min: 1, max: 1e6 }, bytes: { min: 65_536, max: 2 ** 30 } } as const;
const DEFAULT_QUEUED_EVENTS = 1000;
const DEFAULT_QUEUED_BYTES = 16 * 1024 * 1024;
const MIN_SILENT_MS = 100;
/** A week: timers take no more than 24 days. */
const MAX_SILENT_MS = 7 * 24 * 3_600_000;
const DEFAULT_PEERS = { low: 25, high: 35 } as const;
/** Announcements remembered to tell repetitions; the server has five times as many. */
const MAX_ANNOUNCEMENTS = 20_000;

/** The options that become settings. A caller reads their names in errors, never those of the settings. */
export const SETTINGS_OF_OPTION = {
  network: ['network'],
  bootstrapPeers: ['p2p_bootstrap_peers', 'p2p_bootstrap_addresses'],
  wire: ['p2p_wire'],
  sharedKey: ['p2p_shared_key', 'p2p_dht_use_private'],
  allowPrivateIps: ['p2p_allow_private_ips', 'p2p_allow_private_datahubs'],
  topicPrefix: ['chainCfgParams_topicPrefix'],
  privateKey: ['p2p_private_key'],
  listenAddresses: ['p2p_listen_addresses'],
  port: ['p2p_port'],
  maxPeers: ['p2p_conn_high_water', 'p2p_conn_low_water'],
} as const satisfies { readonly [K in keyof ListenOptions | 'network']?: readonly SettingKey[] };
const OPTION_OF: ReadonlyMap<string, string> = new Map(
  Object.entries(SETTINGS_OF_OPTION).flatMap(([option, keys]) => keys.map((key) => [key, option] as const)),
);
const LISTS = ['bootstrapPeers', 'listenAddresses'] as const;
/** An empty text would count as unset, and the listener as one without a key. */
const TEXTS = ['sharedKey', 'topicPrefix', 'privateKey'] as const;
const WIRES: readonly WireName[] = ['message-bus', 'go-p2p'];

export interface QueueBounds {
  readonly maxItems: number;
  readonly maxBytes: number;
}

/** Throws SETTINGS_INVALID for a bound out of range. */
export function queueBounds({ maxQueuedEvents, maxQueuedBytes }: ListenOptions): QueueBounds {
  return {
    maxItems: inRange('maxQueuedEvents', maxQueuedEvents ?? DEFAULT_QUEUED_EVENTS, QUEUE.events),
    maxBytes: inRange('maxQueuedBytes', maxQueuedBytes ?? DEFAULT_QUEUED_BYTES, QUEUE.bytes),
  };
}

/** Times of `silentAfterMs`, checked. Throws SETTINGS_INVALID. */
export function silenceBounds({ silentAfterMs }: ListenOptions): ReadonlyMap<ListenTopic | 'all', number> {
  const entries = typeof silentAfterMs === 'number' ? [['all', silentAfterMs]] : Object.entries(silentAfterMs ?? {});
  const unknown = entries.find(([topic]) => topic !== 'all' && !LISTEN_TOPICS.some((each) => each === topic));
  if (unknown !== undefined) {
    const expected = `expected some of ${LISTEN_TOPICS.join(', ')}`;
    throw new P2PError('SETTINGS_INVALID', `invalid topic ${unknown[0]} of silentAfterMs (${expected})`);
  }
  return new Map(
    (entries as [ListenTopic | 'all', number][]).map(([topic, ms]) => [
      topic,
      inRange('silentAfterMs', ms, { min: MIN_SILENT_MS, max: MAX_SILENT_MS }),
    ]),
  );
}

/** Node.js 20 would fail later, with a TypeError that names no version. Throws LIBRARY_INCOMPATIBLE. */
function checkNode(): void {
  if (typeof Promise.withResolvers === 'function') return;
  const { version } = process;
  throw new P2PError('LIBRARY_INCOMPATIBLE', `teranode-p2p needs Node.js 22.22 or newer; this is ${version}`);
}

/** Throws SETTINGS_INVALID, naming the options at fault, and LIBRARY_INCOMPATIBLE on an older Node.js. */
export function listenSettings(network: Network, options: ListenOptions): Settings {
  checkNode();
  checkKinds(options);
  const { wire = 'message-bus', sharedKey, allowPrivateIps, topicPrefix, privateKey, listenAddresses = [] } = options;
  const { bootstrapPeers: peers, port = 0, maxPeers = DEFAULT_PEERS.high } = options;
  const env: Record<string, string | undefined> = {
    network,
    p2p_wire: wire,
    p2p_shared_key: sharedKey,
    p2p_dht_use_private: String(sharedKey !== undefined),
    p2p_dht_public_bootstrap: '',
    p2p_bootstrap_persistent: 'true',
    p2p_bootstrap_peers: wire === 'message-bus' && peers !== undefined ? peers.join(' | ') || 'none' : undefined,
    p2p_bootstrap_addresses: wire === 'go-p2p' ? peers?.join(' | ') : undefined,
    chainCfgParams_topicPrefix: topicPrefix,
    p2p_allow_private_ips: allowPrivateIps?.toString(),
    p2p_allow_private_datahubs: String(allowPrivateIps ?? network === 'regtest'),
    p2p_private_key: privateKey,
    p2p_listen_addresses: listenAddresses.length > 0 ? listenAddresses.join(' | ') : undefined,
    p2p_port: String(port),
    p2p_conn_high_water: String(maxPeers),
    p2p_conn_low_water: String(Math.min(DEFAULT_PEERS.low, maxPeers)),
    p2p_peer_map_max_size: String(MAX_ANNOUNCEMENTS),
    // Heights are claims here: nothing is compared with a chain of our own.
    p2p_max_unvalidated_advertised_height_lead: '4294967295',
    listen_mode: 'silent',
    p2p_enable_nat: 'false',
    p2p_enable_peer_cache: 'false',
    ...TOPICS,
    ...UNUSED,
  };
  const settings = loaded(env);
  const hasSome = wire === 'go-p2p' ? peers !== undefined : peers !== undefined || bootstrapPeers(settings).length > 0;
  if (!hasSome) {
    const why = wire === 'go-p2p' ? 'on go-p2p' : `on ${network}, which has no published bootstrap peers`;
    throw new P2PError('SETTINGS_INVALID', `bootstrapPeers is required ${why}`);
  }
  return settings;
}

/** What the types say already, for callers without them. Throws SETTINGS_INVALID. */
function checkKinds(options: ListenOptions): void {
  const { wire } = options;
  if (wire !== undefined && !WIRES.includes(wire)) throw refused('wire', wire, WIRES.join(' or '));
  for (const name of LISTS) {
    const value: unknown = options[name];
    const isList = Array.isArray(value) && value.every((each) => typeof each === 'string' && each.trim() !== '');
    if (value !== undefined && !isList) throw refused(name, value, 'an array of texts, none of them empty');
  }
  for (const name of TEXTS) {
    const value: unknown = options[name];
    const isText = typeof value === 'string' && value.trim() !== '';
    const shown = typeof value === 'string' ? `'${value}'` : `a value of type ${typeof value}`;
    if (value !== undefined && !isText) throw refused(name, shown, 'a text that is not empty, or no such option');
  }
}

function refused(name: string, value: unknown, expected: string): P2PError {
  return new P2PError('SETTINGS_INVALID', `invalid ${name} = ${String(value).slice(0, 200)} (expected ${expected})`);
}

const TOPICS = {
  p2p_block_topic: 'block',
  p2p_subtree_topic: 'subtree',
  p2p_handshake_topic: 'handshake',
  p2p_mining_on_topic: 'miningon',
  p2p_rejected_tx_topic: 'rejected_tx',
};

/** Required of a server; a listener has no such part. */
const UNUSED = {
  blockchain_store: 'sqlitememory:///unused',
  p2p_http_listen_address: '127.0.0.1:0',
  p2p_grpc_listen_address: '127.0.0.1:0',
  kafka_blocksConfig: 'memory://unused/blocks',
  kafka_subtreesConfig: 'memory://unused/subtrees',
  kafka_invalidBlocksConfig: 'memory://unused/invalid-blocks',
  kafka_invalidSubtreesConfig: 'memory://unused/invalid-subtrees',
  kafka_rejectedTxConfig: 'memory://unused/rejectedtx',
};

function loaded(env: Readonly<Record<string, string | undefined>>): Settings {
  try {
    return loadSettings({ folder: undefined, env, context: '' }).settings;
  } catch (error) {
    const problems = error instanceof P2PError ? (error.details.problems as SettingProblem[] | undefined) : undefined;
    if (problems === undefined) throw error;
    const named = problems.map((each) => ({ ...each, key: OPTION_OF.get(each.key) ?? each.key, origin: 'option' }));
    // Several settings of one option are at fault together.
    const faults = named.filter(({ key }, i) => named.findIndex((each) => each.key === key) === i);
    const lines = faults.map(({ key, value, expected }) => `${key} = ${value} (expected ${expected})`);
    throw new P2PError('SETTINGS_INVALID', `invalid options: ${lines.join('; ')}`, { details: { problems: faults } });
  }
}

interface Range {
  readonly min: number;
  readonly max: number;
  readonly isWhole?: boolean;
}

/** Throws SETTINGS_INVALID. */
export function inRange(name: string, value: number, { min, max, isWhole = false }: Range): number {
  const isNumber = isWhole ? Number.isInteger(value) : Number.isFinite(value);
  if (isNumber && value >= min && value <= max) return value;
  const kind = isWhole ? 'an integer' : 'a number';
  throw new P2PError('SETTINGS_INVALID', `invalid ${name} = ${value} (expected ${kind} from ${min} to ${max})`);
}
