// How the blockchain client finds its service: addresses, TLS, key, a server that says nothing, and that nothing is
// left open in the end.
import { spawn } from 'node:child_process';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { GrpcBlockchainClient } from '../../src/adapters/services/blockchain-client.ts';
import { serviceAddress } from '../../src/adapters/services/service-address.ts';
import { makeAuthority, makeCertificate } from '../support/certificates.ts';
import { endWithTests, temporaryFolder } from '../support/cleanup.ts';
import { freePort } from '../support/kafka-broker.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { atEnd, freshParts, QUICK, startClient, stopClientsAfterEach } from '../support/rpc-clients.ts';
import { waitFor } from '../support/wait.ts';

const VISITOR = fileURLToPath(new URL('../support/rpc-visitor.ts', import.meta.url));

stopClientsAfterEach();

test.each([
  ['localhost:8087', 'dns:///localhost:8087', 'localhost'],
  ['k8s:///blockchain.teranode.svc:8087', 'dns:///blockchain.teranode.svc:8087', 'blockchain.teranode.svc'],
  ['http://10.0.0.1:8087', 'dns:///10.0.0.1:8087', '10.0.0.1'],
  ['[::1]:8087', 'dns:///[::1]:8087', '::1'],
])('%s is dialled as %s', (address, target, host) => {
  expect(serviceAddress(address)).toEqual({ target, host });
});

test.each(['', 'localhost', 'k8s://blockchain:8087', 'localhost:70000', 'a b:1', 'unix:///tmp/x:1'])(
  '%j is refused',
  async (address) => {
    expect(() => serviceAddress(address)).toThrow(expect.objectContaining({ code: 'ADDRESS_INVALID' }));
    const client = new GrpcBlockchainClient(freshParts(), { ...QUICK, address });
    await expect(client.start(new AbortController().signal)).rejects.toMatchObject({ code: 'ADDRESS_INVALID' });
  },
);

test('a k8s address is resolved and dialled, and each call carries the API key', async () => {
  const service = await ReferenceServiceProcess.start({ apiKey: 'secret' });
  atEnd(() => service.stop());
  const address = service.address.replace('127.0.0.1:', 'k8s:///localhost:');
  const { client } = await startClient(address, { apiKey: 'secret' });
  expect(await client.fsmState()).toBe('RUNNING');
  const { client: stranger } = await startClient(address);
  await expect(stranger.fsmState()).rejects.toMatchObject({ details: { grpcCode: 'UNAUTHENTICATED' } });
  await expect(startClient(address, { apiKey: 'no\nheader' })).rejects.toMatchObject({ code: 'SETTINGS_INVALID' });
});

test('with TLS, both sides check the certificate authority', async () => {
  const folder = temporaryFolder('rpc-tls');
  const [ours, others] = [await makeAuthority(folder, 'ours'), await makeAuthority(folder, 'others')];
  const server = await makeCertificate(folder, 'server', ours);
  const visitor = await makeCertificate(folder, 'visitor', ours);
  const service = await ReferenceServiceProcess.start({ tls: { ...server, caFile: ours.certFile } });
  atEnd(() => service.stop());
  const { client } = await startClient(service.address, { tls: { caFile: ours.certFile, ...visitor } });
  expect(await client.fsmState()).toBe('RUNNING');
  const away = { details: { grpcCode: 'UNAVAILABLE' } };
  const wrong = [{ caFile: others.certFile, ...visitor }, { caFile: ours.certFile }, undefined];
  for (const tls of wrong) {
    const { client: refused } = await startClient(service.address, { tls, maxRetries: 1 });
    await expect(refused.fsmState()).rejects.toMatchObject(away);
  }
  await expect(startClient(service.address, { tls: { caFile: join(folder, 'none') } })).rejects.toMatchObject({
    code: 'SETTINGS_INVALID',
  });
});

test('a server that accepts connections and never answers is dialled again', async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket.on('error', () => {})));
  const port = await freePort();
  await new Promise<void>((resolve) => silent.listen(port, '127.0.0.1', resolve));
  atEnd(() => {
    for (const each of sockets) each.destroy();
    silent.close();
  });
  const { client, log } = await startClient(`127.0.0.1:${port}`);
  await expect(client.fsmState()).rejects.toMatchObject({ details: { grpcCode: 'DEADLINE_EXCEEDED' } });
  // It listens no longer, yet its connections stay as they are.
  silent.close();
  const service = await ReferenceServiceProcess.start({ port });
  atEnd(() => service.stop());
  await waitFor(async () => (await client.fsmState()) === 'RUNNING', { what: 'the service' });
  expect(log.lines.some(({ event }) => event === 'reconnecting to service')).toBe(true);
});

test.each(['connected', 'away', 'silent'])(
  'nothing is left open after stop: a program that was %s ends',
  async (how) => {
    const silent = createServer((socket) => socket.on('error', () => {}));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    atEnd(() => {
      silent.close();
    });
    const service = await ReferenceServiceProcess.start();
    atEnd(() => service.stop());
    const silentPort = (silent.address() as { port: number }).port;
    const port = how === 'away' ? await freePort() : silentPort;
    const address = how === 'connected' ? service.address : `127.0.0.1:${port}`;
    const child = spawn(process.execPath, [VISITOR, address, how], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    endWithTests(child);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    expect(await ended).toBe(0);
    // Nothing keeps the process after that.
    expect(Number(/stopped\n(\d+)/.exec(output)?.[1])).toBeLessThan(1000);
  },
);
