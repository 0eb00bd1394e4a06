// security_level_grpc 0 to 3 with real certificates: who gets in, who does not, and which setting is named when a file
// is wrong.
import { writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type ClientTlsOptions, createPeerClient, type PeerClientOptions } from '../../src/client/index.ts';
import { type CertificateFiles, makeAuthority, makeCertificate } from '../support/certificates.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { runCli } from '../support/cli.ts';
import { NO_TLS, serveGrpc, stopGrpcAfterEach } from '../support/grpc.ts';
import { waitFor } from '../support/wait.ts';

stopGrpcAfterEach();

const folder = temporaryFolder('grpc-tls');
let authority: CertificateFiles;
let server: CertificateFiles;
let farServer: CertificateFiles;
let client: CertificateFiles;
let stranger: CertificateFiles;
let strangers: CertificateFiles;

beforeAll(async () => {
  authority = await makeAuthority(folder, 'authority');
  strangers = await makeAuthority(folder, 'strangers');
  server = await makeCertificate(folder, 'server', authority);
  farServer = await makeCertificate(folder, 'far', authority, { hosts: ['node.example'] });
  client = await makeCertificate(folder, 'client', authority);
  stranger = await makeCertificate(folder, 'stranger', strangers);
});

function level(value: number, files: CertificateFiles = server) {
  return { tls: { level: value, ...files, caFile: value === 3 ? authority.certFile : undefined } };
}

/** `OK`, or the code with which a call ended. */
async function outcome(options: PeerClientOptions): Promise<string> {
  const asked = createPeerClient({ deadlineMs: 5000, ...options });
  try {
    expect(await asked.listBanned()).toEqual([]);
    return 'OK';
  } catch (error) {
    return (error as { details: { grpcCode: string } }).details.grpcCode;
  } finally {
    asked.close();
  }
}

const trusting = (): ClientTlsOptions => ({ caFile: authority.certFile });

test('level 1 serves TLS and refuses plain clients and clients that do not trust the authority', async () => {
  const { address } = await serveGrpc(level(1));
  expect(await outcome({ address, tls: trusting() })).toBe('OK');
  expect(await outcome({ address })).toBe('UNAVAILABLE');
  expect(await outcome({ address, tls: {} })).toBe('UNAVAILABLE');
  expect(await outcome({ address, tls: { caFile: strangers.certFile } })).toBe('UNAVAILABLE');
});

test('a browser is refused, and the server goes on', async () => {
  const { address, metrics } = await serveGrpc(level(1));
  const ended = new Promise((resolve) => {
    const asked = get(`https://${address}/`, { rejectUnauthorized: false }, (response) => resolve(response.statusCode));
    asked.on('error', () => resolve('error'));
  });
  expect(await ended).not.toBe(200);
  await waitFor(() => metrics.gaugeValue('teranode_p2p_grpc_connections') === 0, { what: 'the end of the connection' });
  expect(await outcome({ address, tls: trusting() })).toBe('OK');
});

test('level 2 requires a client certificate, of any authority', async () => {
  const { address, metrics } = await serveGrpc(level(2));
  expect(await outcome({ address, tls: { ...trusting(), ...client } })).toBe('OK');
  expect(await outcome({ address, tls: { ...trusting(), ...stranger } })).toBe('OK');
  expect(await outcome({ address, tls: { ...trusting(), ...strangers } })).toBe('OK');
  expect(await outcome({ address, tls: trusting() })).toBe('UNAVAILABLE');
  const refused = metrics.count('teranode_p2p_grpc_connections_refused_total', { reason: 'no_certificate' });
  expect(refused).toBeGreaterThan(0);
});

test('level 3 requires a client certificate signed by the authority', async () => {
  const { address, metrics } = await serveGrpc(level(3));
  expect(await outcome({ address, tls: { ...trusting(), ...client } })).toBe('OK');
  expect(await outcome({ address, tls: { ...trusting(), ...stranger } })).toBe('UNAVAILABLE');
  expect(await outcome({ address, tls: trusting() })).toBe('UNAVAILABLE');
  const refused = metrics.count('teranode_p2p_grpc_connections_refused_total', { reason: 'handshake' });
  expect(refused).toBeGreaterThan(0);
});

