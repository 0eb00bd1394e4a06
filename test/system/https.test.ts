// HTTPS and WSS of a running node, from outside, with certificates made here: who gets in, what is refused at start,
// what a new certificate needs.
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type CertificateFiles, makeAuthority, makeCertificate } from '../support/certificates.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { GoWsClients } from '../support/go-ws.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';
import { ask, cutAll, RawWebSocket } from '../support/websocket.ts';

const folder = temporaryFolder('https-system');
const GET_HEALTH = 'GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
const running: { stop(): Promise<unknown> }[] = [];
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

afterEach(async () => {
  cutAll();
  await Promise.all(running.splice(0).map((each) => each.stop()));
});

function settingsOf(files: CertificateFiles): Record<string, string> {
  return { securityLevelHTTP: '1', server_certFile: files.certFile, server_keyFile: files.keyFile };
}

async function start(files: CertificateFiles): Promise<ServerProcess> {
  const server = await ServerProcess.start({
    settings: { ...settingsOf(files), embedded_chain_mine_interval: '300ms' },
  });
  running.push(server);
  return server;
}

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

test('serves HTTPS and WSS, and nothing without TLS', async () => {
  const server = await start(first);
  const address = server.ready.httpAddress;
  const answer = await ask(address, GET_HEALTH, ca);
  expect([answer.status, answer.body]).toEqual([200, 'OK']);
  await expect(ask(address, GET_HEALTH)).rejects.toThrow('closed without an answer');
  const go = new GoWsClients();
  running.push(go);
  const url = `wss://${address}/p2p-ws`;
  const opened = await go.open({ group: 'secure', url, clients: 5, caFile: authority.certFile, keep: 1 });
  expect(opened).toEqual({ opened: 5, refused: {} });
  await waitFor(async () => ((await go.report('secure')).types.block?.min ?? 0) >= 2, { what: 'blocks over WSS' });
  expect(JSON.parse((await go.frames('secure'))[0] ?? '{}')).toMatchObject({
    type: 'node_status',
    peer_id: server.peerId,
  });
  const untrusting = await go.open({ group: 'none', url, clients: 1 });
  expect(untrusting.opened).toBe(0);
});

describe('refuses unusable certificate files at start, with the name of the setting and exit code 2', () => {
  test.each<readonly [string, string, () => CertificateFiles | Promise<CertificateFiles>]>([
    ['missing certificate', 'server_certFile', () => ({ ...first, certFile: join(folder, 'nothing') })],
    ['missing key', 'server_keyFile', () => ({ ...first, keyFile: join(folder, 'nothing') })],
    ['wrong: files swapped', 'server_certFile', () => ({ certFile: first.keyFile, keyFile: first.certFile })],
    ['mismatched key', 'server_keyFile', () => ({ ...first, keyFile: second.keyFile })],
    ['expired', 'server_certFile', () => makeCertificate(folder, 'expired', authority, { isExpired: true })],
  ])('%s', async (_what, setting, files) => {
    const { code, errors } = await ServerProcess.runToEnd({ settings: settingsOf(await files()) });
    expect(errors).toContain(setting);
    expect(code).toBe(2);
  });
});

test('a replaced certificate is served without a restart, and open connections stay', async () => {
  const files = { certFile: join(folder, 'served.pem'), keyFile: join(folder, 'served.key') };
  copyFileSync(first.certFile, files.certFile);
  copyFileSync(first.keyFile, files.keyFile);
  const server = await start(files);
  const address = server.ready.httpAddress;
  const client = await RawWebSocket.open(address, { ca });
  expect(await servedName(address)).toBe('first');
  copyFileSync(second.certFile, files.certFile);
  copyFileSync(second.keyFile, files.keyFile);
  await waitFor(async () => (await servedName(address)) === 'second', { what: 'the new certificate' });
  const before = client.messages('block').length;
  await client.received(before + 2, 'block');
  expect(client.isGone).toBe(false);

  copyFileSync(first.keyFile, files.keyFile);
  await waitFor(
    () =>
      server.output.json.some(({ event }) => event === 'failed to reload the certificate; still serving the old one'),
    {
      what: 'the warning',
    },
  );
  expect(await servedName(address)).toBe('second');
});
