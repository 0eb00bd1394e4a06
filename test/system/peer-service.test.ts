// All methods of p2p_api.PeerService at a started server, as the node's other services call them: a Go client with stubs
// from our .proto file. The peers are Go nodes of the message-bus wire.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { messageBus } from '../support/bus-network.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { busTopics, GoBus } from '../support/go-bus.ts';
import { GoGrpcClient, goGrpcBinary } from '../support/go-grpc.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const KEY = 'a-key-of-this-test-only-44';
const UNKNOWN_PEER = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY';
const HASH = 'ab'.repeat(32);
const SETTINGS = {
  ...messageBus('mainnet'),
  p2p_dht_mode: 'off',
  p2p_allow_private_datahubs: 'true',
  grpc_admin_api_key: KEY,
};
/** Nobody listens there. */
const HUBS = { full: 'http://127.0.0.1:2/full', pruned: 'http://127.0.0.1:3/pruned' };

const dataFolder = temporaryFolder('peer-service');
const clients: GoGrpcClient[] = [];
let server: ServerProcess;
let full: GoBus;
let pruned: GoBus;

beforeAll(async () => {
  goGrpcBinary();
  server = await ServerProcess.start({ settings: SETTINGS, dataFolder });
  [full, pruned] = await Promise.all([busOf('full'), busOf('pruned')]);
});

afterAll(async () => {
  await Promise.all([...clients, full, pruned, server].map((each) => each?.stop()));
});

/** A Go node that is connected to the server. */
async function busOf(name: string): Promise<GoBus> {
  const bus = await GoBus.start({ name, bootstrapPeers: [server.address] });
  await waitFor(() => bus.isConnectedTo(server.peerId), { what: `the connection of ${name}` });
  return bus;
}

function client(key: string): GoGrpcClient {
  const made = new GoGrpcClient({ address: server.ready.grpcAddress, key });
  clients.push(made);
  return made;
}

/** Calls methods that must succeed. */
function caller(go: GoGrpcClient) {
  return async (method: string, request: object = {}): Promise<Record<string, unknown>> => {
    const { code, message, response } = await go.call(`p2p_api.PeerService/${method}`, request);
    expect({ method, code, message }).toEqual({ method, code: 'OK', message: undefined });
    return response ?? {};
  };
}

function statusOf(bus: GoBus, storage: 'full' | 'pruned', height: number) {
  return {
    peer_id: bus.peerId,
    client_name: storage,
    type: 'node_status',
    base_url: HUBS[storage],
    version: 'v0.14.4',
    commit_hash: 'abcdef0',
    best_block_hash: HASH,
    best_height: height,
    fsm_state: 'RUNNING',
    start_time: 1_790_000_000,
    uptime: 12.5,
    miner_name: 'miner',
    listen_mode: 'full',
    chain_work: '01',
    storage,
  };
}

interface Entry {
  readonly id: string;
  readonly [field: string]: unknown;
}

const work = Buffer.from('0100000000000000000000', 'hex').toString('base64');
/** What the other services of a node report. */
const REPORTS: readonly [method: string, fields: object][] = [
  ['RecordCatchupAttempt', {}],
  ['RecordCatchupSuccess', { durationMs: '3000' }],
  ['RecordCatchupFailure', {}],
  ['RecordCatchupMalicious', {}],
  ['UpdateCatchupError', { errorMsg: 'no such block' }],
  ['UpdateCatchupReputation', { score: 42.5 }],
  ['ReportValidSubtree', { subtreeHash: HASH }],
  ['ReportValidBlock', { blockHash: HASH }],
  ['ReportValidBlockHeaders', { durationMs: '100' }],
  ['ReportValidatedChainProgress', { height: 886_000, blockHash: HASH, chainWork: work }],
  ['RecordBytesDownloaded', { bytesDownloaded: '5000000000' }],
  ['ResetReputation', {}],
];

