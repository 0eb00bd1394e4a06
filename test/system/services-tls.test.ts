// The node's other services over TLS, reached by what the settings of the server say: authority, client certificate,
// key.
import { afterEach, beforeAll, expect, test } from 'vitest';
import { begin } from '../support/begun-server.ts';
import { type CertificateFiles, makeAuthority, makeCertificate } from '../support/certificates.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { freePort } from '../support/kafka-broker.ts';
import { servicesAt } from '../support/network.ts';
import { awaitFailing, probe } from '../support/readiness.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const KEY = 'the key of the system tests, 4711';
const folder = temporaryFolder('services-tls');
const running: { stop(): Promise<unknown> }[] = [];
let authority: CertificateFiles;
let services: CertificateFiles;
let own: CertificateFiles;

beforeAll(async () => {
  authority = await makeAuthority(folder, 'authority');
  services = await makeCertificate(folder, 'services', authority);
  own = await makeCertificate(folder, 'own', authority);
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});

/** They want a certificate of our authority, and our key. */
async function startServices(): Promise<ReferenceServiceProcess> {
  const started = await ReferenceServiceProcess.start({
    tls: { ...services, caFile: authority.certFile },
    apiKey: KEY,
  });
  running.push(started);
  return started;
}

function settingsFor(address: string): Record<string, string> {
  return {
    ...servicesAt(address),
    security_level_grpc: '1',
    server_certFile: own.certFile,
    server_keyFile: own.keyFile,
    server_caFile: authority.certFile,
    p2p_services_api_key: KEY,
  };
}

test('all three are reached over TLS, with the server’s certificate as the client’s, and with p2p_services_api_key', async () => {
  const called = await startServices();
  const server = await ServerProcess.start({ settings: settingsFor(called.address) });
  running.push(server);
  expect(await awaitFailing(server.ready.httpAddress)).toMatchObject({
    fsm: 'RUNNING',
    block_validation: `${called.address}: OK`,
  });
  await waitFor(() => server.metric('teranode_p2p_rpc_calls_total', 'service="blockassembly"', 'code="OK"'), {
    timeoutMs: 60_000,
    what: 'an answer of block assembly',
  });
});

test('a server without the authority of the services waits, is not ready, and says why', async () => {
  const called = await startServices();
  const { server_caFile: _unset, ...settings } = settingsFor(called.address);
  const http = `127.0.0.1:${await freePort()}`;
  const begun = begin({ ...settings, p2p_http_listen_address: http });
  running.push(begun);
  await begun.awaitLine('waiting for blockchain service', /self-signed certificate|unable to .+ certificate/);
  const ready = await waitFor(async () => await probe(http, '/health/ready'), { timeoutMs: 30_000, what: 'an answer' });
  expect(ready).toMatchObject({ status: 503, body: expect.stringContaining('blockchain: FAILED') });
  expect(begun.hasLogged('ready')).toBe(false);
  expect((await called.counts()).calls).toBe(0);
});
