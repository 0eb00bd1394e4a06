// The admin interface of a started server, as programs of others see it: a Go client from our .proto files, and one
// that knows nothing but what reflection says.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GoGrpcClient } from '../support/go-grpc.ts';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const PEER = 'p2p_api.PeerService';
const UNKNOWN_PEER = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY';
let server: ServerProcess;
let peer: GoPeer;
let key: string;

beforeAll(async () => {
  server = await ServerProcess.start({ settings: privateNetwork('regtest') });
  peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest'), agent: 'go-peer-of-the-test' });
  key = readFileSync(join(server.dataFolder, 'admin.key'), 'utf8').trim();
});

afterAll(async () => {
  await Promise.all([peer?.stop(), server?.stop()]);
});

async function withClient(clientKey: string, work: (client: GoGrpcClient) => Promise<void>): Promise<void> {
  const client = new GoGrpcClient({ address: server.ready.grpcAddress, key: clientKey });
  try {
    await work(client);
  } finally {
    await client.stop();
  }
}

const CHANGING: readonly [string, object][] = [
  ['BanPeer', { addr: '10.0.0.1' }],
  ['UnbanPeer', { addr: '10.0.0.1' }],
  ['ClearBanned', {}],
  ['AddBanScore', { peerId: UNKNOWN_PEER, reason: 'spam' }],
  ['ConnectPeer', { peerAddress: '/ip4/127.0.0.1/tcp/1' }],
  ['DisconnectPeer', { peerId: UNKNOWN_PEER }],
];

test('the generated admin key is not in the log, which names its file once', async () => {
  expect(key).toMatch(/^[0-9a-f]{64}$/);
  expect(server.output.json.filter(({ event }) => event === 'generated admin key')).toHaveLength(1);
  expect(JSON.stringify(server.output.json)).not.toContain(key);
});

