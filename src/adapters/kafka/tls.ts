// TLS to the Kafka brokers, from KAFKA_ENABLE_TLS and the settings that belong to it.
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { P2PError } from '../../lib/errors.ts';

export interface KafkaTlsOptions {
  readonly enabled: boolean;
  readonly skipVerify: boolean;
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
}

/** undefined when TLS is off. Throws SETTINGS_INVALID for a file that cannot be read. */
export function kafkaTls(options: KafkaTlsOptions): ConnectionOptions | undefined {
  if (!options.enabled) return undefined;
  return {
    rejectUnauthorized: !options.skipVerify,
    ...file('KAFKA_TLS_CA_FILE', 'ca', options.caFile),
    ...file('KAFKA_TLS_CERT_FILE', 'cert', options.certFile),
    ...file('KAFKA_TLS_KEY_FILE', 'key', options.keyFile),
  };
}

function file(setting: string, name: 'ca' | 'cert' | 'key', path: string | undefined): ConnectionOptions {
  if (path === undefined || path === '') return {};
  try {
    return { [name]: readFileSync(path) };
  } catch (cause) {
    throw new P2PError('SETTINGS_INVALID', `cannot read ${setting}: ${path}`, { cause });
  }
}
