// Rules over several settings. Each runs when its own inputs are valid, so that all problems are reported at once.
import { isLoopback, parseIp } from '../lib/ip.ts';
import { shownName } from '../wire/shown-name.ts';
import { isPlaceholderKey, MIN_ADMIN_KEY_CHARS } from './admin-key.ts';
import type { SettingKey, Settings } from './schema.ts';
import { speaks } from './wire.ts';

/** A problem between settings that are valid one by one. */
export interface Breach {
  readonly key: SettingKey;
  readonly expected: string;
}

interface CrossCheck {
  /** The settings that `isBroken` reads. */
  readonly inputs: readonly SettingKey[];
  readonly isBroken: (settings: Settings) => boolean;
  /** The setting to change. */
  readonly key: SettingKey;
  readonly expected: string;
}

/** Whether HTTP or gRPC uses TLS. */
export function needsCertificate(settings: Settings): boolean {
  return settings.securityLevelHTTP > 0 || settings.security_level_grpc > 0;
}

/** `host:port` of the settings. */
function isLoopbackListener(address: string): boolean {
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
  return host === 'localhost' || isLoopback(parseIp(host));
}

/** A short key can be guessed by whoever reaches a listener. A placeholder is as good as unset. */
function hasGuessableKey(settings: Settings): boolean {
  const key = settings.grpc_admin_api_key;
  if (key === undefined || key.length >= MIN_ADMIN_KEY_CHARS || isPlaceholderKey(key)) return false;
  const listeners = [settings.p2p_grpc_listen_address, settings.p2p_http_listen_address];
  return settings.network !== 'regtest' && !listeners.every(isLoopbackListener);
}

/** The settings that decide which wires are in force. */
const OF_WIRE: readonly SettingKey[] = ['p2p_wire', 'p2p_bootstrap_peers', 'p2p_dht_mode'];

const CROSS_CHECKS: readonly CrossCheck[] = [
  {
    inputs: ['p2p_wire', 'p2p_dht_use_private'],
    isBroken: (settings) => settings.p2p_wire === 'both' && !settings.p2p_dht_use_private,
    key: 'p2p_dht_use_private',
    expected:
      'true when p2p_wire is both: the pre-shared key keeps the two networks apart. Without one, set p2p_wire to message-bus or go-p2p',
  },
  {
    inputs: ['p2p_wire', 'p2p_port', 'p2p_go_p2p_port'],
    isBroken: ({ p2p_wire: wire, p2p_port: port, p2p_go_p2p_port: goPort }) =>
      wire === 'both' && port === goPort && port !== 0,
    key: 'p2p_go_p2p_port',
    expected: 'port other than p2p_port, or 0 for a free port, when p2p_wire is both',
  },
  {
    inputs: [...OF_WIRE, 'p2p_shared_key', 'p2p_dht_use_private'],
    isBroken: (settings) =>
      speaks(settings, 'go-p2p') && settings.p2p_dht_use_private && settings.p2p_shared_key === undefined,
    key: 'p2p_shared_key',
    expected: '64 hex digits: the pre-shared key of the network; required on go-p2p with p2p_dht_use_private',
  },
  ...(['p2p_handshake_topic', 'p2p_mining_on_topic'] as const).map((key) => ({
    inputs: [...OF_WIRE, key],
    isBroken: (settings: Settings) => speaks(settings, 'go-p2p') && settings[key] === undefined,
    key,
    expected: 'topic name of letters, digits, _ . and - (required on go-p2p)',
  })),
  {
    inputs: [...OF_WIRE, 'clientName'],
    isBroken: (settings) => speaks(settings, 'message-bus') && shownName(settings.clientName).trim() === '',
    key: 'clientName',
    expected: 'name with at least one printable ASCII character other than <>&"\'` and space; required on message-bus',
  },
  {
    inputs: ['p2p_conn_low_water', 'p2p_conn_high_water'],
    isBroken: ({ p2p_conn_low_water: low, p2p_conn_high_water: high }) =>
      low !== undefined && high !== undefined && low > high,
    key: 'p2p_conn_low_water',
    expected: 'at most p2p_conn_high_water',
  },
  {
    inputs: ['grpc_admin_api_key', 'network', 'p2p_grpc_listen_address', 'p2p_http_listen_address'],
    isBroken: hasGuessableKey,
    key: 'grpc_admin_api_key',
    expected: `secret of at least ${MIN_ADMIN_KEY_CHARS} characters, or unset to have one generated; a shorter one only on regtest, or with p2p_grpc_listen_address and p2p_http_listen_address on loopback`,
  },
  {
    inputs: ['dataFolder'],
    isBroken: (settings) => settings.dataFolder === '',
    key: 'dataFolder',
    expected: 'path of a folder',
  },
  {
    inputs: ['securityLevelHTTP', 'security_level_grpc', 'server_certFile'],
    isBroken: (settings) => needsCertificate(settings) && !settings.server_certFile,
    key: 'server_certFile',
    expected: 'certificate file; required by securityLevelHTTP or security_level_grpc',
  },
  {
    inputs: ['security_level_grpc', 'server_caFile'],
    isBroken: (settings) => settings.security_level_grpc === 3 && !settings.server_caFile,
    key: 'server_caFile',
    expected: 'CA file that verifies client certificates; required by security_level_grpc 3',
  },
  {
    inputs: ['securityLevelHTTP', 'security_level_grpc', 'server_keyFile'],
    isBroken: (settings) => needsCertificate(settings) && !settings.server_keyFile,
    key: 'server_keyFile',
    expected: 'private key file of server_certFile',
  },
  {
    inputs: ['KAFKA_TLS_CERT_FILE', 'KAFKA_TLS_KEY_FILE'],
    isBroken: (settings) => !settings.KAFKA_TLS_CERT_FILE !== !settings.KAFKA_TLS_KEY_FILE,
    key: 'KAFKA_TLS_KEY_FILE',
    expected: 'set together with KAFKA_TLS_CERT_FILE, or both unset',
  },
];

/** `isValid`: false for settings that are invalid or missing. */
export function crossChecks(settings: Settings, isValid: (key: SettingKey) => boolean): Breach[] {
  return CROSS_CHECKS.filter(({ inputs, isBroken }) => inputs.every(isValid) && isBroken(settings));
}
