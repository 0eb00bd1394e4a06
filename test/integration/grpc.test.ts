// The gRPC that this node serves, asked over loopback: every method, the admin key, requests that are refused.
import { describe, expect, test } from 'vitest';
import { createPeerClient, type PeerClient, type PeerClientOptions } from '../../src/client/index.ts';
import { PeerService } from '../../src/gen/p2p_api_pb.js';
import { PolicyService } from '../../src/gen/teranode_p2p_pb.js';
import { chosen, DEFAULT_BAN_MS, NO_SYNC } from '../fakes/admin-api.ts';
import {
  ADMIN_KEY,
  CHANGES,
  EXPLANATION,
  HASH,
  KNOWN_PEER,
  PEER,
  READINGS,
  rawCall,
  rawClient,
  serveGrpc,
  stopGrpcAfterEach,
} from '../support/grpc.ts';

stopGrpcAfterEach();

const peers = PeerService.method;
const policy = PolicyService.method;

function client(address: string, options: Partial<PeerClientOptions> = {}): PeerClient {
  return createPeerClient({ address, adminKey: ADMIN_KEY, ...options });
}

describe('every method, through the client of this package', () => {
  test('a height of 0 is told from an unknown one', async () => {
    const { address, admin } = await serveGrpc();
    admin.connected = [
      { ...KNOWN_PEER, startingHeight: 0, height: 0 },
      { ...KNOWN_PEER, startingHeight: undefined, height: undefined },
    ];
    const asked = client(address);
    const [genesis, silent] = await asked.listPeers();
    asked.close();
    expect([genesis?.startingHeight, genesis?.height, silent?.startingHeight, silent?.height]).toEqual([
      0,
      0,
      undefined,
      undefined,
    ]);
  });

  test('the node at a glance arrives whole', async () => {
    const { address, admin } = await serveGrpc();
    const networks = [{ wire: 'go-p2p', topicPrefix: 'bitcoin/regtest', listenAddresses: ['/ip4/192.0.2.1/tcp/1'] }];
    const checks = [{ name: 'fsm', ok: false, details: 'IDLE' }];
    admin.own = { ...admin.own, networks, httpUrl: 'http://localhost:9906', isReady: false, checks };
    admin.syncView = {
      fsmState: 'RUNNING',
      bestHeight: 0,
      bestBlockHash: HASH,
      syncPeer: { peerId: PEER, height: 1, hash: undefined, sinceMs: 1 },
      choice: chosen(PEER, 'Because.'),
      lastEnd: undefined,
    };
    const asked = client(address);
    const whole = {
      ...admin.own,
      fsmState: 'RUNNING',
      bestHeight: 0,
      bestBlockHash: HASH,
      syncPeer: PEER,
      syncReason: 'Because.',
    };
    expect(await asked.status()).toEqual({ ...whole, connectedPeers: 0 });
    admin.own = { ...admin.own, httpUrl: undefined };
    admin.syncView = NO_SYNC;
    const nothing = {
      httpUrl: undefined,
      fsmState: undefined,
      bestHeight: undefined,
      syncPeer: undefined,
      syncReason: undefined,
    };
    expect(await asked.status()).toMatchObject(nothing);
    asked.close();
  });

  test('connected peers arrive with all that is known about them', async () => {
    const { address, admin } = await serveGrpc();
    const unknown = {
      ...KNOWN_PEER,
      addresses: [],
      direction: 'outbound' as const,
      agentVersion: undefined,
      services: undefined,
      lastSendMs: undefined,
      lastReceiveMs: undefined,
      pingMs: undefined,
      startingHeight: undefined,
      localAddress: undefined,
      bestBlockHash: undefined,
      claimedAtMs: undefined,
      provenHeight: 0,
      provenHash: undefined,
      dataHubUrl: undefined,
      dataHubHealth: 'unhealthy' as const,
      lastMessageMs: undefined,
      isBanned: true,
      height: 4_000_000_000,
      banScore: 0,
      isWhitelisted: false,
    };
    admin.connected = [KNOWN_PEER, unknown];
    const asked = client(address);
    const [known, other] = await asked.getPeers();
    const listed = await asked.listPeers();
    asked.close();
    const { bestBlockHash, claimedAtMs, provenHeight, provenHash, dataHubUrl, lastMessageMs } = KNOWN_PEER;
    expect(listed).toEqual([
      {
        ...known,
        bestBlockHash,
        claimedAtMs,
        provenHeight,
        provenHash,
        dataHubUrl,
        dataHubHealth: 'healthy',
        lastMessageMs,
        isBanned: false,
      },
      {
        ...other,
        bestBlockHash: undefined,
        claimedAtMs: undefined,
        provenHeight: 0,
        provenHash: undefined,
        dataHubUrl: undefined,
        dataHubHealth: 'unhealthy',
        lastMessageMs: undefined,
        isBanned: true,
        height: 4_000_000_000,
      },
    ]);
    expect(known).toEqual({
      id: PEER,
      address: '/ip4/192.0.2.7/tcp/9905',
      localAddress: KNOWN_PEER.localAddress,
      direction: 'inbound',
      connectedAtMs: 1_700_000_000_000,
      agentVersion: 'teranode/bitcoin/v0.1.0',
      services: '18446744073709551615',
      lastSendMs: 1_700_000_100_000,
      lastReceiveMs: 1_700_000_200_000,
      bytesSent: 5_000_000_000,
      bytesReceived: 123,
      pingMs: 1.25,
      startingHeight: 886_000,
      height: 886_001,
      banScore: 30,
      isWhitelisted: true,
    });
    expect(other).toMatchObject({ address: '', direction: 'outbound', height: 2_147_483_647 });
    for (const field of ['localAddress', 'agentVersion', 'services', 'pingMs', 'lastSendMs'] as const)
      expect(other?.[field]).toBeUndefined();
    const { response } = await rawCall(rawClient(address), peers.getPeers, {});
    expect(response?.peers[1]).toMatchObject({ startingHeight: 0 });
    expect(response?.peers[0]).toMatchObject({ pingTime: 1250n, connTime: 1_700_000_000n, version: 0 });
  });

  test('bans are set, queried, listed with their reasons, lifted and cleared', async () => {
    const { address, admin } = await serveGrpc();
    const asked = client(address);
    const untilMs = Date.now() + 60_000;
    await asked.banPeer(' 192.0.2.0/24 ', untilMs);
    expect(admin.lastArgs('ban')).toEqual(['192.0.2.0/24', Math.ceil(untilMs / 1000) * 1000, '']);
    await asked.banPeer(PEER);
    expect(admin.lastArgs('ban')).toEqual([PEER, undefined, '']);
    expect(await asked.isBanned(PEER)).toBe(true);
    expect(await asked.isBanned('192.0.2.1')).toBe(false);
    expect(await asked.listBanned()).toEqual(['192.0.2.0/24', PEER]);
    const [, ban] = await asked.listBans();
    expect(ban).toMatchObject({ key: PEER, kind: 'peer', source: 'operator', causedBy: undefined });
    expect(ban?.untilMs).toBeGreaterThan(Date.now() + DEFAULT_BAN_MS - 60_000);
    expect(await asked.unbanPeer(PEER)).toEqual({ hadAny: true, coveredBy: undefined, isStored: true });
    expect(await asked.unbanPeer(PEER)).toMatchObject({ hadAny: false });
    await asked.clearBanned();
    expect(await asked.listBanned()).toEqual([]);
    asked.close();
  });

  test('scores are added, peers are connected and disconnected', async () => {
    const { address, admin } = await serveGrpc();
    admin.connected = [KNOWN_PEER];
    const asked = client(address);
    await asked.addBanScore(PEER, 'spam');
    expect(admin.lastArgs('addScore')).toEqual([PEER, 'spam']);
    expect(await asked.connectPeer('/ip4/192.0.2.7/tcp/9905')).toEqual({ success: true, error: '' });
    expect(await asked.connectPeer('/ip4/192.0.2.8/tcp/1')).toEqual({
      success: false,
      error: 'no answer from /ip4/192.0.2.8/tcp/1',
    });
    expect(await asked.disconnectPeer(PEER)).toEqual({ success: true, error: '' });
    expect(await asked.disconnectPeer(PEER)).toEqual({ success: false, error: `${PEER} is not connected` });
    asked.close();
  });

  test('a diagnosis arrives with every field', async () => {
    const { address, admin } = await serveGrpc();
    const departure = { peerId: KNOWN_PEER.id, address: '/ip4/192.0.2.7/tcp/1', atMs: 1_700_000_000_123, livedMs: 7 };
    admin.diagnosed = {
      dials: [
        { address: '/a', names: ['/dnsaddr/b'], isConnected: true, failures: 0, stage: undefined, failure: undefined },
        { address: '/c', names: [], isConnected: false, failures: 3, stage: 'securing', failure: 'no' },
      ],
      departures: [
        { ...departure, direction: 'inbound', closedBy: 'peer', reason: 'gone' },
        { ...departure, direction: 'outbound', closedBy: 'node', reason: 'banned' },
      ],
      peers: [
        { peerId: KNOWN_PEER.id, agentVersion: 'a', protocolVersion: '/p', topics: ['t'], otherTopics: ['o'] },
        { peerId: KNOWN_PEER.id, agentVersion: undefined, protocolVersion: undefined, topics: [], otherTopics: [] },
      ],
      topics: [
        { name: 't', subscribers: 2, mesh: 1, lastMessageMs: 1_700_000_000_456 },
        { name: 'u', subscribers: 0, mesh: 0, lastMessageMs: undefined },
      ],
      announced: ['/ip4/203.0.113.7/tcp/9905'],
      reachability: 'private',
      clockOffsetsMs: [-3_600_000, 5],
      feed: { state: 'silent', silentForMs: 130_000 },
    };
    const asked = client(address);
    expect(await asked.diagnose()).toEqual(admin.diagnosed);
    asked.close();
  });

  test('an explanation arrives with every field', async () => {
    const { address, admin } = await serveGrpc();
    admin.explanation = EXPLANATION;
    const asked = client(address);
    expect(await asked.explain(PEER)).toEqual(EXPLANATION);
    asked.close();
  });

  test('a failed call says which server failed, with which status and why', async () => {
    const { address, server } = await serveGrpc();
    const keyless = client(address, { adminKey: undefined });
    await expect(keyless.clearBanned()).rejects.toMatchObject({
      code: 'RPC_FAILED',
      details: { grpcCode: 'UNAUTHENTICATED' },
      message: expect.stringContaining('admin.key'),
    });
    await server.stop();
    await expect(keyless.getPeers()).rejects.toMatchObject({
      code: 'RPC_FAILED',
      details: { grpcCode: 'UNAVAILABLE' },
      message: expect.stringContaining(address),
    });
    keyless.close();
  });

  test("server addresses may be written as in Teranode's settings", async () => {
    const { address } = await serveGrpc();
    for (const form of [`k8s:///${address}`, `http://${address}`, address.replace('127.0.0.1', 'localhost')]) {
      const asked = client(form);
      expect(await asked.listBanned()).toEqual([]);
      asked.close();
    }
  });
});

