// A Go client, with stubs generated from our .proto files and by reflection, against the gRPC that this node serves.
import { beforeAll, describe, expect, test } from 'vitest';
import { makeAuthority, makeCertificate } from '../support/certificates.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { GoGrpcClient, type GoGrpcOptions, goGrpcBinary } from '../support/go-grpc.ts';
import { ADMIN_KEY, EXPLANATION, KNOWN_PEER, PEER, serveGrpc, stopGrpcAfterEach } from '../support/grpc.ts';

const running: GoGrpcClient[] = [];

stopGrpcAfterEach(async () => {
  await Promise.all(running.splice(0).map((client) => client.stop()));
});

beforeAll(() => {
  goGrpcBinary();
});

function goClient(options: GoGrpcOptions): GoGrpcClient {
  const client = new GoGrpcClient(options);
  running.push(client);
  return client;
}

const peerService = (method: string) => `p2p_api.PeerService/${method}`;
const policyService = (method: string) => `teranode_p2p.PolicyService/${method}`;

describe('with the admin key', () => {
  test('GetPeers returns every known field under its Go name', async () => {
    const { address, admin } = await serveGrpc();
    admin.connected = [KNOWN_PEER];
    const { code, response } = await goClient({ address }).call(peerService('GetPeers'));
    expect(code).toBe('OK');
    expect(response).toEqual({
      peers: [
        {
          id: PEER,
          addr: '/ip4/192.0.2.7/tcp/9905',
          addrLocal: KNOWN_PEER.localAddress,
          services: '18446744073709551615',
          lastSend: '1700000100',
          lastRecv: '1700000200',
          sendSize: '0',
          recvSize: '0',
          sendMemory: '0',
          pauseSend: false,
          unpauseSend: false,
          bytesSent: '5000000000',
          bytesReceived: '123',
          avgRecvBandwidth: '0',
          assocId: '',
          streamPolicy: '',
          inbound: true,
          connTime: '1700000000',
          pingTime: '1250',
          timeOffset: '0',
          version: 0,
          subVer: 'teranode/bitcoin/v0.1.0',
          startingHeight: 886_000,
          currentHeight: 886_001,
          banscore: 30,
          whitelisted: true,
          feeFilter: '0',
        },
      ],
    });
  });

  test('ListPeers returns what decides whether we sync from a peer', async () => {
    const { address, admin } = await serveGrpc();
    admin.connected = [KNOWN_PEER];
    const { response } = await goClient({ address }).call(policyService('ListPeers'));
    expect(response).toEqual({
      peers: [
        {
          peer: expect.objectContaining({ id: PEER, currentHeight: 886_001 }),
          height: 886_001,
          startingHeight: 886_000,
          bestBlockHash: KNOWN_PEER.bestBlockHash,
          claimedAtMs: '1700000150500',
          provenHeight: 886_000,
          provenHash: KNOWN_PEER.provenHash,
          dataHubUrl: 'https://hub.example/api/v1',
          dataHubHealth: 'healthy',
          lastMessageMs: '1700000160500',
          banned: false,
        },
      ],
    });
  });

  test('bans and scores', async () => {
    const { address, admin } = await serveGrpc();
    const go = goClient({ address, key: ADMIN_KEY });
    const call = async (method: string, request: object = {}) => (await go.call(peerService(method), request)).response;
    const until = Math.floor(Date.now() / 1000) + 60;
    expect(await call('BanPeer', { addr: '192.0.2.0/24', until: String(until) })).toEqual({
      ok: true,
      notStored: false,
    });
    expect(admin.lastArgs('ban')).toEqual(['192.0.2.0/24', until * 1000, '']);
    expect(await call('BanPeer', { addr: PEER })).toEqual({ ok: true, notStored: false });
    expect(admin.lastArgs('ban')).toEqual([PEER, undefined, '']);
    expect(await call('IsBanned', { ipOrSubnet: PEER })).toEqual({ isBanned: true });
    expect(await call('IsBanned', { ipOrSubnet: '198.51.100.1' })).toEqual({ isBanned: false });
    expect(await call('ListBanned')).toEqual({ banned: ['192.0.2.0/24', PEER] });
    expect(await call('UnbanPeer', { addr: PEER })).toEqual({ ok: true, notStored: false, coveredBy: '' });
    expect(await call('AddBanScore', { peerId: PEER, reason: 'invalid_subtree' })).toEqual({ ok: true });
    expect(await call('ClearBanned')).toEqual({ ok: true, notStored: false });
    expect(await call('ListBanned')).toEqual({ banned: [] });
  });

  test('connecting reports failures as answers', async () => {
    const { address, admin } = await serveGrpc();
    admin.connected = [KNOWN_PEER];
    const go = goClient({ address, key: ADMIN_KEY });
    const connect = (peerAddress: string) => go.call(peerService('ConnectPeer'), { peerAddress });
    const disconnect = (peerId: string) => go.call(peerService('DisconnectPeer'), { peerId });
    expect((await connect('/ip4/192.0.2.7/tcp/9905')).response).toEqual({ success: true, error: '' });
    expect(await connect('/ip4/192.0.2.8/tcp/1')).toMatchObject({ code: 'OK', response: { success: false } });
    expect((await disconnect(PEER)).response).toEqual({ success: true, error: '' });
    expect(await disconnect(PEER)).toMatchObject({ code: 'OK', response: { success: false } });
  });

  test('ListBans and Explain', async () => {
    const { address, admin } = await serveGrpc();
    admin.explanation = EXPLANATION;
    const [ban] = EXPLANATION.inForce;
    if (ban !== undefined) admin.put(ban);
    const go = goClient({ address });
    const shown = {
      key: '192.0.2.7',
      kind: 'address',
      until: '1800000000',
      createdAt: '1700000000',
      reason: 'score 100',
      evidence: 'author_is_peer_id on teranode-block',
      source: 'automatic',
      because: PEER,
    };
    expect((await go.call(policyService('ListBans'))).response).toEqual({ bans: [shown], total: 1 });
    expect((await go.call(policyService('Explain'), { subject: PEER })).response).toMatchObject({
      subject: PEER,
      scores: [{ role: 'author', score: 30 }],
      shadowScores: [{ role: 'relay', score: 5 }],
      threshold: 100,
      offences: [
        { reason: 'catch_up_failure', hash: 'ab'.repeat(32), atMs: '1700000000123', shadow: false },
        { subject: 'hub.example:8090', hash: '', shadow: true },
      ],
      inForce: [shown],
      withheld: ['ban of 198.51.100.9'],
      addressesSeen: ['192.0.2.7'],
    });
  });
});

