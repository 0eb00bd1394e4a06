// Keys and certificates for tests of TLS: P-256, PKCS#8, PEM.
import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface CertificateOptions {
  /** Names and addresses that it is good for; default loopback. */
  readonly hosts?: readonly string[];
  /** Since yesterday. */
  readonly isExpired?: boolean;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 86_400_000;

/** An authority of this name in the folder, valid for two days. */
export async function makeAuthority(folder: string, name: string): Promise<CertificateFiles> {
  const keys = await freshKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    serialNumber: serialNumber(),
    ...validity(false),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return await written(folder, name, certificate, keys);
}

/** A certificate signed by the authority. */
export async function makeCertificate(
  folder: string,
  name: string,
  authority: CertificateFiles,
  { hosts = ['127.0.0.1', 'localhost'], isExpired = false }: CertificateOptions = {},
): Promise<CertificateFiles> {
  const keys = await freshKeys();
  const issuer = new X509Certificate(readFileSync(authority.certFile, 'utf8'));
  const issuerKey = PemConverter.decodeFirst(readFileSync(authority.keyFile, 'utf8'));
  const certificate = await X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey: await crypto.subtle.importKey('pkcs8', issuerKey, ALGORITHM, false, ['sign']),
    serialNumber: serialNumber(),
    ...validity(isExpired),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new SubjectAlternativeNameExtension(
        hosts.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
      ),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return await written(folder, name, certificate, keys);
}

async function freshKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

/** A positive number of 16 bytes without leading zeros. */
function serialNumber(): string {
  return `01${randomBytes(15).toString('hex')}`;
}

function validity(isExpired: boolean): { readonly notBefore: Date; readonly notAfter: Date } {
  const fromMs = Date.now() - (isExpired ? 2 * DAY_MS : 0);
  return { notBefore: new Date(fromMs), notAfter: new Date(fromMs + (isExpired ? DAY_MS : 2 * DAY_MS)) };
}

async function written(
  folder: string,
  name: string,
  certificate: X509Certificate,
  { privateKey }: CryptoKeyPair,
): Promise<CertificateFiles> {
  const files = { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) };
  const key = await crypto.subtle.exportKey('pkcs8', privateKey);
  writeFileSync(files.certFile, `${certificate.toString('pem')}\n`);
  writeFileSync(files.keyFile, `${PemConverter.encode(key, 'PRIVATE KEY')}\n`, { mode: 0o600 });
  return files;
}
