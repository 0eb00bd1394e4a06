// A real nginx in front of a server, with deploy/nginx.conf: only its addresses and certificate files are others.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CertificateFiles, makeAuthority, makeCertificate } from './certificates.ts';
import { endWithTests, temporaryFolder } from './cleanup.ts';
import { freePort } from './kafka-broker.ts';
import { REPO } from './repo.ts';
import { requireTool } from './tools.ts';
import { waitFor } from './wait.ts';

export class Nginx {
  /** `127.0.0.1:port`. */
  readonly address: string;
  readonly authority: CertificateFiles;
  private readonly child: ChildProcess;

  private constructor(address: string, authority: CertificateFiles, child: ChildProcess) {
    this.address = address;
    this.authority = authority;
    this.child = child;
  }

  /** In front of the HTTP and the gRPC address of a server. Throws with what `nginx -t` says of the configuration. */
  static async start(httpAddress: string, grpcAddress: string): Promise<Nginx> {
    requireTool('nginx', ['-v'], 'Debian package nginx');
    const folder = temporaryFolder('nginx');
    const authority = await makeAuthority(folder, 'authority');
    const certificate = await makeCertificate(folder, 'proxy', authority);
    const address = `127.0.0.1:${await freePort()}`;
    writeFileSync(join(folder, 'site.conf'), siteFor({ address, httpAddress, grpcAddress, certificate }));
    writeFileSync(join(folder, 'nginx.conf'), mainConfiguration(folder));
    const args = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')];
    // Throws with its complaint.
    const checked = execFileSync('nginx', [...args, '-t'], { encoding: 'utf8', stdio: 'pipe', timeout: 30_000 });
    const child = spawn('nginx', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    endWithTests(child);
    const nginx = new Nginx(address, authority, child);
    await waitFor(() => nginx.isUp(), { what: `nginx ${checked}` });
    return nginx;
  }

  get ca(): Buffer {
    return readFileSync(this.authority.certFile);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const exited = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGTERM');
    await exited;
  }

  private isUp(): boolean {
    if (this.child.exitCode !== null) throw new Error(`nginx ended with ${this.child.exitCode}`);
    const [, port = ''] = this.address.split(':');
    const hex = Number(port).toString(16).toUpperCase().padStart(4, '0');
    // In the state LISTEN.
    return new RegExp(`:${hex} 00000000:0000 0A`).test(readFileSync('/proc/net/tcp', 'utf8'));
  }
}

interface Site {
  readonly address: string;
  readonly httpAddress: string;
  readonly grpcAddress: string;
  readonly certificate: CertificateFiles;
}

function siteFor({ address, httpAddress, grpcAddress, certificate }: Site): string {
  let site = readFileSync(join(REPO, 'deploy/nginx.conf'), 'utf8');
  for (const [written, here] of [
    ['  listen 443 ssl http2;', `  listen ${address} ssl http2;`],
    ['  listen [::]:443 ssl http2;\n', ''],
    ['127.0.0.1:9906', httpAddress],
    ['127.0.0.1:9904', grpcAddress],
    ['/etc/nginx/tls/node.example.crt', certificate.certFile],
    ['/etc/nginx/tls/node.example.key', certificate.keyFile],
  ] as const) {
    const parts = site.split(written);
    if (parts.length !== 2)
      throw new Error(`deploy/nginx.conf has ${JSON.stringify(written)} ${parts.length - 1} times`);
    site = parts.join(here);
  }
  return site;
}

function mainConfiguration(folder: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `daemon off;
master_process off;
pid ${join(folder, 'nginx.pid')};
events { worker_connections 256; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${join(folder, name)};`).join('\n  ')}
  include ${join(folder, 'site.conf')};
}
`;
}
