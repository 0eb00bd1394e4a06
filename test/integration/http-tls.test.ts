// HTTPS and WSS: which files are refused at start, and that a changed certificate is served without a restart and
// without closing connections.
import { copyFileSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { beforeAll, describe, expect, test } from 'vitest';
import { HttpServer } from '../../src/adapters/http/server/http-server.ts';
import { FakeClock, recordingLogger } from '../fakes/recorders.ts';
import { type CertificateFiles, makeAuthority, makeCertificate } from '../support/certificates.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { serveHttp, stopHttpAfterEach, subtree } from '../support/http.ts';
import { waitFor } from '../support/wait.ts';
import { ask, dialSocket, RawWebSocket } from '../support/websocket.ts';

stopHttpAfterEach();

const folder = temporaryFolder('https');
const GET_HEALTH = 'GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
let authority: CertificateFiles;
let first: CertificateFiles;
let second: CertificateFiles;
let ca: Buffer;

beforeAll(async () => {
  authority = await makeAuthority(folder, 'authority');
  first = await makeCertificate(folder, 'first', authority);
  second = await makeCertificate(folder, 'second', authority);
  ca = readFileSync(authority.certFile);
});

/** Common name of the certificate that a new connection is shown. */
async function servedName(address: string): Promise<string> {
  const { hostname, port } = new URL(`https://${address}`);
  const socket = connect({ host: hostname, port: Number(port), ca });
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  });
  const name = String(socket.getPeerCertificate().subject.CN);
  socket.destroy();
  return name;
}

/** A pair of its own for a test that changes it. */
function copyOf(name: string, files: CertificateFiles): CertificateFiles {
  const copy = { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) };
  copyFileSync(files.certFile, copy.certFile);
  copyFileSync(files.keyFile, copy.keyFile);
  return copy;
}

test('serves HTTPS and WSS with the certificate of the settings, and no plain HTTP', async () => {
  const { address, notifications } = await serveHttp({ tls: first });
  const answer = await ask(address, GET_HEALTH, ca);
  expect([answer.status, answer.body]).toEqual([200, 'OK']);
  const client = await RawWebSocket.open(address, { ca });
  notifications.publish(subtree(1));
  expect((await client.received(2)).map(({ type }) => type)).toEqual(['node_status', 'subtree']);
  await expect(ask(address, GET_HEALTH)).rejects.toThrow('closed without an answer');
  expect(await servedName(address)).toBe('first');
});

