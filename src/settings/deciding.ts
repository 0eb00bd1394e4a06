// The settings that decide what becomes of traffic: what a capture keeps of a node's settings, and what a replay can
// change. None of them is secret, and none says where something is.

import { P2PError } from '../lib/errors.ts';
import { withoutPasswords } from '../lib/masking.ts';
import { ROWS, type SettingKey, type Settings } from './schema.ts';

/** They say what was captured: changing them would be another capture. */
const FIXED = [
  'network',
  'p2p_wire',
  'p2p_block_topic',
  'p2p_subtree_topic',
  'p2p_rejected_tx_topic',
  'p2p_port',
  'p2p_listen_addresses',
] as const satisfies readonly SettingKey[];

const CHANGEABLE = [
  'listen_mode',
  'p2p_allow_private_datahubs',
  'p2p_allow_private_ips',
  'p2p_author_burst',
  'p2p_author_byte_burst',
  'p2p_author_byte_rate',
  'p2p_author_rate',
  'p2p_ban_default_duration',
  'p2p_ban_duration',
  'p2p_ban_max_entries',
  'p2p_ban_threshold',
  'p2p_ban_whitelist',
  'p2p_bootstrap_addresses',
  'p2p_bootstrap_peers',
  'p2p_full_storage_penalty_duration',
  'p2p_max_target_ratio',
  'p2p_max_unvalidated_advertised_height_lead',
  'p2p_peer_map_max_size',
  'p2p_peer_map_ttl',
  'p2p_peer_registry_max_size',
  'p2p_peer_registry_ttl',
  'p2p_policy_mode',
  'p2p_policy_shadow_rules',
  'p2p_rejected_tx_publish_burst',
  'p2p_rejected_tx_publish_rate',
  'p2p_relay_byte_rate',
  'p2p_relay_rate',
  'p2p_report_own_reasons',
  'p2p_require_header',
  'p2p_seen_hash_max_publishers',
  'p2p_seen_hash_max_size',
  'p2p_seen_hash_ttl',
  'p2p_static_peers',
  'p2p_status_burst',
  'p2p_status_rate',
  'p2p_verify_header_pow',
  'subtreevalidation_blacklisted_baseurls',
] as const satisfies readonly SettingKey[];

export const CHANGEABLE_SETTINGS: ReadonlySet<string> = new Set(CHANGEABLE);
const KEPT: ReadonlySet<string> = new Set([...FIXED, ...CHANGEABLE]);

/** Items of a list one by one: a password in one must not hide the others. */
function masked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(masked);
  return typeof value === 'string' ? withoutPasswords(value) : value;
}

/** The settings that decide, as texts; unset ones are left out. */
export function decidingTexts(settings: Settings): Record<string, string> {
  const kept = ROWS.filter(([key]) => KEPT.has(key) && settings[key] !== undefined);
  return Object.fromEntries(kept.map(([key, row]) => [key, row.type.format(masked(settings[key]))]));
}

/**
 * Settings with these texts, and defaults for the others. Rules about several settings are not checked: they are about
 * starting a node. Throws SETTINGS_INVALID.
 */
export function settingsOfTexts(texts: Readonly<Record<string, string>>): Settings {
  const values: Record<string, unknown> = {};
  for (const [key, row] of ROWS) {
    const text = Object.hasOwn(texts, key) && KEPT.has(key) ? texts[key] : undefined;
    const isAbsent = text === undefined || (text === '' && row.type.keepsEmpty !== true);
    const value = isAbsent ? row.default : row.type.parse(text);
    if (value === undefined && !isAbsent)
      throw new P2PError('SETTINGS_INVALID', `invalid ${key} "${text.slice(0, 200)}" (expected ${row.type.expects})`);
    values[key] = value;
  }
  return values as Settings;
}