describe.each([
  ['stubs', undefined],
  ['reflection v1', 'v1'],
  ['reflection v1alpha', 'v1alpha'],
] as const)('admin over %s', (_name, reflection) => {
  const options = reflection === undefined ? {} : { reflection };

  test('every admin method works', () =>
    withClient(key, async (client) => {
      const call = async (method: string, request: object = {}) => {
        const { code, response, message } = await client.call(`${PEER}/${method}`, request, options);
        expect({ method, code, message: code === 'OK' ? undefined : message }).toEqual({
          method,
          code: 'OK',
          message: undefined,
        });
        return response ?? {};
      };
      const address = `${peer.addresses[0]}`;
      expect(await call('ConnectPeer', { peerAddress: address })).toMatchObject({ success: true });
      const known = await waitFor(
        async () => {
          const { peers } = (await call('GetPeers')) as { peers: Record<string, unknown>[] };
          return peers.length === 1 && peers[0]?.subVer === 'go-peer-of-the-test' && peers[0];
        },
        { what: 'the peer with its agent' },
      );
      expect(known).toMatchObject({
        id: peer.peerId,
        addr: expect.stringContaining('/ip4/127.0.0.1/tcp/'),
        whitelisted: false,
        banscore: 0,
      });
      for (const field of ['bytesSent', 'bytesReceived', 'connTime', 'lastSend', 'lastRecv'])
        expect(Number(known[field])).toBeGreaterThan(0);
      expect(await call('DisconnectPeer', { peerId: peer.peerId })).toMatchObject({ success: true });
      await waitFor(async () => ((await call('GetPeers')) as { peers?: unknown[] }).peers?.length !== 1, {
        what: 'the end',
      });
      expect(await call('DisconnectPeer', { peerId: UNKNOWN_PEER })).toMatchObject({
        success: false,
        error: expect.stringMatching(/not connected/),
      });
      expect(await call('ConnectPeer', { peerAddress: '/ip4/127.0.0.1/tcp/1' })).toMatchObject({
        success: false,
        error: expect.stringMatching(/./),
      });

      expect(await call('BanPeer', { addr: '::ffff:10.1.2.3' })).toMatchObject({ ok: true });
      expect(
        await call('BanPeer', { addr: '10.9.9.9/8', until: String(Math.floor(Date.now() / 1000) + 60) }),
      ).toMatchObject({ ok: true });
      expect(((await call('ListBanned')) as { banned: string[] }).banned.sort()).toEqual(['10.0.0.0/8', '10.1.2.3']);
      expect(await call('IsBanned', { ipOrSubnet: '10.77.1.1:9905' })).toMatchObject({ isBanned: true });
      expect(await call('UnbanPeer', { addr: '10.0.0.0/8' })).toMatchObject({ ok: true });
      expect((await call('IsBanned', { ipOrSubnet: '10.77.1.1' })).isBanned ?? false).toBe(false);
      expect(await call('AddBanScore', { peerId: UNKNOWN_PEER, reason: 'spam' })).toMatchObject({ ok: true });
      expect(await call('AddBanScore', { peerId: UNKNOWN_PEER, reason: 'spam' })).toMatchObject({ ok: true });
      expect(await call('IsBanned', { ipOrSubnet: UNKNOWN_PEER })).toMatchObject({ isBanned: true });
      const explained = await client.call('teranode_p2p.PolicyService/Explain', { subject: UNKNOWN_PEER }, options);
      expect(JSON.stringify(explained.response)).toContain('operator');
      expect(await call('ClearBanned')).toMatchObject({ ok: true });
      expect((await call('ListBanned')).banned ?? []).toEqual([]);
      expect((await call('IsBanned', { ipOrSubnet: UNKNOWN_PEER })).isBanned ?? false).toBe(false);
    }));

  test.each(['', 'wrong', 'x'.repeat(64)])(
    'every method that changes state is refused without the right key (%j)',
    (wrong) =>
      withClient(wrong, async (client) => {
        for (const [method, request] of CHANGING)
          expect({ method, ...(await client.call(`${PEER}/${method}`, request, options)) }).toMatchObject({
            method,
            // The latter after ten wrong keys.
            code: expect.stringMatching(wrong === '' ? /^Unauthenticated$/ : /^(Unauthenticated|ResourceExhausted)$/),
          });
        expect(await client.call(`${PEER}/ListBanned`, {}, options)).toMatchObject({ code: 'OK' });
        expect(
          (await client.call(`${PEER}/IsBanned`, { ipOrSubnet: '10.0.0.1' }, options)).response?.isBanned ?? false,
        ).toBe(false);
      }),
  );

  test('an invalid address, subnet, peer ID, reason or time is INVALID_ARGUMENT and changes nothing', () =>
    withClient(key, async (client) => {
      const malformed: readonly [string, object][] = [
        ...[
          '',
          'nonsense',
          '1.2.3',
          '256.1.1.1',
          '1.2.3.4/33',
          '::1/129',
          'fe80::1%',
          '192.0.2.1%eth0',
          '12D3KooWnope',
          'a'.repeat(600),
        ].flatMap((addr): [string, object][] => [
          ['BanPeer', { addr }],
          ['UnbanPeer', { addr }],
          ['IsBanned', { ipOrSubnet: addr }],
        ]),
        ['BanPeer', { addr: '10.0.0.1', until: '1' }],
        ['BanPeer', { addr: '10.0.0.1', until: '-5' }],
        ['AddBanScore', { peerId: 'nonsense', reason: 'spam' }],
        ['AddBanScore', { peerId: UNKNOWN_PEER, reason: 'because' }],
        ['AddBanScore', { peerId: UNKNOWN_PEER, reason: '' }],
        ...[
          'nonsense',
          '/',
          '/ip4/127.0.0.1',
          '/ip4/127.0.0.1/tcp/0',
          '/ip4/127.0.0.1/tcp/65536',
          '/ip4/127.0.0.256/tcp/1',
          '/ip4/127.0.0.1/udp/1/quic-v1',
          '/p2p/notapeer',
          '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWnope',
          `/ip4/127.0.0.1/tcp/1/p2p/${UNKNOWN_PEER}/p2p-circuit`,
        ].map((peerAddress): [string, object] => ['ConnectPeer', { peerAddress }]),
        ['DisconnectPeer', { peerId: 'nonsense' }],
      ];
      for (const [method, request] of malformed)
        expect({ method, request, ...(await client.call(`${PEER}/${method}`, request, options)) }).toMatchObject({
          method,
          request,
          code: 'InvalidArgument',
          message: expect.stringMatching(/.{10}/),
        });
      expect((await client.call(`${PEER}/ListBanned`, {}, options)).response?.banned ?? []).toEqual([]);
    }));
});

test('a short key is refused at start where others reach the listener', async () => {
  const { code, errors } = await ServerProcess.runToEnd({
    settings: { ...privateNetwork('mainnet'), p2p_grpc_listen_address: ':0', grpc_admin_api_key: 'short' },
  });
  expect(code).toBe(2);
  expect(errors).toContain('grpc_admin_api_key');
  expect(errors).not.toContain('= short');
});

test.each(['testkey', 'dummy-admin-key', 'changemechangeme'])(
  'a well-known key (%s) opens nothing: a generated one does',
  async (weak) => {
    const other = await ServerProcess.start({ settings: { ...privateNetwork('regtest'), grpc_admin_api_key: weak } });
    try {
      const generated = readFileSync(join(other.dataFolder, 'admin.key'), 'utf8').trim();
      for (const [clientKey, code] of [
        [weak, 'Unauthenticated'],
        [generated, 'OK'],
      ] as const) {
        const client = new GoGrpcClient({ address: other.ready.grpcAddress, key: clientKey });
        expect(await client.call(`${PEER}/ClearBanned`, {}, {})).toMatchObject({ code });
        await client.stop();
      }
    } finally {
      await other.stop();
    }
  },
);
