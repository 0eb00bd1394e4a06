// What the node's other services report about peers over gRPC, and what they ask before they catch up from one.
import { describe, expect, test } from 'vitest';
import type { PeerId } from '../../src/domain/ids.ts';
import type { PeerHistory } from '../../src/domain/peer-history.ts';
import { PeerService } from '../../src/gen/p2p_api_pb.js';
import { P2PError } from '../../src/lib/errors.ts';
import { newHistory } from '../../src/peers/histories/after-event.ts';
import type { KnownPeer } from '../../src/ports/admin-api.ts';
import { ADMIN_KEY, HASH, PEER, rawCall, rawClient, serveGrpc, stopGrpcAfterEach } from '../support/grpc.ts';

stopGrpcAfterEach();

const peers = PeerService.method;
const keys = [ADMIN_KEY];
const EMOJI = '😀';
/** A day; longer responses count as this long. */
const DAY_MS = 86_400_000;

function known(history: Partial<PeerHistory> = {}, fields: Partial<KnownPeer> = {}): KnownPeer {
  return {
    id: PEER,
    isConnected: false,
    connectedAtMs: undefined,
    lastMessageMs: undefined,
    height: undefined,
    bestBlockHash: undefined,
    dataHubUrl: undefined,
    clientName: undefined,
    storage: undefined,
    banScore: 0,
    isBanned: false,
    history: { ...newHistory(PEER), ...history },
    ...fields,
  };
}

const FULL = known(
  {
    attempts: 9,
    successes: 5,
    failures: 4,
    malicious: 1,
    lastAttemptMs: 1_700_000_001_999,
    lastSuccessMs: 1_700_000_002_999,
    lastFailureMs: 1_700_000_003_999,
    reputation: 62.5,
    avgResponseMs: 1234,
    catchupAttempts: 6,
    catchupSuccesses: 2,
    catchupFailures: 3,
    lastCatchupError: 'no such block',
    lastCatchupErrorMs: 1_700_000_004_999,
    lastBlockMs: 1_700_000_005_999,
    bytesReceived: 2n ** 63n,
  },
  {
    isConnected: true,
    connectedAtMs: 1_700_000_006_999,
    lastMessageMs: 1_700_000_007_999,
    height: 4_000_000_000,
    bestBlockHash: HASH,
    dataHubUrl: 'https://hub.example/api/v1',
    clientName: 'alice',
    storage: 'full',
    banScore: 30,
    isBanned: true,
  },
);

describe('reports', () => {
  const work = new Uint8Array(128).fill(0xff);
  test.each([
    [peers.recordCatchupAttempt, {}, { type: 'catchup_attempt' }],
    [peers.recordCatchupSuccess, { durationMs: 1234n }, { type: 'catchup_success', responseMs: 1234 }],
    [peers.recordCatchupSuccess, {}, { type: 'catchup_success', responseMs: undefined }],
    [peers.recordCatchupSuccess, { durationMs: -5n }, { type: 'catchup_success', responseMs: undefined }],
    [peers.recordCatchupSuccess, { durationMs: 2n ** 63n - 1n }, { type: 'catchup_success', responseMs: DAY_MS }],
    [peers.recordCatchupFailure, {}, { type: 'catchup_failure', kind: 'generic' }],
    [
      peers.recordCatchupFailure,
      { failureKind: 'something new', blockHash: HASH },
      { type: 'catchup_failure', kind: 'generic' },
    ],
    [peers.recordCatchupMalicious, {}, { type: 'catchup_malicious' }],
    [peers.updateCatchupError, { errorMsg: 'no such block' }, { type: 'catchup_error', message: 'no such block' }],
    [peers.updateCatchupError, {}, { type: 'catchup_error', message: '' }],
    [peers.updateCatchupReputation, { score: 42.5 }, { type: 'reputation_set', reputation: 42.5 }],
    [peers.reportValidSubtree, { subtreeHash: HASH }, { type: 'valid_subtree', responseMs: undefined }],
    [peers.reportValidBlock, { blockHash: HASH.toUpperCase() }, { type: 'valid_block', responseMs: undefined }],
    [peers.reportValidBlockHeaders, { durationMs: 7n }, { type: 'valid_headers', responseMs: 7 }],
    [
      peers.reportValidatedChainProgress,
      { height: 4_294_967_295, blockHash: HASH.toUpperCase(), chainWork: work },
      { type: 'validated_progress', height: 4_294_967_295, hash: HASH, chainWork: 2n ** 1024n - 1n },
    ],
    [
      peers.recordBytesDownloaded,
      { bytesDownloaded: 2n ** 64n - 1n },
      { type: 'bytes_downloaded', bytes: 2n ** 64n - 1n },
    ],
  ] as const)('$name with %j is recorded as one experience', async (method, fields, event) => {
    const { address, admin } = await serveGrpc();
    const { code, response } = await rawCall(rawClient(address), method, { peerId: PEER, ...fields }, { keys });
    expect(code).toBe('OK');
    expect(admin.calls).toEqual([{ method: 'recordPeerEvent', args: [PEER, event] }]);
    expect(response).toMatchObject('ok' in (response ?? {}) ? { ok: true } : { success: true, message: 'recorded' });
  });

  test('an incomplete block is a failed catch-up, and its error names the block', async () => {
    const { address, admin } = await serveGrpc();
    const call = (blockHash: string) =>
      rawCall(
        rawClient(address),
        peers.recordCatchupFailure,
        { peerId: PEER, failureKind: 'block_incomplete', blockHash },
        { keys },
      );
    expect((await call(HASH)).response).toMatchObject({ ok: true });
    expect((await call('')).response).toMatchObject({ ok: true });
    const failure = { type: 'catchup_failure', kind: 'block_incomplete' };
    expect(admin.calls.map(({ args }) => args[1])).toEqual([
      failure,
      { type: 'catchup_error', message: `incomplete block ${HASH}` },
      failure,
      { type: 'catchup_error', message: 'incomplete block' },
    ]);
  });

  test('a long error keeps the characters that the store keeps', async () => {
    const { address, admin } = await serveGrpc();
    const request = { peerId: PEER, errorMsg: EMOJI.repeat(10_000) };
    expect((await rawCall(rawClient(address), peers.updateCatchupError, request, { keys })).code).toBe('OK');
    expect(admin.lastArgs('recordPeerEvent')).toEqual([
      PEER,
      { type: 'catchup_error', message: expect.stringMatching(new RegExp(`^(${EMOJI}){512}`, 'u')) },
    ]);
  });

  test('reputations are reset for one peer, or for all with an empty peer ID', async () => {
    const { address, admin } = await serveGrpc();
    admin.known = [known(), known({}, { id: 'another' as PeerId })];
    const reset = async (peerId: string) =>
      (await rawCall(rawClient(address), peers.resetReputation, { peerId }, { keys })).response;
    expect(await reset(PEER)).toMatchObject({ ok: true, peersReset: 1 });
    expect(admin.calls[0]).toEqual({ method: 'resetReputation', args: [PEER] });
    expect(await reset('')).toMatchObject({ ok: true, peersReset: 2 });
    expect(admin.lastArgs('resetReputation')).toEqual([undefined]);
  });

  test('a service that keeps the histories and does not answer is an error', async () => {
    const { address, admin } = await serveGrpc();
    admin.failure = new P2PError('RPC_FAILED', 'no answer');
    const { code } = await rawCall(rawClient(address), peers.recordCatchupAttempt, { peerId: PEER }, { keys });
    expect(code).toBe('INTERNAL');
  });
});

