// Certificate and key of HTTPS: checked as a pair at start, read again when the files change. New connections get the new one, open ones stay.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { createSecureContext } from 'node:tls';
import { P2PError } from '../../../lib/errors.ts';
import { type Repeating, repeating } from '../../../lib/repeating.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Counter, Metrics } from '../../../ports/metrics.ts';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Unix ms. */
  readonly validUntilMs: number;
}

/** Where no change is told (network file systems), it is seen by then. */
const LOOK_EVERY_MS = 60_000;
/** Both files are written one after the other. */
const SETTLE_MS = 200;
const MAX_FILE_BYTES = 1024 * 1024;

/** Throws SETTINGS_INVALID naming the setting whose file is missing, wrong, out of its time, or does not belong to the other. */
export async function readCertificate(files: CertificateFiles, nowMs: number): Promise<Certificate> {
  const cert = await read('server_certFile', files.certFile);
  const key = await read('server_keyFile', files.keyFile);
  const certificate = certificateIn(cert, files.certFile);
  const validUntilMs = Date.parse(certificate.validTo);
  if (validUntilMs <= nowMs) {
    throw refused(`server_certFile ${files.certFile} expired at ${new Date(validUntilMs).toISOString()}`);
  }
  const validFromMs = Date.parse(certificate.validFrom);
  if (validFromMs > nowMs) {
    throw refused(`server_certFile ${files.certFile} is not valid before ${new Date(validFromMs).toISOString()}`);
  }
  if (!certificate.checkPrivateKey(keyIn(key, files.keyFile))) {
    throw refused(`server_keyFile ${files.keyFile} is not the key of server_certFile ${files.certFile}`);
  }
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    throw refused(
      `server_certFile ${files.certFile} and server_keyFile ${files.keyFile} cannot be used for TLS`,
      cause,
    );
  }
  return { cert, key, validUntilMs };
}

/** Looks at the files until stopped and hands over what is new and right; what is wrong is told, and the old one stays. */
export class CertificateWatch {
  private readonly deps: { readonly log: Logger; readonly metrics: Metrics | undefined; readonly clock: Clock };
  private readonly files: CertificateFiles;
  private readonly changed: (certificate: Certificate) => void;
  private current: Certificate;
  private refusal = '';
  private watchers: FSWatcher[] = [];
  private looking: Repeating | undefined;
  private reloads: Counter | undefined;

  /** `current` is what is served now. */
  constructor(
    deps: CertificateWatch['deps'],
    files: CertificateFiles,
    current: Certificate,
    changed: (certificate: Certificate) => void,
  ) {
    this.deps = deps;
    this.files = files;
    this.current = current;
    this.changed = changed;
  }

  start(): void {
    const { metrics, log } = this.deps;
    metrics?.gauge(
      'teranode_p2p_http_certificate_expiry_timestamp_seconds',
      'Unix time at which the certificate of HTTPS expires',
      () => this.current.validUntilMs / 1000,
    );
    this.reloads = metrics?.counter(
      'teranode_p2p_http_certificate_reloads_total',
      'Changed certificates of HTTPS, by what became of them',
      ['result'],
    );
    this.looking = repeating(
      () => this.look(),
      { firstMs: LOOK_EVERY_MS, nextMs: () => LOOK_EVERY_MS },
      (error) => log.warn({ err: error }, 'certificate not looked at'),
    );
    // Folders, because a file is often replaced by another of its name, or is a link whose target changes.
    const folders = new Set([this.files.certFile, this.files.keyFile].map((file) => dirname(file)));
    for (const folder of folders) this.watchFolder(folder);
  }

  stop(): void {
    this.looking?.stop();
    for (const watcher of this.watchers.splice(0)) watcher.close();
  }

  private watchFolder(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) => {
        if (this.isOurs(name)) this.looking?.wake();
      });
      watcher.on('error', () => watcher.close());
      this.watchers.push(watcher);
    } catch (error) {
      this.deps.log.debug({ folder, err: error }, 'folder of the certificate is not watched');
    }
  }

  /** Kubernetes changes files by a link that begins with two dots. */
  private isOurs(name: string | null): boolean {
    const { certFile, keyFile } = this.files;
    return name === null || name.startsWith('..') || name === basename(certFile) || name === basename(keyFile);
  }

  private async look(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS).unref());
    const { log, clock } = this.deps;
    try {
      const found = await readCertificate(this.files, clock.now());
      this.refusal = '';
      if (found.cert.equals(this.current.cert) && found.key.equals(this.current.key)) return;
      this.changed(found);
      this.current = found;
      this.reloads?.add(1, { result: 'served' });
      log.info({ validUntil: new Date(found.validUntilMs).toISOString() }, 'certificate read again');
    } catch (error) {
      const message = error instanceof Error ? error.message : 'failed';
      if (message === this.refusal) return;
      this.refusal = message;
      this.reloads?.add(1, { result: 'refused' });
      log.warn({ err: error }, 'changed certificate refused; the old one is served');
    }
  }
}

async function read(setting: string, file: string): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    throw refused(`${setting} cannot be read: ${file}`, cause);
  }
  if (bytes.length > MAX_FILE_BYTES) throw refused(`${setting} is larger than a certificate or key: ${file}`);
  return bytes;
}

/** The first one, which is the server's own. */
function certificateIn(pem: Buffer, file: string): X509Certificate {
  const [first] = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/) ?? [];
  if (first === undefined) throw refused(`server_certFile holds no certificate in PEM: ${file}`);
  try {
    return new X509Certificate(first);
  } catch (cause) {
    throw refused(`server_certFile holds a damaged certificate: ${file}`, cause);
  }
}

function keyIn(pem: Buffer, file: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw refused(`server_keyFile holds no private key in PEM without a passphrase: ${file}`, cause);
  }
}

function refused(message: string, cause?: unknown): P2PError {
  return new P2PError('SETTINGS_INVALID', message, cause === undefined ? {} : { cause });
}