describe('without the admin key', () => {
  test.each(REPORTS)('%s is refused, and nothing is recorded', async (method, fields) => {
    const go = client('');
    const report = async (by: typeof go) =>
      (await by.call(`p2p_api.PeerService/${method}`, { peerId: UNKNOWN_PEER, ...fields })).code;
    expect(await report(go)).toBe('Unauthenticated');
    // The latter after ten wrong keys.
    expect(await report(client('wrong'))).toMatch(/^(Unauthenticated|ResourceExhausted)$/);
    expect(await caller(go)('GetPeer', { peerId: UNKNOWN_PEER })).toMatchObject({ found: false });
  });

  test('questions about peers are answered', async () => {
    const call = caller(client(''));
    expect(await call('IsPeerMalicious', { peerId: UNKNOWN_PEER })).toEqual({ isMalicious: false, reason: '' });
    expect(await call('IsPeerUnhealthy', { peerId: UNKNOWN_PEER })).toEqual({
      isUnhealthy: true,
      reason: 'unknown peer',
      reputationScore: 0,
    });
    expect(await call('IsPeerUnhealthy', { peerId: 'nobody' })).toMatchObject({ isUnhealthy: true });
    expect(await call('GetPeer', { peerId: UNKNOWN_PEER })).toEqual({ found: false, peer: null });
    for (const method of ['GetPeers', 'GetPeersForCatchup', 'GetPeerRegistry', 'ListBanned']) await call(method);
    expect(await call('IsBanned', { ipOrSubnet: UNKNOWN_PEER })).toEqual({ isBanned: false });
  });
});

