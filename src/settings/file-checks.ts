// Checks the files that settings name before anything is stored or dialed, so that a problem is reported with its
// setting. Files that no setting makes use of are not checked.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync, type Stats, statSync } from 'node:fs';
import { HEADER_BYTES, hashHeader, parseHeader } from '../wire/header.ts';
import { NETWORKS } from '../wire/networks.ts';
import { type Breach, needsCertificate } from './cross-checks.ts';
import type { SettingKey, Settings } from './schema.ts';

/** About two million headers. */
export const MAX_HEADERS_FILE_BYTES = 160 * 1024 * 1024;
/** A bundle of all public CAs has about 250 KiB. */
const MAX_PEM_BYTES = 4 * 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs;

/** Problems with the files; settings for which `isValid` is false are skipped. */
export function fileChecks(settings: Settings, isValid: (key: SettingKey) => boolean): Breach[] {
  const checks = new FileChecks(settings, isValid);
  const usesKafka = (Object.keys(settings) as SettingKey[]).some(
    (key) => /^kafka_.+Config$/.test(key) && isValid(key) && String(settings[key]).startsWith('kafka:'),
  );
  if (isValid('KAFKA_ENABLE_TLS') && settings.KAFKA_ENABLE_TLS && usesKafka) {
    checks.authority('KAFKA_TLS_CA_FILE');
    checks.keyPair('KAFKA_TLS_CERT_FILE', 'KAFKA_TLS_KEY_FILE');
  }
  if (isValid('securityLevelHTTP') && isValid('security_level_grpc') && needsCertificate(settings)) {
    checks.keyPair('server_certFile', 'server_keyFile');
    if (settings.security_level_grpc === 3) checks.authority('server_caFile');
  }
  checks.headers();
  return checks.breaches;
}

/** Settings whose value is a file name. */
type FileKey = {
  [K in SettingKey]: Settings[K] extends string | undefined ? K : never;
}[SettingKey];

class FileChecks {
  readonly breaches: Breach[] = [];
  private readonly settings: Settings;
  private readonly isValid: (key: SettingKey) => boolean;

  constructor(settings: Settings, isValid: (key: SettingKey) => boolean) {
    this.settings = settings;
    this.isValid = isValid;
  }

  authority(key: FileKey): void {
    this.read(key, 'PEM file with a CA certificate', certificateOf);
  }

  keyPair(certKey: FileKey, keyKey: FileKey): void {
    const certificate = this.read(certKey, 'PEM file with a certificate', certificateOf);
    const key = this.read(keyKey, 'PEM file with a private key without a passphrase', privateKeyOf);
    if (certificate !== undefined && key !== undefined && !certificate.checkPrivateKey(key))
      this.breach(keyKey, `private key of ${certKey}; this is a different key`);
  }

  headers(): void {
    const expects = 'file of consecutive 80-byte headers, starting with genesis or block 1 of the network';
    this.file('embedded_chain_headers', expects, MAX_HEADERS_FILE_BYTES, (path, { size }) => {
      if (size % HEADER_BYTES !== 0) throw new Error(`size ${size} is not a multiple of ${HEADER_BYTES} bytes`);
      if (!this.isValid('network')) return;
      const genesis = hashHeader(NETWORKS[this.settings.network].genesisHeader);
      const first = firstBytes(path, Math.min(size, HEADER_BYTES));
      const connects = hashHeader(first) === genesis || parseHeader(first)?.previousHash === genesis;
      if (size > 0 && !connects) throw new Error('its first header is of another network');
    });
  }

  private read<T>(key: FileKey, expects: string, parse: (text: string) => T): T | undefined {
    return this.file(key, expects, MAX_PEM_BYTES, (path) => parse(readFileSync(path, 'utf8')));
  }

  /** undefined when the setting is empty or invalid. */
  private file<T>(
    key: FileKey,
    expects: string,
    maxBytes: number,
    look: (path: string, stats: Stats) => T,
  ): T | undefined {
    const path = this.settings[key];
    if (!path || !this.isValid(key)) return undefined;
    try {
      const stats = statSync(path);
      if (!stats.isFile()) throw new Error('not a regular file');
      if (stats.size > maxBytes) throw new Error(`larger than ${maxBytes} bytes`);
      return look(path, stats);
    } catch (error) {
      this.breach(key, `${expects}: ${reasonOf(error)}`);
      return undefined;
    }
  }

  private breach(key: SettingKey, expected: string): void {
    this.breaches.push({ key, expected });
  }
}

/** The first certificate; all must be valid. */
function certificateOf(text: string): X509Certificate {
  const [first] = (text.match(CERTIFICATE) ?? []).map((block) => new X509Certificate(block));
  if (first === undefined) throw new Error('no certificate found');
  return first;
}

function privateKeyOf(text: string): KeyObject {
  return createPrivateKey(text);
}

function firstBytes(path: string, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  const handle = openSync(path, 'r');
  try {
    readSync(handle, bytes);
  } finally {
    closeSync(handle);
  }
  return bytes;
}

/** The system's error code if there is one, because its message repeats the path. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'cannot be read';
  return 'code' in error && typeof error.code === 'string' ? `cannot be used (${error.code})` : error.message;
}
