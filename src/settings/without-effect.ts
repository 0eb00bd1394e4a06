// Keys of settings files and of the environment that change nothing: settings of Teranode's P2P service that this
// server does not support, settings of a wire that is not in force, and unknown keys. A settings file is that of all
// services of Teranode, so an unknown key without the prefix of the P2P service is told only when it looks misspelled.
import { nearestName } from '../lib/edit-distance.ts';
import type { WireName } from '../wire/format.ts';
import type { ConfReader } from './conf-reader.ts';
import { ROWS, type SettingKey, type Settings } from './schema.ts';
import { speaks } from './wire.ts';

export interface KeyWithoutEffect {
  readonly key: string;
  /** For people. */
  readonly reason: string;
  /** Present when the operator relies on a restriction that is not enforced. */
  readonly isUnsafe?: true;
}

export interface UnknownKey {
  readonly key: string;
  /** Undefined when no known key is like it. */
  readonly nearest: string | undefined;
}

/** What is said about keys when a node starts. */
export interface SettingNotices {
  readonly withoutEffect: readonly KeyWithoutEffect[];
  /** At most {@link MAX_UNKNOWN}. */
  readonly unknown: readonly UnknownKey[];
}

const PREFIX = 'p2p_';
export const MAX_UNKNOWN = 20;
/** A name counts as misspelled up to this many wrong characters, and up to a third of its own after the prefix. */
const MAX_DISTANCE = 3;
/** Longer than any known name. */
const MAX_NAME_CHARS = 80;

const DATAHUB_CHECKS = 'DataHub checks cannot be disabled; their intervals are fixed';

/** A restriction that operators must not rely on. */
const NOT_ENFORCED = 'p2p_allowed_publisher_ids';

/** Settings of Teranode's P2P service that this server does not support, whatever the wire. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  p2p_peer_id: 'the peer ID follows from p2p_private_key',
  p2p_enable_conn_gater: 'bans are always enforced on connections',
  p2p_enable_mdns: 'mDNS discovery is not supported: list local peers in p2p_static_peers',
  p2p_dht_cleanup_interval: 'the interval at which expired records are removed from the DHT is fixed',
  p2p_enable_peer_scoring: 'misbehaving peers are banned (p2p_ban_threshold); gossipsub scores are not configurable',
  p2p_enable_peer_exchange: 'peer exchange on PRUNE is not supported',
  p2p_peer_score_ip_colocation_threshold: 'gossipsub scores do not depend on IP colocation',
  p2p_gossip_handler_concurrency: 'messages are handled one after another, in order of arrival',
  [NOT_ENFORCED]: 'messages from every author are accepted; ban single authors instead',
  p2p_health_check_enabled: DATAHUB_CHECKS,
  p2p_health_check_interval: DATAHUB_CHECKS,
  p2p_health_http_timeout: DATAHUB_CHECKS,
  p2p_health_remove_after_failures: DATAHUB_CHECKS,
  p2p_sync_stuck_retry_threshold: 'a sync peer that makes no progress is replaced after a timeout',
  p2p_relay_peers: 'any connected peer that offers a circuit relay is used',
};

/** Keys with the prefix of the P2P service that belong to another service. */
const OF_OTHER_SERVICES: ReadonlySet<string> = new Set(['p2p_port_coinbase']);

const ONLY_ON: { readonly [W in WireName]: ReadonlySet<SettingKey> } = {
  'go-p2p': new Set([
    'p2p_handshake_topic',
    'p2p_mining_on_topic',
    'p2p_bestblock_topic',
    'p2p_shared_key',
    'p2p_dht_protocol_id',
    'p2p_dht_use_private',
    'p2p_dht_public_bootstrap',
    'p2p_bootstrap_addresses',
    'p2p_bootstrap_persistent',
    'p2p_enable_nat_service',
    'p2p_enable_autonat_v2',
    'p2p_enable_hole_punching',
    'p2p_handshake_topic_size',
    'p2p_handshake_topic_timeout',
  ]),
  'message-bus': new Set([
    'p2p_bootstrap_peers',
    'p2p_dht_mode',
    'p2p_enable_nat',
    'p2p_allow_pruned_node_fallback',
    'p2p_sync_coordinator_periodic_evaluation_interval',
    'p2p_sync_peer_no_progress_timeout',
    'p2p_max_unvalidated_advertised_height_lead',
    'p2p_max_unproven_sync_probes_per_backoff_window',
    'p2p_full_storage_penalty_duration',
    'p2p_full_delivery_freshness_window',
  ]),
};

/** Settings of sync peer selection by claimed height; with message-bus in force the selection is by validated work. */
const ONLY_WITHOUT_MESSAGE_BUS: ReadonlySet<SettingKey> = new Set([
  'p2p_min_peers_for_sync',
  'p2p_max_wait_for_min_peers',
]);

/** Every accepted spelling and the key of its setting. */
const KNOWN: ReadonlyMap<string, SettingKey> = new Map(
  ROWS.flatMap(([key, row]) => [key, ...row.also].map((spelling) => [spelling, key] as const)),
);

/** Variables of other programs are in capitals: only settings in capitals are likely meant. */
const CAPITALS = /^[A-Z0-9_]+$/;
const CAPITAL_NAMES = [...KNOWN.keys()].filter((name) => CAPITALS.test(name));

export function settingNotices(reader: ConfReader, settings: Settings): SettingNotices {
  const withoutEffect: KeyWithoutEffect[] = [];
  const unknown: UnknownKey[] = [];
  const variables = reader.references();
  for (const key of reader.keys()) {
    const known = KNOWN.get(key);
    const reason = UNSUPPORTED[key] ?? (known && reasonOfWire(known, settings));
    if (reason !== undefined) withoutEffect.push({ key, reason, ...(key === NOT_ENFORCED ? { isUnsafe: true } : {}) });
    if (reason !== undefined || known !== undefined || OF_OTHER_SERVICES.has(key) || variables.has(key)) continue;
    const nearest = nearestKey(key);
    if ((nearest !== undefined || key.startsWith(PREFIX)) && unknown.length < MAX_UNKNOWN)
      unknown.push({ key: key.slice(0, MAX_NAME_CHARS), nearest });
  }
  return { withoutEffect, unknown };
}

function reasonOfWire(key: SettingKey, settings: Settings): string | undefined {
  if (key === 'p2p_go_p2p_port') return settings.p2p_wire === 'both' ? undefined : 'used only when p2p_wire is both';
  if (ONLY_WITHOUT_MESSAGE_BUS.has(key) && speaks(settings, 'message-bus'))
    return 'on message-bus a sync does not wait for a number of peers';
  const wire = (['go-p2p', 'message-bus'] as const).find((each) => ONLY_ON[each].has(key));
  if (wire !== undefined && !speaks(settings, wire)) return `used only on ${wire}, which is not in force (p2p_wire)`;
  const isUnusedKey =
    key === 'p2p_shared_key' && settings.p2p_shared_key !== undefined && !settings.p2p_dht_use_private;
  return isUnusedKey ? 'used only when p2p_dht_use_private is true' : undefined;
}

function nearestKey(key: string): string | undefined {
  if (key.length > MAX_NAME_CHARS) return undefined;
  const own = key.length - (key.startsWith(PREFIX) ? PREFIX.length : 0);
  const names = CAPITALS.test(key) ? CAPITAL_NAMES : KNOWN.keys();
  return nearestName(key, names, Math.min(MAX_DISTANCE, Math.floor(own / 3)));
}