describe('with the admin key, in this order', () => {
  const entryOf = async (call: ReturnType<typeof caller>, peerId: string): Promise<Entry> =>
    (await call('GetPeer', { peerId })).peer as Entry;

  test('what peers say of themselves is in the registry, and full nodes are offered before pruned ones', async () => {
    const call = caller(client(''));
    const offered = async () => (await call('GetPeersForCatchup')).peers as Entry[];
    await waitFor(
      async () => {
        await pruned.publish(busTopics().nodeStatus, statusOf(pruned, 'pruned', 101));
        await full.publish(busTopics().nodeStatus, statusOf(full, 'full', 100));
        return (await offered()).length === 2;
      },
      { what: 'two peers to catch up from' },
    );
    expect(await offered()).toMatchObject([
      { id: full.peerId, dataHubUrl: HUBS.full, height: 100, blockHash: HASH, catchupReputationScore: 50 },
      { id: pruned.peerId, dataHubUrl: HUBS.pruned, height: 101 },
    ]);
    expect(await entryOf(call, full.peerId)).toMatchObject({
      storage: 'full',
      clientName: 'full',
      isConnected: true,
      isBanned: false,
      banScore: 0,
      reputationScore: 50,
      connectedAt: expect.stringMatching(/^1[0-9]{9}$/),
      lastMessageTime: expect.stringMatching(/^1[0-9]{9}$/),
      lastBlockTime: '0',
    });
    const { peers } = (await call('GetPeerRegistry')) as { peers: Entry[] };
    expect(peers.map(({ id }) => id).sort()).toEqual([full.peerId, pruned.peerId].sort());
    const connected = ((await call('GetPeers')) as { peers: Entry[] }).peers.map(({ id }) => id);
    expect(connected.sort()).toEqual([full.peerId, pruned.peerId].sort());
  });

  test('each report changes reputation, response time and counts', async () => {
    const call = caller(client(KEY));
    const peerId = full.peerId;
    const reported = async (method: string, fields: object) => {
      const answer = await call(method, { peerId, ...fields });
      expect(answer).toEqual('ok' in answer ? { ok: true } : { success: true, message: 'recorded' });
      return await entryOf(call, peerId);
    };
    expect(await reported('RecordCatchupAttempt', {})).toMatchObject({
      catchupAttempts: '1',
      interactionAttempts: '0',
    });
    expect(await reported('RecordCatchupSuccess', { durationMs: '3000' })).toMatchObject({
      catchupSuccesses: '1',
      interactionAttempts: '1',
      interactionSuccesses: '1',
      avgResponseTimeMs: '3000',
      reputationScore: 81,
      lastInteractionSuccess: expect.stringMatching(/^1[0-9]{9}$/),
    });
    const failed = await reported('RecordCatchupFailure', { failureKind: 'generic' });
    expect(failed).toMatchObject({ catchupFailures: '1', interactionFailures: '1', reputationScore: 40.5 });
    expect(failed.storage).toBe('full');
    expect(await reported('UpdateCatchupError', { errorMsg: `${'ü'.repeat(600)}` })).toMatchObject({
      lastCatchupError: 'ü'.repeat(512),
      lastCatchupErrorTime: expect.stringMatching(/^1[0-9]{9}$/),
    });
    expect(await reported('ReportValidSubtree', { subtreeHash: HASH })).toMatchObject({ interactionSuccesses: '2' });
    const delivered = await reported('ReportValidBlock', { blockHash: HASH });
    expect(delivered).toMatchObject({
      interactionSuccesses: '3',
      lastBlockTime: expect.stringMatching(/^1[0-9]{9}$/),
    });
    expect(await reported('ReportValidBlockHeaders', { durationMs: '500' })).toMatchObject({
      interactionSuccesses: '4',
      avgResponseTimeMs: '2500',
      catchupSuccesses: '1',
      reputationScore: 56.7,
    });
    expect(await reported('RecordBytesDownloaded', { bytesDownloaded: '5000000000' })).toMatchObject({
      bytesReceived: '5000000000',
    });
    await reported('ReportValidatedChainProgress', { height: 886_000, blockHash: HASH, chainWork: work });
    expect(await call('IsPeerUnhealthy', { peerId })).toMatchObject({ isUnhealthy: false, reason: '' });
    expect(await reported('UpdateCatchupReputation', { score: 12.5 })).toMatchObject({ reputationScore: 12.5 });
    expect(await call('IsPeerUnhealthy', { peerId })).toEqual({
      isUnhealthy: true,
      reason: 'reputation 12.50 is below 40',
      reputationScore: 12.5,
    });
  });

  test('a malicious peer has the lowest reputation and no ban score, until it is reset', async () => {
    const call = caller(client(KEY));
    const peerId = pruned.peerId;
    await call('RecordCatchupMalicious', { peerId });
    expect(await entryOf(call, peerId)).toMatchObject({ maliciousCount: '1', reputationScore: 5, banScore: 0 });
    expect(await call('IsPeerMalicious', { peerId })).toMatchObject({ isMalicious: true });
    expect(await call('IsPeerUnhealthy', { peerId })).toMatchObject({ isUnhealthy: true, reputationScore: 5 });
    expect(await call('ResetReputation', { peerId })).toEqual({ ok: true, peersReset: 1 });
    expect(await entryOf(call, peerId)).toMatchObject({ maliciousCount: '0', reputationScore: 50 });
    expect(await call('IsPeerMalicious', { peerId })).toMatchObject({ isMalicious: false });
  });

  test('any reason adds to the ban score, with its points', async () => {
    const call = caller(client(KEY));
    const peerId = pruned.peerId;
    for (const [reason, banScore] of [
      ['catchup_failure', 30],
      ['catchup_malicious', 80],
      ['a reason of tomorrow', 81],
    ] as const) {
      expect(await call('AddBanScore', { peerId, reason })).toEqual({ ok: true });
      expect(await entryOf(call, peerId)).toMatchObject({ banScore, reputationScore: 50 });
    }
  });

  test('a banned peer is malicious and not offered, and is offered again when the ban is lifted', async () => {
    const call = caller(client(KEY));
    const peerId = UNKNOWN_PEER;
    const offered = async () => ((await call('GetPeersForCatchup')).peers as Entry[]).map(({ id }) => id);
    expect(await call('BanPeer', { addr: peerId })).toMatchObject({ ok: true });
    expect(await call('IsPeerMalicious', { peerId })).toEqual({ isMalicious: true, reason: 'the peer is banned' });
    expect(await call('IsBanned', { ipOrSubnet: peerId })).toEqual({ isBanned: true });
    expect(await call('UnbanPeer', { addr: peerId })).toMatchObject({ ok: true });
    expect(await call('IsPeerMalicious', { peerId })).toMatchObject({ isMalicious: false });
    expect(await call('BanPeer', { addr: pruned.peerId })).toMatchObject({ ok: true });
    expect(await offered()).toEqual([full.peerId]);
    expect(await entryOf(call, pruned.peerId)).toMatchObject({ isBanned: true });
    expect(await call('ListBanned')).toMatchObject({ banned: expect.arrayContaining([pruned.peerId]) });
    expect(await call('ClearBanned')).toMatchObject({ ok: true });
    expect(await call('ConnectPeer', { peerAddress: pruned.address })).toEqual({ success: true, error: '' });
    expect(await offered()).toEqual([full.peerId, pruned.peerId]);
    expect(await call('DisconnectPeer', { peerId: pruned.peerId })).toEqual({ success: true, error: '' });
  });

  test('a full node that delivered an incomplete block is not offered as one', async () => {
    const call = caller(client(KEY));
    const peerId = full.peerId;
    await call('RecordCatchupFailure', { peerId, failureKind: 'block_incomplete', blockHash: HASH });
    expect(await entryOf(call, peerId)).toMatchObject({ storage: '', lastCatchupError: `incomplete block ${HASH}` });
    const { peers } = (await call('GetPeersForCatchup')) as { peers: Entry[] };
    expect(peers.map(({ id }) => id)).toEqual([pruned.peerId, full.peerId]);
    await call('ReportValidatedChainProgress', { peerId: pruned.peerId, height: 7, blockHash: HASH, chainWork: work });
  });

  test('an invalid peer ID, hash or work is InvalidArgument', async () => {
    const go = client(KEY);
    const codeOf = async (method: string, request: object) =>
      (await go.call(`p2p_api.PeerService/${method}`, request)).code;
    for (const [method, fields] of REPORTS)
      expect([method, await codeOf(method, { ...fields, peerId: 'nobody' })]).toEqual([method, 'InvalidArgument']);
    for (const method of ['GetPeer', 'IsPeerMalicious'])
      expect([method, await codeOf(method, { peerId: 'nobody' })]).toEqual([method, 'InvalidArgument']);
    const peerId = full.peerId;
    expect(await codeOf('ReportValidBlock', { peerId, blockHash: 'ab' })).toBe('InvalidArgument');
    const chainWork = Buffer.alloc(129, 1).toString('base64');
    expect(await codeOf('ReportValidatedChainProgress', { peerId, height: 7, blockHash: HASH, chainWork })).toBe(
      'InvalidArgument',
    );
  });

  test('a restart keeps reputation, catch-ups and progress, in a file that only this user reads', async () => {
    const before = await entryOf(caller(client('')), full.peerId);
    await server.stop();
    const file = join(dataFolder, 'peer-histories.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const stored = (JSON.parse(readFileSync(file, 'utf8')) as { peers: Entry[] }).peers;
    expect(stored.find(({ id }) => id === pruned.peerId)).toMatchObject({ validated: { height: 7, hash: HASH } });
    expect(stored.find(({ id }) => id === full.peerId)?.validated).toBeUndefined();
    server = await ServerProcess.start({ settings: SETTINGS, dataFolder });
    const call = caller(client(KEY));
    const kept = Object.keys(before).filter((field) =>
      /^(interaction|last(Int|Cat|Blo)|catchup|reput|avg)/.test(field),
    );
    const after = await entryOf(call, full.peerId);
    for (const field of kept) expect([field, after[field]]).toEqual([field, before[field]]);
    expect(after).toMatchObject({ bytesReceived: '5000000000', catchupAttempts: '1', catchupFailures: '2' });
    expect(await call('ResetReputation', {})).toEqual({ ok: true, peersReset: 2 });
    expect(await entryOf(call, full.peerId)).toMatchObject({ reputationScore: 50, catchupAttempts: '0' });
  });
});
