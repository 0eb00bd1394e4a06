// The limits of the listeners as the settings set them, on the started program: proxies, allowed names, rates, one count
// of wrong admin keys.
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPeerClient } from '../../src/client/index.ts';
import { privateNetwork } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';

const KEY = 'a key for tests only, 0815';
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({
    settings: {
      ...privateNetwork('mainnet'),
      grpc_admin_api_key: KEY,
      p2p_http_trusted_proxies: '127.0.0.0/8',
      p2p_http_allowed_hosts: 'node.example',
      p2p_http_rate: '1',
      p2p_grpc_rate: '1',
    },
  });
});

afterAll(async () => {
  await server.stop();
});

function get(headers: Record<string, string>, path = '/api/v1/sync', method = 'GET'): Promise<number> {
  return new Promise((resolve, reject) => {
    request(`http://${server.ready.httpAddress}${path}`, { headers, method, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}

test('a client behind a trusted proxy has its own rate', async () => {
  for (let i = 0; i < 10; i += 1) expect(await get({ 'x-forwarded-for': '203.0.113.1' })).toBe(200);
  expect(await get({ 'x-forwarded-for': '203.0.113.1' })).toBe(429);
  expect(await get({ 'x-forwarded-for': '203.0.113.2' })).toBe(200);
});

test('settings are read on loopback under allowed names, and by no web page', async () => {
  const from = { 'x-forwarded-for': '203.0.113.3' };
  expect(await get({ ...from, host: 'node.example' }, '/api/v1/settings')).toBe(200);
  expect(await get({ ...from, host: 'evil.example' }, '/api/v1/settings')).toBe(403);
  expect(await get({ ...from, origin: 'https://evil.example' }, '/api/v1/settings')).toBe(403);
});

test('gRPC calls have a rate, from which the admin key is exempt', async () => {
  const keyless = createPeerClient({ address: server.ready.grpcAddress });
  const codes: string[] = [];
  for (let i = 0; i < 20; i += 1) {
    codes.push(
      await keyless.listBanned().then(
        () => 'OK',
        (error) => error.details.grpcCode,
      ),
    );
  }
  keyless.close();
  expect([codes[0], codes.at(-1)]).toEqual(['OK', 'RESOURCE_EXHAUSTED']);
  const keyed = createPeerClient({ address: server.ready.grpcAddress, adminKey: KEY });
  expect(await keyed.listBanned()).toEqual([]);
  keyed.close();
});

test('wrong admin keys over gRPC block the address over HTTP too, and the right key is taken', async () => {
  const guessing = createPeerClient({ address: server.ready.grpcAddress, adminKey: 'not the key, but long enough' });
  for (let i = 0; i < 12; i += 1) await guessing.clearBanned().catch(() => undefined);
  guessing.close();
  const path = '/api/v1/bans?all=true';
  expect(await get({ 'x-api-key': 'guess' }, path, 'DELETE')).toBe(429);
  expect(await get({ 'x-api-key': KEY }, path, 'DELETE')).toBe(200);
  const lines = server.output.json.filter(({ event }) => event === 'client blocked: too many wrong admin keys');
  expect(lines).toHaveLength(1);
});