describe('certificate files that are refused at start', () => {
  const missing = () => join(folder, 'nothing');
  const nonsense = () => {
    const file = join(folder, 'nonsense');
    writeFileSync(file, 'nonsense');
    return file;
  };
  const damaged = () => {
    const file = join(folder, 'damaged');
    writeFileSync(file, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    return file;
  };

  test.each<readonly [string, string, () => CertificateFiles | Promise<CertificateFiles>]>([
    ['a certificate that is missing', 'failed to read server_certFile', () => ({ ...first, certFile: missing() })],
    ['a key that is missing', 'failed to read server_keyFile', () => ({ ...first, keyFile: missing() })],
    ['a folder', 'failed to read server_certFile', () => ({ ...first, certFile: folder })],
    ['no certificate', 'has no certificate (expected PEM)', () => ({ ...first, certFile: nonsense() })],
    ['a damaged one', 'has an invalid certificate', () => ({ ...first, certFile: damaged() })],
    ['no key', 'has no usable private key', () => ({ ...first, keyFile: nonsense() })],
    ['files swapped', 'has no certificate', () => ({ certFile: first.keyFile, keyFile: first.certFile })],
    ['the key of another', 'is not the key of server_certFile', () => ({ ...first, keyFile: second.keyFile })],
    ['an expired certificate', 'expired at', () => makeCertificate(folder, 'expired', authority, { isExpired: true })],
  ])('%s', async (_what, message, files) => {
    await expect(serveHttp({ tls: await files() })).rejects.toMatchObject({
      code: 'SETTINGS_INVALID',
      message: expect.stringContaining(message),
    });
  });

  test('refuses a certificate that is not valid yet', async () => {
    const sources = {
      health: async () => ({ status: 200, message: 'OK', checks: [] }),
      scrape: async () => ({ contentType: '', body: '' }),
    };
    const server = new HttpServer(
      { log: recordingLogger(), sources, clock: new FakeClock() },
      { listenAddress: '127.0.0.1:0', tls: first, routes: 'full' },
    );
    await expect(server.start()).rejects.toMatchObject({ message: expect.stringContaining('is not valid before') });
  });
});

describe('a replaced certificate', () => {
  test('is served to new connections while open ones stay', async () => {
    const files = copyOf('replaced', first);
    const { address, notifications, log, metrics } = await serveHttp({ tls: files });
    const client = await RawWebSocket.open(address, { ca });
    const idle = await dialSocket(address, ca);
    copyFileSync(second.keyFile, files.keyFile);
    copyFileSync(second.certFile, files.certFile);
    await waitFor(async () => (await servedName(address)) === 'second', { what: 'the new certificate' });
    notifications.publish(subtree(1));
    await client.received(1, 'subtree');
    expect(idle.destroyed).toBe(false);
    expect(log.lines.some(({ event }) => event === 'certificate reloaded')).toBe(true);
    expect(metrics.count('teranode_p2p_http_certificate_reloads_total', { result: 'served' })).toBe(1);
    expect(metrics.gaugeValue('teranode_p2p_http_certificate_expiry_timestamp_seconds')).toBeGreaterThan(
      Date.now() / 1000,
    );
  });

  test('is found when files are replaced by name, and when a link changes as in Kubernetes', async () => {
    const files = copyOf('renamed', first);
    const { address } = await serveHttp({ tls: files });
    const fresh = copyOf('renamed-fresh', second);
    renameSync(fresh.keyFile, files.keyFile);
    renameSync(fresh.certFile, files.certFile);
    await waitFor(async () => (await servedName(address)) === 'second', { what: 'the new certificate' });

    const mounted = temporaryFolder('mounted');
    const link = join(mounted, '..data');
    symlinkSync(folder, link);
    const linked = { certFile: join(mounted, 'tls.crt'), keyFile: join(mounted, 'tls.key') };
    copyOf('tls', first);
    symlinkSync(join(link, 'tls.pem'), linked.certFile);
    symlinkSync(join(link, 'tls.key'), linked.keyFile);
    const other = await serveHttp({ tls: linked });
    expect(await servedName(other.address)).toBe('first');
    const next = temporaryFolder('next');
    copyFileSync(second.certFile, join(next, 'tls.pem'));
    copyFileSync(second.keyFile, join(next, 'tls.key'));
    symlinkSync(next, join(mounted, '..data_tmp'));
    renameSync(join(mounted, '..data_tmp'), link);
    await waitFor(async () => (await servedName(other.address)) === 'second', { what: 'the new certificate' });
  });

  test('is refused while it is invalid, logged once, and the old one is still served', async () => {
    const files = copyOf('wrong', first);
    const { address, log, metrics } = await serveHttp({ tls: files });
    const warnings = () => log.lines.filter(({ level }) => level === 'warn');
    copyFileSync(second.certFile, files.certFile);
    await waitFor(() => warnings().length === 1, { what: 'a warning' });
    expect(warnings()[0]?.fields.err).toMatchObject({ message: expect.stringContaining('is not the key of') });
    expect(await servedName(address)).toBe('first');
    writeFileSync(files.certFile, '');
    await waitFor(() => warnings().length === 2, { what: 'another warning' });
    expect(await servedName(address)).toBe('first');
    expect(metrics.count('teranode_p2p_http_certificate_reloads_total', { result: 'refused' })).toBe(2);
    copyFileSync(second.certFile, files.certFile);
    copyFileSync(second.keyFile, files.keyFile);
    await waitFor(async () => (await servedName(address)) === 'second', { what: 'the new certificate' });
  });
});