describe('answers', () => {
  test('the registry of peers arrives with every field, times in whole seconds', async () => {
    const { address, admin } = await serveGrpc();
    admin.known = [FULL, known({}, { id: 'another' as PeerId })];
    const { response } = await rawCall(rawClient(address), peers.getPeerRegistry, {});
    expect(response?.peers).toHaveLength(2);
    expect(response?.peers[0]).toMatchObject({
      id: PEER,
      height: 4_000_000_000,
      blockHash: HASH,
      dataHubUrl: 'https://hub.example/api/v1',
      banScore: 30,
      isBanned: true,
      isConnected: true,
      connectedAt: 1_700_000_006n,
      bytesReceived: 2n ** 63n,
      lastBlockTime: 1_700_000_005n,
      lastMessageTime: 1_700_000_007n,
      interactionAttempts: 9n,
      interactionSuccesses: 5n,
      interactionFailures: 4n,
      lastInteractionAttempt: 1_700_000_001n,
      lastInteractionSuccess: 1_700_000_002n,
      lastInteractionFailure: 1_700_000_003n,
      reputationScore: 62.5,
      maliciousCount: 1n,
      avgResponseTimeMs: 1234n,
      storage: 'full',
      clientName: 'alice',
      lastCatchupError: 'no such block',
      lastCatchupErrorTime: 1_700_000_004n,
      catchupAttempts: 6n,
      catchupSuccesses: 2n,
      catchupFailures: 3n,
    });
    expect(response?.peers[1]).toMatchObject({
      id: 'another',
      height: 0,
      reputationScore: 50,
      storage: '',
      connectedAt: 0n,
    });
  });

  test('one peer is found, or not', async () => {
    const { address, admin } = await serveGrpc();
    const ask = async () => (await rawCall(rawClient(address), peers.getPeer, { peerId: PEER })).response;
    expect(await ask()).toMatchObject({ found: false });
    expect((await ask())?.peer).toBeUndefined();
    admin.known = [FULL];
    expect(await ask()).toMatchObject({ found: true, peer: { id: PEER, reputationScore: 62.5 } });
  });

  test('peers to catch up from arrive in order with their counts', async () => {
    const { address, admin } = await serveGrpc();
    admin.known = [FULL, known({}, { id: 'another' as PeerId })];
    const { response } = await rawCall(rawClient(address), peers.getPeersForCatchup, {});
    expect(response?.peers).toMatchObject([
      {
        id: PEER,
        height: 4_000_000_000,
        blockHash: HASH,
        dataHubUrl: 'https://hub.example/api/v1',
        catchupReputationScore: 62.5,
        catchupAttempts: 6n,
        catchupSuccesses: 2n,
        catchupFailures: 3n,
      },
      { id: 'another', catchupReputationScore: 50 },
    ]);
  });

  test('a peer is malicious when it is banned or was reported as such', async () => {
    const { address, admin } = await serveGrpc();
    const ask = async () => (await rawCall(rawClient(address), peers.isPeerMalicious, { peerId: PEER })).response;
    expect(await ask()).toMatchObject({ isMalicious: false, reason: '' });
    admin.known = [known({ malicious: 1 })];
    expect(await ask()).toMatchObject({ isMalicious: true, reason: 'the peer was reported as malicious' });
    await admin.ban(PEER, undefined);
    expect(await ask()).toMatchObject({ isMalicious: true, reason: 'the peer is banned' });
  });

  test.each<[string, KnownPeer | undefined, object]>([
    ['unknown', undefined, { isUnhealthy: true, reason: 'unknown peer', reputationScore: 0 }],
    ['new', known(), { isUnhealthy: false, reason: '', reputationScore: 50 }],
    [
      'of bad reputation',
      known({ reputation: 39.875 }),
      { isUnhealthy: true, reason: 'reputation 39.88 is below 40', reputationScore: 39.875 },
    ],
    ['of sufficient reputation', known({ reputation: 40 }), { isUnhealthy: false, reputationScore: 40 }],
    [
      'often unsuccessful',
      known({ reputation: 60, successes: 5, failures: 6 }),
      { isUnhealthy: true, reason: 'only 5 of 11 interactions succeeded', reputationScore: 60 },
    ],
    ['unsuccessful ten times', known({ successes: 0, failures: 10 }), { isUnhealthy: false }],
    ['successful as often as not', known({ successes: 6, failures: 6 }), { isUnhealthy: false }],
  ])('the health of a peer that is %s', async (_case, peer, expected) => {
    const { address, admin } = await serveGrpc();
    if (peer !== undefined) admin.known = [peer];
    const { response } = await rawCall(rawClient(address), peers.isPeerUnhealthy, { peerId: PEER });
    expect(response).toMatchObject(expected);
  });

  test.each(['', 'x', 'x'.repeat(600)])('the invalid peer ID %j is unhealthy, not an error', async (peerId) => {
    const { address } = await serveGrpc();
    const { code, response } = await rawCall(rawClient(address), peers.isPeerUnhealthy, { peerId });
    expect(code).toBe('OK');
    expect(response).toMatchObject({ isUnhealthy: true, reason: expect.stringContaining('peer'), reputationScore: 0 });
  });
});