test('a name that is not in the certificate is refused, unless that very certificate is trusted', async () => {
  const { address } = await serveGrpc(level(1, farServer));
  expect(await outcome({ address, tls: trusting() })).toBe('UNAVAILABLE');
  expect(await outcome({ address, tls: { serverCertFile: farServer.certFile } })).toBe('OK');
  expect(await outcome({ address, tls: { serverCertFile: server.certFile } })).toBe('UNAVAILABLE');
});

test('the command line connects with the settings of the server, whatever the name of its address', async () => {
  for (const value of [1, 2, 3]) {
    const { address } = await serveGrpc(level(value, farServer));
    const settings = {
      p2p_grpc_address: address,
      security_level_grpc: String(value),
      server_certFile: farServer.certFile,
      server_keyFile: farServer.keyFile,
    };
    const known = await runCli(['bans', 'list'], { ...settings, server_caFile: authority.certFile });
    expect(known).toEqual({ status: 0, stdout: 'no bans\n', stderr: '' });
    if (value < 3) expect(await runCli(['bans', 'list'], settings)).toEqual(known);
  }
});

test('stop closes TLS connections that never sent a byte', async () => {
  const { address, server: running, metrics } = await serveGrpc(level(2));
  const socket = connect(Number(address.split(':')[1]), '127.0.0.1').on('error', () => {});
  await waitFor(() => metrics.gaugeValue('teranode_p2p_grpc_connections') === 1, { what: 'the connection' });
  await running.stop();
  await waitFor(() => socket.destroyed, { what: 'the end of the connection' });
});

describe('invalid TLS files are reported with their setting', () => {
  const bad = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const tls = (changes: Partial<typeof NO_TLS> | object) => ({ ...NO_TLS, level: 1, ...server, ...changes });
  test.each([
    ['no certificate file', 'server_certFile', () => tls({ certFile: undefined })],
    ['no key file', 'server_keyFile', () => tls({ keyFile: '' })],
    ['a certificate file that is not there', 'server_certFile', () => tls({ certFile: join(folder, 'nothing') })],
    ['a key file that is not there', 'server_keyFile', () => tls({ keyFile: join(folder, 'nothing') })],
    ['a folder for a certificate', 'server_certFile', () => tls({ certFile: folder })],
    ['a key for a certificate', 'server_certFile', () => tls({ certFile: server.keyFile })],
    [
      'a damaged certificate',
      'server_certFile',
      () => tls({ certFile: bad('damaged.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n') }),
    ],
    ['an empty certificate', 'server_certFile', () => tls({ certFile: bad('empty.pem', '') })],
    ['a certificate for a key', 'server_keyFile', () => tls({ keyFile: server.certFile })],
    ['the key of another certificate', 'server_keyFile', () => tls({ keyFile: client.keyFile })],
    ['no authority at level 3', 'server_caFile', () => tls({ level: 3 })],
    ['an authority that is not there', 'server_caFile', () => tls({ level: 3, caFile: join(folder, 'nothing') })],
    ['a key for an authority', 'server_caFile', () => tls({ level: 3, caFile: server.keyFile })],
  ])('%s', async (_what, setting, options) => {
    await expect(serveGrpc({ tls: options() })).rejects.toMatchObject({
      code: 'SETTINGS_INVALID',
      message: expect.stringContaining(setting),
    });
  });

  test('invalid client files too', () => {
    const create = (options: ClientTlsOptions) => createPeerClient({ address: '127.0.0.1:1', tls: options });
    expect(() => create({ caFile: join(folder, 'nothing') })).toThrow(/cannot read the authority file/);
    expect(() => create({ ...client, keyFile: server.keyFile })).toThrow(/invalid certificate files/);
    expect(() => create({ certFile: client.certFile })).toThrow(/the key is not set/);
  });
});