test('codes as Go sees them', async () => {
  const { address, admin } = await serveGrpc();
  const [keyless, keyed] = [goClient({ address }), goClient({ address, key: ADMIN_KEY })];
  const code = async (client: GoGrpcClient, method: string, request: object = {}, timeoutMs = 10_000) =>
    (await client.call(peerService(method), request, { timeoutMs })).code;
  for (const method of ['BanPeer', 'UnbanPeer', 'ClearBanned', 'AddBanScore', 'ConnectPeer', 'DisconnectPeer']) {
    expect([method, await code(keyless, method)]).toEqual([method, 'Unauthenticated']);
    expect([method, await code(goClient({ address, key: 'wrong' }), method)]).toEqual([method, 'Unauthenticated']);
  }
  expect(await code(keyed, 'BanPeer', { addr: 'x' })).toBe('InvalidArgument');
  expect(await code(keyed, 'BanPeer', { addr: '192.0.2.1', until: '1' })).toBe('InvalidArgument');
  expect(await code(keyed, 'AddBanScore', { peerId: PEER, reason: 'rudeness' })).toBe('InvalidArgument');
  expect(await code(keyed, 'BanPeer', { addr: '1'.repeat(10 * 1024 * 1024) })).toBe('ResourceExhausted');
  admin.gate = new Promise(() => {});
  expect(await code(keyed, 'ClearBanned', {}, 100)).toBe('DeadlineExceeded');
  admin.failure = new Error('unforeseen');
  expect(await code(keyed, 'GetPeers')).toBe('Internal');
});

test('health works with the stubs of the Go library', async () => {
  const { address, server } = await serveGrpc();
  const go = goClient({ address });
  const check = async (service: string) => await go.call('grpc.health.v1.Health/Check', { service });
  expect((await check('')).response).toEqual({ status: 'NOT_SERVING' });
  server.setServing(true);
  expect((await check('p2p_api.PeerService')).response).toEqual({ status: 'SERVING' });
  expect((await check('nothing')).code).toBe('NotFound');
});

test.each(['v1', 'v1alpha'] as const)('by reflection %s alone', async (reflection) => {
  const { address, admin, server } = await serveGrpc();
  admin.connected = [KNOWN_PEER];
  server.setServing(true);
  const go = goClient({ address, key: ADMIN_KEY });
  const call = async (method: string, request: object = {}) => await go.call(method, request, { reflection });
  expect((await call(peerService('GetPeers'))).response).toMatchObject({ peers: [{ id: PEER, pingTime: '1250' }] });
  expect((await call(peerService('BanPeer'), { addr: PEER })).response).toEqual({ ok: true, notStored: false });
  expect((await call(policyService('ListBans'))).response).toMatchObject({ bans: [{ key: PEER }] });
  expect((await call('grpc.health.v1.Health/Check', { service: '' })).response).toEqual({ status: 'SERVING' });
  expect((await call('p2p_api.NoService/Nothing')).code).toBe('Unknown');
});

describe('TLS', () => {
  const folder = temporaryFolder('grpc-go');

  test('levels 1, 2 and 3', async () => {
    const authority = await makeAuthority(folder, 'authority');
    const server = await makeCertificate(folder, 'server', authority);
    const client = await makeCertificate(folder, 'client', authority);
    const stranger = await makeAuthority(folder, 'stranger');
    const caFile = authority.certFile;
    const codes = async (level: number) => {
      const { address } = await serveGrpc({ tls: { level, ...server, caFile } });
      const code = async (tls: GoGrpcOptions['tls']) =>
        (await goClient(tls === undefined ? { address } : { address, tls }).call(peerService('ListBanned'))).code;
      return {
        plain: await code(undefined),
        none: await code({ caFile }),
        stranger: await code({ caFile, ...stranger }),
        client: await code({ caFile, ...client }),
      };
    };
    const no = 'Unavailable';
    expect(await codes(1)).toEqual({ plain: no, none: 'OK', stranger: 'OK', client: 'OK' });
    expect(await codes(2)).toEqual({ plain: no, none: no, stranger: 'OK', client: 'OK' });
    expect(await codes(3)).toEqual({ plain: no, none: no, stranger: no, client: 'OK' });
  });
});
