// Keys and certificates for tests of TLS, made by openssl.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requireTool } from './tools.ts';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** An authority of this name in the folder, valid for two days. */
export function makeAuthority(folder: string, name: string): CertificateFiles {
  const files = filesOf(folder, name);
  openssl('req', '-x509', ...fresh(files.keyFile), '-out', files.certFile, '-days', '2', '-subj', `/CN=${name}`);
  return files;
}

/** A certificate signed by the authority; `subjectAltName` as openssl writes it, default loopback; `days` -1: expired yesterday. */
export function makeCertificate(
  folder: string,
  name: string,
  authority: CertificateFiles,
  subjectAltName = 'IP:127.0.0.1,DNS:localhost',
  days = 2,
): CertificateFiles {
  const files = filesOf(folder, name);
  const request = join(folder, `${name}.csr`);
  const extensions = join(folder, `${name}.ext`);
  writeFileSync(extensions, `subjectAltName=${subjectAltName}\n`);
  openssl('req', ...fresh(files.keyFile), '-out', request, '-subj', `/CN=${name}`);
  const signer = ['-CA', authority.certFile, '-CAkey', authority.keyFile, '-CAcreateserial'];
  openssl(
    'x509',
    '-req',
    '-in',
    request,
    ...signer,
    '-days',
    String(days),
    '-out',
    files.certFile,
    '-extfile',
    extensions,
  );
  return files;
}

function filesOf(folder: string, name: string): CertificateFiles {
  return { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) };
}

function fresh(keyFile: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
}

function openssl(...args: string[]): void {
  requireTool('openssl', ['version'], 'openssl');
  execFileSync('openssl', args, { stdio: 'pipe' });
}
