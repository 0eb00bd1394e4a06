// Files that settings name, looked at before anything is stored or dialled, so that a wrong one is told with its setting. Only those that
// the other settings make use of.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync, type Stats, statSync } from 'node:fs';
import { HEADER_BYTES, hashHeader, parseHeader } from '../wire/header.ts';
import { NETWORKS } from '../wire/networks.ts';
import { type Breach, needsCertificate } from './cross-checks.ts';
import type { SettingKey, Settings } from './schema.ts';

/** Some two million headers. */
export const MAX_HEADERS_FILE_BYTES = 160 * 1024 * 1024;
/** A bundle of every public authority has some 250 KiB. */
const MAX_PEM_BYTES = 4 * 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs;

/** What is wrong with them; settings that `isRight` denies are left out. */
export function fileChecks(settings: Settings, isRight: (key: SettingKey) => boolean): Breach[] {
  const checks = new FileChecks(settings, isRight);
  const usesKafka = (Object.keys(settings) as SettingKey[]).some(
    (key) => /^kafka_.+Config$/.test(key) && isRight(key) && String(settings[key]).startsWith('kafka:'),
  );
  if (isRight('KAFKA_ENABLE_TLS') && settings.KAFKA_ENABLE_TLS && usesKafka) {
    checks.authority('KAFKA_TLS_CA_FILE');
    checks.keyPair('KAFKA_TLS_CERT_FILE', 'KAFKA_TLS_KEY_FILE');
  }
  if (isRight('securityLevelHTTP') && isRight('security_level_grpc') && needsCertificate(settings)) {
    checks.keyPair('server_certFile', 'server_keyFile');
    if (settings.security_level_grpc === 3) checks.authority('server_caFile');
  }
  checks.headers();
  return checks.breaches;
}

/** Keys of settings that are names of files. */
type FileKey = {
  [K in SettingKey]: Settings[K] extends string | undefined ? K : never;
}[SettingKey];

class FileChecks {
  readonly breaches: Breach[] = [];
  private readonly settings: Settings;
  private readonly isRight: (key: SettingKey) => boolean;

  constructor(settings: Settings, isRight: (key: SettingKey) => boolean) {
    this.settings = settings;
    this.isRight = isRight;
  }

  authority(key: FileKey): void {
    this.read(key, 'a PEM file with the certificate of the authority', certificateOf);
  }

  keyPair(certKey: FileKey, keyKey: FileKey): void {
    const certificate = this.read(certKey, 'a PEM file with the certificate', certificateOf);
    const key = this.read(keyKey, 'a PEM file with the private key, without a passphrase', privateKeyOf);
    if (certificate !== undefined && key !== undefined && !certificate.checkPrivateKey(key))
      this.breach(keyKey, `the key of ${certKey}, which this one is not`);
  }

  headers(): void {
    const expects = 'a file of consecutive 80-byte headers that begins with genesis or block 1 of the network';
    this.file('embedded_chain_headers', expects, MAX_HEADERS_FILE_BYTES, (path, { size }) => {
      if (size % HEADER_BYTES !== 0) throw new Error(`its ${size} bytes are not a multiple of ${HEADER_BYTES}`);
      if (!this.isRight('network')) return;
      const genesis = hashHeader(NETWORKS[this.settings.network].genesisHeader);
      const first = firstBytes(path, Math.min(size, HEADER_BYTES));
      const connects = hashHeader(first) === genesis || parseHeader(first)?.previousHash === genesis;
      if (size > 0 && !connects) throw new Error('its first header is of another network');
    });
  }

  private read<T>(key: FileKey, expects: string, parse: (text: string) => T): T | undefined {
    return this.file(key, expects, MAX_PEM_BYTES, (path) => parse(readFileSync(path, 'utf8')));
  }

  /** undefined when the setting is empty or wrong. */
  private file<T>(
    key: FileKey,
    expects: string,
    maxBytes: number,
    look: (path: string, stats: Stats) => T,
  ): T | undefined {
    const path = this.settings[key];
    if (!path || !this.isRight(key)) return undefined;
    try {
      const stats = statSync(path);
      if (!stats.isFile()) throw new Error('this is no file');
      if (stats.size > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`);
      return look(path, stats);
    } catch (error) {
      this.breach(key, `${expects}: ${reasonOf(error)}`);
      return undefined;
    }
  }

  private breach(key: SettingKey, wouldBeRight: string): void {
    this.breaches.push({ key, wouldBeRight });
  }
}

/** The first one; all must be right. */
function certificateOf(text: string): X509Certificate {
  const [first] = (text.match(CERTIFICATE) ?? []).map((block) => new X509Certificate(block));
  if (first === undefined) throw new Error('there is no certificate in it');
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

/** The system's code where there is one: its text repeats the path. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'it cannot be read';
  return 'code' in error && typeof error.code === 'string' ? `it cannot be used (${error.code})` : error.message;
}