describe('invalid requests', () => {
  const progress = { peerId: PEER, height: 1, blockHash: HASH, chainWork: new Uint8Array([1]) };
  test.each([
    ['an empty peer ID', peers.recordCatchupAttempt, { peerId: '' }, 'peer_id is empty'],
    ['an invalid peer ID', peers.recordCatchupMalicious, { peerId: 'x' }, 'invalid peer ID "x"'],
    ['a legacy peer', peers.recordCatchupSuccess, { peerId: 'legacy:192.0.2.1:8333' }, 'invalid peer ID'],
    ['a blank peer ID to reset', peers.resetReputation, { peerId: ' ' }, 'peer_id is empty'],
    ['an invalid peer ID to reset', peers.resetReputation, { peerId: 'x' }, 'invalid peer ID'],
    ['an invalid peer ID to look up', peers.getPeer, { peerId: 'x' }, 'invalid peer ID'],
    ['an invalid peer ID to judge', peers.isPeerMalicious, { peerId: 'x' }, 'invalid peer ID'],
    ['no subtree hash', peers.reportValidSubtree, { peerId: PEER }, 'subtree_hash is empty'],
    ['a short block hash', peers.reportValidBlock, { peerId: PEER, blockHash: 'ab' }, 'expected 64 hex digits'],
    ['a failure about no hash', peers.recordCatchupFailure, { peerId: PEER, blockHash: 'x' }, 'invalid block_hash "x"'],
    ['no score', peers.updateCatchupReputation, { peerId: PEER, score: Number.NaN }, 'score is not a number'],
    ['progress without a height', peers.reportValidatedChainProgress, { ...progress, height: 0 }, 'height is 0'],
    [
      'progress without a hash',
      peers.reportValidatedChainProgress,
      { ...progress, blockHash: '' },
      'block_hash is empty',
    ],
    [
      'progress without work',
      peers.reportValidatedChainProgress,
      { ...progress, chainWork: new Uint8Array() },
      'chain_work has 0 bytes (expected 1 to 128)',
    ],
    [
      'progress with too much work',
      peers.reportValidatedChainProgress,
      { ...progress, chainWork: new Uint8Array(129) },
      'chain_work has 129 bytes',
    ],
  ] as const)('%s is INVALID_ARGUMENT', async (_case, method, fields, says) => {
    const { address } = await serveGrpc();
    const { code, details } = await rawCall(rawClient(address), method, fields, { keys });
    expect([code, details]).toEqual(['INVALID_ARGUMENT', expect.stringContaining(says)]);
  });
});
