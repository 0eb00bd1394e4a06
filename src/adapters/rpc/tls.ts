// security_level_grpc: reads certificate files into options of node:tls. They are checked at start, so that an error
// names the setting.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext, rootCertificates, type TlsOptions } from 'node:tls';
import { ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js';
import { P2PError } from '../../lib/errors.ts';

export interface GrpcTlsOptions {
  /**
   * `security_level_grpc`: 0 plain text, 1 TLS, 2 TLS with any client certificate, 3 TLS with a client certificate that
   * the authority signed.
   */
  readonly level: number;
  /** `server_certFile`, `server_keyFile`: needed from level 1 on. */
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  /** `server_caFile`: needed at level 3. */
  readonly caFile: string | undefined;
}

/** Certificate files of a client, in PEM. */
export interface ClientTlsOptions {
  /** Authorities that may have signed the server's certificate; default: those of Node. */
  readonly caFile?: string | undefined;
  /** The server's own certificate: trusted under any name or address. */
  readonly serverCertFile?: string | undefined;
  /** Certificate and key of the client, for servers that require one. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/** A longer TLS handshake is aborted. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * undefined at level 0. Throws SETTINGS_INVALID with the setting whose file is missing, invalid, or does not match the
 * other.
 */
export function serverTls(options: GrpcTlsOptions): TlsOptions | undefined {
  if (options.level < 1) return undefined;
  const cert = readPem('server_certFile', options.certFile);
  const key = readPem('server_keyFile', options.keyFile);
  const [certificate] = certificatesOf('server_certFile', options.certFile, cert);
  if (certificate?.checkPrivateKey(privateKeyOf(options.keyFile, key)) !== true) {
    throw new P2PError(
      'SETTINGS_INVALID',
      `server_keyFile ${options.keyFile} does not match server_certFile ${options.certFile}`,
    );
  }
  const common = { cert, key, ALPNProtocols: ['h2'], handshakeTimeout: HANDSHAKE_TIMEOUT_MS };
  if (options.level < 2) return common;
  // Level 2 accepts any certificate, as Go's RequireAnyClientCert does; the listener checks after the handshake that
  // there is one.
  if (options.level < 3) return { ...common, requestCert: true, rejectUnauthorized: false };
  const ca = readPem('server_caFile', options.caFile);
  certificatesOf('server_caFile', options.caFile, ca);
  return { ...common, ca, requestCert: true, rejectUnauthorized: true };
}

/**
 * The server name that a client sends when it dials an IP address: RFC 6066 allows no addresses, and grpc-js would send
 * one.
 */
const NAME_FOR_ADDRESSES = { 'grpc.ssl_target_name_override': 'localhost' };

export function clientTlsOptions(host: string): ChannelOptions {
  return isIP(host) === 0 ? {} : NAME_FOR_ADDRESSES;
}

/** Plain text when `tls` is undefined. `host`: the dialled name or IP. Throws SETTINGS_INVALID for unusable files. */
export function clientCredentials(tls: ClientTlsOptions | undefined, host: string): ChannelCredentials {
  if (tls === undefined) return ChannelCredentials.createInsecure();
  const known = tls.serverCertFile === undefined ? undefined : readPem('the server certificate', tls.serverCertFile);
  const [pinned] = known === undefined ? [] : certificatesOf('the server certificate', tls.serverCertFile, known);
  const authorities = tls.caFile === undefined ? rootCertificates : [readPem('the authority file', tls.caFile)];
  const own =
    tls.certFile === undefined
      ? {}
      : { cert: readPem('the certificate', tls.certFile), key: readPem('the key', tls.keyFile) };
  try {
    const context = createSecureContext({
      ...own,
      ca: [...authorities, ...(known === undefined ? [] : [known])],
      allowPartialTrustChain: true,
    });
    return ChannelCredentials.createFromSecureContext(context, {
      checkServerIdentity: (_name, certificate) => {
        const isPinned = pinned !== undefined && certificate.fingerprint256 === pinned.fingerprint256;
        return isPinned ? undefined : checkServerIdentity(host, certificate);
      },
    });
  } catch (cause) {
    throw new P2PError('SETTINGS_INVALID', 'invalid certificate files for gRPC', { cause });
  }
}

function readPem(setting: string, file: string | undefined): Buffer {
  if (!file) throw new P2PError('SETTINGS_INVALID', `${setting} is not set (gRPC over TLS needs it)`);
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new P2PError('SETTINGS_INVALID', `cannot read ${setting}: ${file}`, { cause });
  }
}

function certificatesOf(setting: string, file: string | undefined, pem: Buffer): X509Certificate[] {
  const blocks = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  try {
    if (blocks.length > 0) return blocks.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw new P2PError('SETTINGS_INVALID', `${setting} has a damaged certificate: ${file}`, { cause });
  }
  throw new P2PError('SETTINGS_INVALID', `${setting} has no certificate in PEM format: ${file}`);
}

function privateKeyOf(file: string | undefined, pem: Buffer): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new P2PError('SETTINGS_INVALID', `server_keyFile has no private key in PEM format: ${file}`, { cause });
  }
}
