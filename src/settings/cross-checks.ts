// Rules that look at more than one setting.
import type { SettingKey, Settings } from './schema.ts';

interface Breach {
  readonly key: SettingKey;
  readonly wouldBeRight: string;
}

/** What is wrong between settings that are right one by one. */
export function crossChecks(settings: Settings): Breach[] {
  const breaches: Breach[] = [];
  const check = (isWrong: boolean, key: SettingKey, wouldBeRight: string) => {
    if (isWrong) breaches.push({ key, wouldBeRight });
  };
  check(
    settings.p2p_shared_key === undefined,
    'p2p_shared_key',
    '64 hex digits: the key that all nodes of the network share',
  );
  check(
    settings.p2p_conn_low_water > settings.p2p_conn_high_water,
    'p2p_conn_low_water',
    'not above p2p_conn_high_water',
  );
  check(settings.dataFolder === '', 'dataFolder', 'a folder');
  const hasDataHub = settings.asset_httpPublicAddress !== undefined || settings.asset_httpAddress !== undefined;
  check(
    settings.listen_mode === 'full' && !hasDataHub,
    'asset_httpPublicAddress',
    'in full mode an http or https URL where peers fetch from us (or asset_httpAddress)',
  );
  const needsCertificate = settings.securityLevelHTTP > 0 || settings.security_level_grpc > 0;
  check(
    needsCertificate && !settings.server_certFile,
    'server_certFile',
    'a certificate file, because securityLevelHTTP or securityLevelGRPC asks for TLS',
  );
  check(
    settings.security_level_grpc === 3 && !settings.server_caFile,
    'server_caFile',
    'the authority of client certificates, because securityLevelGRPC 3 verifies them',
  );
  check(needsCertificate && !settings.server_keyFile, 'server_keyFile', 'the key file of server_certFile');
  check(
    !settings.KAFKA_TLS_CERT_FILE !== !settings.KAFKA_TLS_KEY_FILE,
    'KAFKA_TLS_KEY_FILE',
    'given together with KAFKA_TLS_CERT_FILE, or neither',
  );
  return breaches;
}
