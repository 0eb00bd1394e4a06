// doctor compares the settings that it loaded with those that the running node tells, over HTTP or else over gRPC.
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { checkNodeSettings } from '../../../src/app/doctor/node-settings.ts';
import type { NodeSummary, PeerClient } from '../../../src/client/index.ts';
import { loadText, MINIMAL_SETTINGS } from '../../support/settings.ts';

const KEY = 'k'.repeat(32);
const LOADED = loadText(`${MINIMAL_SETTINGS}\nnetwork = regtest\np2p_wire = message-bus\ngrpc_admin_api_key = ${KEY}`);
const SAME = LOADED.effective.map(({ key, shown }) => ({ key, value: shown }));
const OWN_NETWORK = { wire: 'message-bus', topicPrefix: 'teranode/bitcoin/1.0.0/regtest', listenAddresses: [] };

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function check(status: Partial<NodeSummary>) {
  const node = { status: async () => ({ networks: [OWN_NETWORK], ...status }) } as unknown as PeerClient;
  return checkNodeSettings(LOADED, node, '/', AbortSignal.timeout(20_000));
}

test('the admin key is sent only after the node has asked for it, and a secret that is set on both sides is equal', async () => {
  const keys: unknown[] = [];
  const httpUrl = await serve(({ headers }, response) => {
    keys.push(headers['x-api-key']);
    response.statusCode = headers['x-api-key'] === KEY ? 200 : 401;
    response.end(JSON.stringify({ settings: SAME }));
  });
  expect(await check({ httpUrl })).toMatchObject({ ok: true, advice: '' });
  expect(keys).toEqual([undefined, KEY]);
});

test('a setting that decides nothing for doctor is named and is no failure; the data folder is not compared', async () => {
  const changed = { logLevel: 'ERROR', dataFolder: '/elsewhere', unknownHere: '1' } as Record<string, string>;
  const settings = SAME.map(({ key, value }) => ({ key, value: changed[key] ?? value }));
  const httpUrl = await serve((_request, response) => response.end(JSON.stringify({ settings })));
  const { ok, found } = await check({ httpUrl });
  expect({ ok, found }).toMatchObject({ ok: true, found: expect.stringMatching(/judges by: logLevel$/) });
});

test.each([
  ['has no HTTP', undefined, 'it serves no HTTP'],
  ['is refused', (response) => response.writeHead(401).end(), 'status 401'],
  ['answers something else', (response) => response.end('{"settings":7}'), 'the answer has no settings'],
  ['answers without end', (response) => void response.write('x'.repeat(2 ** 21)), 'longer than 1048576 bytes'],
  ['hangs up', (response) => response.destroy(), 'GET http'],
] as [string, ((response: Parameters<RequestListener>[1]) => unknown) | undefined, string][])(
  'wire and topic prefix are compared over gRPC when the node %s over HTTP',
  async (_what, answer, reason) => {
    const httpUrl = answer && (await serve((_request, response) => void answer(response)));
    const same = await check({ httpUrl });
    expect(same).toMatchObject({ ok: null, found: expect.stringContaining(reason) });
    const other = await check({ httpUrl, networks: [{ ...OWN_NETWORK, topicPrefix: 'elsewhere' }] });
    expect(other).toMatchObject({ ok: false, advice: expect.stringContaining('SETTINGS_CONTEXT') });
    expect(other.found).toMatch(
      /is message-bus elsewhere there and message-bus teranode\/bitcoin\/1\.0\.0\/regtest here/,
    );
  },
);
