// Certificate and key of HTTPS: checked as a pair at start and reloaded when the files change. New connections use the
// new certificate; open ones stay.
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

/** For file systems that report no changes, such as network file systems. */
const CHECK_EVERY_MS = 60_000;
/** Both files are replaced one after the other. */
const SETTLE_MS = 200;
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * Throws SETTINGS_INVALID naming the setting whose file is missing, malformed, expired, not valid yet, or not part of
 * the pair.
 */
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

/**
 * Watches the files until stopped and passes on each new valid certificate. An invalid one is logged, and the old one
 * stays in use.
 */
export class CertificateWatch {
  private readonly deps: { readonly log: Logger; readonly metrics: Metrics | undefined; readonly clock: Clock };
  private readonly files: CertificateFiles;
  private readonly changed: (certificate: Certificate) => void;
  private current: Certificate;
  private refusal = '';
  private watchers: FSWatcher[] = [];
  private checking: Repeating | undefined;
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
      'Changed HTTPS certificates, by whether they are served or refused',
      ['result'],
    );
    this.checking = repeating(
      () => this.check(),
      { firstMs: CHECK_EVERY_MS, nextMs: () => CHECK_EVERY_MS },
      (error) => log.warn({ err: error }, 'failed to check the certificate'),
    );
    // Folders, because a file is often replaced by another of the same name, or is a link whose target changes.
    const folders = new Set([this.files.certFile, this.files.keyFile].map((file) => dirname(file)));
    for (const folder of folders) this.watchFolder(folder);
  }

  stop(): void {
    this.checking?.stop();
    for (const watcher of this.watchers.splice(0)) watcher.close();
  }

  private watchFolder(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) => {
        if (this.isOurs(name)) this.checking?.wake();
      });
      watcher.on('error', () => watcher.close());
      this.watchers.push(watcher);
    } catch (error) {
      this.deps.log.debug({ folder, err: error }, 'failed to watch the folder of the certificate');
    }
  }

  /** Kubernetes updates files through a link whose name begins with two dots. */
  private isOurs(name: string | null): boolean {
    const { certFile, keyFile } = this.files;
    return name === null || name.startsWith('..') || name === basename(certFile) || name === basename(keyFile);
  }

  private async check(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS).unref());
    const { log, clock } = this.deps;
    try {
      const found = await readCertificate(this.files, clock.now());
      this.refusal = '';
      if (found.cert.equals(this.current.cert) && found.key.equals(this.current.key)) return;
      this.changed(found);
      this.current = found;
      this.reloads?.add(1, { result: 'served' });
      log.info({ validUntil: new Date(found.validUntilMs).toISOString() }, 'certificate reloaded');
    } catch (error) {
      const message = error instanceof Error ? error.message : 'failed';
      if (message === this.refusal) return;
      this.refusal = message;
      this.reloads?.add(1, { result: 'refused' });
      log.warn({ err: error }, 'failed to reload the certificate; still serving the old one');
    }
  }
}

async function read(setting: string, file: string): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    throw refused(`failed to read ${setting} ${file}`, cause);
  }
  if (bytes.length > MAX_FILE_BYTES) throw refused(`${setting} ${file} is too large (limit ${MAX_FILE_BYTES} bytes)`);
  return bytes;
}

/** The first certificate, which is the server's own. */
function certificateIn(pem: Buffer, file: string): X509Certificate {
  const [first] = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/) ?? [];
  if (first === undefined) throw refused(`server_certFile ${file} has no certificate (expected PEM)`);
  try {
    return new X509Certificate(first);
  } catch (cause) {
    throw refused(`server_certFile ${file} has an invalid certificate`, cause);
  }
}

function keyIn(pem: Buffer, file: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw refused(`server_keyFile ${file} has no usable private key (expected PEM without a passphrase)`, cause);
  }
}

function refused(message: string, cause?: unknown): P2PError {
  return new P2PError('SETTINGS_INVALID', message, cause === undefined ? {} : { cause });
}