describe('the admin key', () => {
  test('the tests below cover every method', () => {
    const names = [...PeerService.methods, ...PolicyService.methods].map(({ name }) => name);
    expect([...CHANGES, ...READINGS].map(([method]) => method.name).sort()).toEqual(names.sort());
  });

  test.each(CHANGES.map(([method, fields]) => [method.name, method, fields] as const))(
    '%s needs it, and does nothing without it',
    async (_name, method, fields) => {
      const { address, admin } = await serveGrpc();
      const asked = rawClient(address);
      const wrong = [[], [''], ['wrong'], [`${ADMIN_KEY} `.repeat(2)], [ADMIN_KEY, ADMIN_KEY], ['x', ADMIN_KEY]];
      for (const keys of wrong) {
        const { code, details } = await rawCall(asked, method, fields, { keys });
        expect([code, keys]).toEqual(['UNAUTHENTICATED', keys]);
        expect(details).toContain('x-api-key');
        expect(details).toContain('grpc_admin_api_key');
      }
      expect((await rawCall(asked, method, Buffer.from([0xff, 0xff]), { keys: ['wrong'] })).code).toBe(
        'UNAUTHENTICATED',
      );
      expect(admin.calls).toEqual([]);
      expect((await rawCall(asked, method, fields, { keys: [ADMIN_KEY] })).code).toBe('OK');
      expect(admin.calls).toHaveLength(1);
    },
  );

  test.each(READINGS.map(([method, fields]) => [method.name, method, fields] as const))(
    '%s needs no admin key',
    async (_name, method, fields) => {
      const { address, admin } = await serveGrpc();
      admin.explanation = EXPLANATION;
      for (const keys of [[], ['wrong']])
        expect((await rawCall(rawClient(address), method, fields, { keys })).code).toBe('OK');
    },
  );

  test('a server with a weak admin key does not start', async () => {
    await expect(serveGrpc({ adminKey: '' })).rejects.toMatchObject({ code: 'ADMIN_KEY_REFUSED' });
    await expect(serveGrpc({ adminKey: 'test-admin-key-1' })).rejects.toMatchObject({ code: 'ADMIN_KEY_REFUSED' });
  });
});

