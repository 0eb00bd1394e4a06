// Rules that look at more than one setting. Each runs whenever its own inputs are right, so that everything that is wrong is told at once.
import type { SettingKey, Settings } from './schema.ts';

/** What is wrong between settings that are right one by one. */
export interface Breach {
  readonly key: SettingKey;
  readonly wouldBeRight: string;
}

interface CrossCheck {
  /** Settings that `isWrong` reads. */
  readonly inputs: readonly SettingKey[];
  readonly isWrong: (settings: Settings) => boolean;
  /** The one that is to be changed. */
  readonly key: SettingKey;
  readonly wouldBeRight: string;
}

/** TLS of HTTP or gRPC. */
export function needsCertificate(settings: Settings): boolean {
  return settings.securityLevelHTTP > 0 || settings.security_level_grpc > 0;
}

const CROSS_CHECKS: readonly CrossCheck[] = [
  {
    inputs: ['p2p_shared_key'],
    isWrong: (settings) => settings.p2p_shared_key === undefined,
    key: 'p2p_shared_key',
    wouldBeRight: '64 hex digits: the key that all nodes of the network share',
  },
  {
    inputs: ['p2p_conn_low_water', 'p2p_conn_high_water'],
    isWrong: (settings) => settings.p2p_conn_low_water > settings.p2p_conn_high_water,
    key: 'p2p_conn_low_water',
    wouldBeRight: 'not above p2p_conn_high_water',
  },
  {
    inputs: ['dataFolder'],
    isWrong: (settings) => settings.dataFolder === '',
    key: 'dataFolder',
    wouldBeRight: 'a folder',
  },
  {
    inputs: ['listen_mode', 'asset_httpPublicAddress', 'asset_httpAddress'],
    isWrong: (settings) =>
      settings.listen_mode === 'full' &&
      settings.asset_httpPublicAddress === undefined &&
      settings.asset_httpAddress === undefined,
    key: 'asset_httpPublicAddress',
    wouldBeRight: 'in full mode an http or https URL where peers fetch from us (or asset_httpAddress)',
  },
  {
    inputs: ['securityLevelHTTP', 'security_level_grpc', 'server_certFile'],
    isWrong: (settings) => needsCertificate(settings) && !settings.server_certFile,
    key: 'server_certFile',
    wouldBeRight: 'a certificate file, because securityLevelHTTP or securityLevelGRPC asks for TLS',
  },
  {
    inputs: ['security_level_grpc', 'server_caFile'],
    isWrong: (settings) => settings.security_level_grpc === 3 && !settings.server_caFile,
    key: 'server_caFile',
    wouldBeRight: 'the authority of client certificates, because securityLevelGRPC 3 verifies them',
  },
  {
    inputs: ['securityLevelHTTP', 'security_level_grpc', 'server_keyFile'],
    isWrong: (settings) => needsCertificate(settings) && !settings.server_keyFile,
    key: 'server_keyFile',
    wouldBeRight: 'the key file of server_certFile',
  },
  {
    inputs: ['KAFKA_TLS_CERT_FILE', 'KAFKA_TLS_KEY_FILE'],
    isWrong: (settings) => !settings.KAFKA_TLS_CERT_FILE !== !settings.KAFKA_TLS_KEY_FILE,
    key: 'KAFKA_TLS_KEY_FILE',
    wouldBeRight: 'given together with KAFKA_TLS_CERT_FILE, or neither',
  },
];

/** `isRight`: false for settings that are refused already, or missing. */
export function crossChecks(settings: Settings, isRight: (key: SettingKey) => boolean): Breach[] {
  return CROSS_CHECKS.filter(({ inputs, isWrong }) => inputs.every(isRight) && isWrong(settings));
}