describe('invalid requests', () => {
  const long = '1'.repeat(513);
  const past = BigInt(Math.floor(Date.now() / 1000) - 1);
  test.each([
    ['an empty address', peers.banPeer, { addr: '' }, 'addr is empty'],
    ['a blank address', peers.banPeer, { addr: ' \t ' }, 'addr is empty'],
    ['a long address', peers.banPeer, { addr: long }, 'addr has 513 characters, at most 512'],
    ['an invalid address', peers.banPeer, { addr: '192.0.2.300' }, 'invalid ban subject'],
    ['a time in the past', peers.banPeer, { addr: '192.0.2.1', until: past }, 'in the future'],
    ['a negative time', peers.banPeer, { addr: '192.0.2.1', until: -(2n ** 63n) }, 'in the future'],
    ['nobody to unban', peers.unbanPeer, { addr: '' }, 'addr is empty'],
    ['somebody unknown to unban', peers.unbanPeer, { addr: 'nobody' }, 'invalid ban subject'],
    ['nobody to ask for', peers.isBanned, { ipOrSubnet: '' }, 'ipOrSubnet is empty'],
    ['a long question', peers.isBanned, { ipOrSubnet: long }, 'at most 512'],
    ['a question about nothing', peers.isBanned, { ipOrSubnet: '10.0.0.0/33' }, 'invalid ban subject'],
    ['no peer to score', peers.addBanScore, { peerId: '', reason: 'spam' }, 'peer_id is empty'],
    ['an unknown reason', peers.addBanScore, { peerId: PEER, reason: 'rudeness' }, 'invalid_subtree'],
    ['a reason of ours', peers.addBanScore, { peerId: PEER, reason: 'catch_up_failure' }, 'invalid_subtree'],
    ['no reason', peers.addBanScore, { peerId: PEER, reason: '' }, 'invalid_subtree'],
    [
      'a score for no peer id',
      peers.addBanScore,
      { peerId: '192.0.2.1', reason: 'spam' },
      'invalid peer ID "192.0.2.1"',
    ],
    ['no address to connect', peers.connectPeer, { peerAddress: '' }, 'peer_address is empty'],
    ['a long address to connect', peers.connectPeer, { peerAddress: `/${long}` }, 'at most 512'],
    ['no multiaddr', peers.connectPeer, { peerAddress: '192.0.2.1:9905' }, 'is no multiaddr'],
    ['no peer to disconnect', peers.disconnectPeer, { peerId: '' }, 'peer_id is empty'],
    ['no peer id to disconnect', peers.disconnectPeer, { peerId: 'x' }, 'invalid peer ID "x"'],
    ['nothing to explain', policy.explain, { subject: '' }, 'subject is empty'],
    ['nothing known to explain', policy.explain, { subject: '?' }, 'invalid subject'],
  ] as const)('%s', async (_what, method, fields, says) => {
    const { address } = await serveGrpc();
    const { code, details } = await rawCall(rawClient(address), method, fields, { keys: [ADMIN_KEY] });
    expect([code, details]).toEqual(['INVALID_ARGUMENT', expect.stringContaining(says)]);
  });

  test('undecodable bytes are refused by every method', async () => {
    const { address, admin } = await serveGrpc();
    const asked = rawClient(address);
    for (const method of [...PeerService.methods, ...PolicyService.methods]) {
      for (const bytes of [Buffer.from([0xff]), Buffer.from([0x0a, 0x05, 0x31])]) {
        const { code, details } = await rawCall(asked, method, bytes, { keys: [ADMIN_KEY] });
        expect([method.name, code, details]).toEqual([
          method.name,
          'INVALID_ARGUMENT',
          expect.stringContaining('bytes'),
        ]);
      }
    }
    expect(admin.calls).toEqual([]);
  });

  test('a ban beyond ten years is refused and says that Unix seconds are expected', async () => {
    const { address, admin } = await serveGrpc();
    for (const until of [2n ** 63n - 1n, 9_007_199_254_740_993n, BigInt(Date.now())]) {
      const answer = await rawCall(
        rawClient(address),
        peers.banPeer,
        { addr: '192.0.2.1', until },
        { keys: [ADMIN_KEY] },
      );
      expect(answer).toMatchObject({ code: 'INVALID_ARGUMENT', details: expect.stringContaining('Unix seconds') });
      expect(admin.lastArgs('ban')).toBeUndefined();
    }
  });

  test('a request of 10 MB is refused, and the server continues', async () => {
    const { address, metrics, admin } = await serveGrpc();
    const asked = rawClient(address);
    const huge = { addr: '1'.repeat(10 * 1024 * 1024) };
    expect((await rawCall(asked, peers.banPeer, huge, { keys: [ADMIN_KEY] })).code).toBe('RESOURCE_EXHAUSTED');
    expect((await rawCall(asked, peers.banPeer, huge)).code).toBe('UNAUTHENTICATED');
    expect(admin.calls).toEqual([]);
    expect((await rawCall(rawClient(address), peers.listBanned, {})).code).toBe('OK');
    const labels = { method: 'p2p_api.PeerService/BanPeer', code: 'RESOURCE_EXHAUSTED' };
    expect(metrics.count('teranode_p2p_grpc_requests_total', labels)).toBe(1);
  });
});
