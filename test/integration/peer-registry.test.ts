// The peer registry of the blockchain service as keeper of experiences with peers, against the reference service in a
// process of its own: with a registry, without one, killed and back, and with answers that are wrong.
import { create, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { MAX_WAITING } from '../../src/adapters/services/peer-registry.ts';
import { RegistryScores } from '../../src/adapters/services/peer-registry-scores.ts';
import type { PeerEvent } from '../../src/domain/peer-history.ts';
import { ListPeersResponseSchema } from '../../src/gen/blockchain_api_pb.js';
import { peer } from '../fakes/ban-parts.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/kafka-broker.ts';
import { testPeerHistories } from '../support/peer-histories-conformance.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { PENALTY_MS, startHistories, startRegistry } from '../support/registry-clients.ts';

const ID = peer(1);
const FAILURE: PeerEvent = { type: 'failure' };

async function startService(hasPeerRegistry: boolean): Promise<ReferenceServiceProcess> {
  const service = await ReferenceServiceProcess.start({ hasPeerRegistry });
  onTestFinished(() => service.stop());
  return service;
}

describe('a blockchain service with a peer registry', () => {
  let service: ReferenceServiceProcess;
  beforeAll(async () => {
    service = await ReferenceServiceProcess.start({ hasPeerRegistry: true });
  });
  afterAll(() => service.stop());

  testPeerHistories(async () => {
    const { peers = [] } = (await service.askRegistry('ListPeers')) as { peers?: { peerId: string }[] };
    for (const { peerId } of peers) await service.askRegistry('RemovePeer', { peerId });
    let advancedMs = 0;
    onTestFinished(() => service.advanceRegistry(-advancedMs));
    const { histories } = await startHistories(service.address);
    const advance = async (ms: number) => {
      advancedMs += ms;
      await service.advanceRegistry(ms);
    };
    return { histories, advance, fullStoragePenaltyMs: PENALTY_MS };
  });
});

describe('who keeps the histories', () => {
  test('a service with a peer registry keeps them, also those recorded by others', async () => {
    const service = await startService(true);
    const { histories, registry, own } = await startHistories(service.address);
    expect(histories.keptBy()).toBe('blockchain service');
    expect(registry.health()).toEqual({ ok: true, details: 'blockchain service' });
    await histories.record(ID, FAILURE);
    expect(histories.historyOf(ID)).toMatchObject({ failures: 1 });
    expect(own.historyOf(ID)).toBeUndefined();
    await service.askRegistry('RecordBlockReceived', { peerId: ID, responseTimeMs: '300' });
    await eventually(() => expect(histories.historyOf(ID)).toMatchObject({ failures: 1, blocksReceived: 1 }));
    expect(histories.histories().map(({ id }) => id)).toEqual([ID]);
  });

  test('this node keeps them where the service has no peer registry, and the service as soon as it has one', async () => {
    const service = await startService(false);
    const { histories, registry, own } = await startHistories(service.address, { times: { askAgainMs: 600_000 } });
    expect(histories.keptBy()).toBe('this node');
    expect(registry.health()).toEqual({
      ok: true,
      details: 'this node: PeerRegistryService is not implemented there',
    });
    await histories.record(ID, FAILURE);
    expect(own.historyOf(ID)).toMatchObject({ failures: 1 });
    expect(histories.histories()).toHaveLength(1);
    expect(await histories.reset(ID)).toBe(1);
    service.setPeerRegistry(true);
    await service.kill();
    await service.up();
    await eventually(() => expect(histories.keptBy()).toBe('blockchain service'));
    expect(histories.historyOf(ID)).toBeUndefined();
  });

  test('what was recorded before the service answered is kept by this node when the service has no registry', async () => {
    const service = await startService(false);
    await service.kill();
    const { histories, registry, own } = await startHistories(service.address);
    expect(registry.health().details).toBe('blockchain service: no answer, 0 calls queued');
    await histories.record(ID, FAILURE);
    expect(own.historyOf(ID)).toBeUndefined();
    await service.up();
    await eventually(() => expect(own.historyOf(ID)).toMatchObject({ failures: 1 }));
    expect(histories.keptBy()).toBe('this node');
  });
});

describe('outages', () => {
  test('what is recorded while the service is down reaches it afterwards, in order and once', async () => {
    const service = await startService(true);
    const { histories, registry, metrics } = await startHistories(service.address);
    await histories.record(ID, FAILURE);
    await service.kill();
    await histories.record(ID, { type: 'catchup_error', message: 'first' });
    for (const message of ['second', 'third']) await histories.record(ID, { type: 'catchup_error', message });
    await histories.record(peer(2), { type: 'valid_headers', responseMs: 20 });
    expect(histories.historyOf(ID)).toMatchObject({ failures: 1, lastCatchupError: '' });
    await eventually(() => expect(metrics.gaugeValue('teranode_p2p_peer_registry_queue_length')).toBe(4));
    await expect(histories.reset(ID)).rejects.toMatchObject({ code: 'RPC_FAILED' });
    await eventually(() => expect(registry.health()).toMatchObject({ ok: true, details: expect.stringMatching(/4/) }));
    await service.up();
    await eventually(() => expect(histories.historyOf(ID)).toMatchObject({ failures: 1, lastCatchupError: 'third' }));
    await eventually(() => expect(histories.historyOf(peer(2))).toMatchObject({ successes: 1, avgResponseMs: 20 }));
    const errors = await service.registryCalls('RecordCatchupError');
    expect(errors.map(({ request }) => request.errorMessage)).toEqual(['first', 'second', 'third']);
    expect(metrics.count('teranode_p2p_peer_registry_lost_total')).toBe(0);
  });

  test.each(['UNAVAILABLE', 'DEADLINE_EXCEEDED'])(
    'an offence whose answer is lost (%s) is counted once',
    async (code) => {
      const service = await startService(true);
      const { registry, clock } = await startHistories(service.address);
      const scores = new RegistryScores({ registry, clock });
      await service.askRegistry('RegisterPeer', { peer: { peerId: ID } });
      expect(await scores.addOffence(ID, 'protocol_violation', 20)).toEqual({ score: 20, isNewBan: false });
      await service.loseAnswer('AddBanScore', code);
      const [, last] = await Promise.all([1, 2].map(() => scores.addOffence(ID, 'protocol_violation', 20)));
      expect(last).toEqual({ score: 60, isNewBan: false });
      await service.loseAnswer('AddBanScore', code);
      expect(await scores.addOffence(ID, 'spam', 50)).toEqual({ score: 110, isNewBan: true });
      expect(scores.scoreOf(ID)).toBe(110);
      await service.fail('AddBanScore', code, 1);
      expect(await scores.addOffence(ID, 'protocol_violation', 20)).toEqual({ score: 130, isNewBan: false });
    },
  );

  test('a full queue drops the oldest call and counts it', async () => {
    const { registry, metrics } = await startRegistry(`127.0.0.1:${await freePort()}`);
    const first = registry.deliver('', [async () => 1]);
    for (let i = 0; i < MAX_WAITING; i += 1) void registry.deliver('', [async () => 1]);
    expect(await first).toBeUndefined();
    expect(metrics.count('teranode_p2p_peer_registry_lost_total', { reason: 'full' })).toBe(1);
    expect(metrics.gaugeValue('teranode_p2p_peer_registry_queue_length')).toBe(MAX_WAITING);
    await registry.stop();
    expect(metrics.count('teranode_p2p_peer_registry_lost_total', { reason: 'stopped' })).toBe(MAX_WAITING);
  });

  test('a call that the service refuses is given up, and those behind it are carried out', async () => {
    const service = await startService(true);
    const { histories, metrics } = await startHistories(service.address);
    await service.fail('RecordSyncAttempt', 'INVALID_ARGUMENT', 1);
    await expect(histories.record(ID, { type: 'sync_attempt' })).rejects.toMatchObject({
      code: 'RPC_FAILED',
      details: { grpcCode: 'INVALID_ARGUMENT' },
    });
    await histories.record(ID, { type: 'sync_attempt' });
    expect(histories.historyOf(ID)).toMatchObject({ syncAttempts: 1 });
    expect(metrics.count('teranode_p2p_peer_registry_lost_total', { reason: 'refused' })).toBe(1);
  });

  test('a stop sends what waits, and does not wait for a service that stands still', async () => {
    const service = await startService(true);
    const { registry, histories } = await startHistories(service.address);
    const recorded = [1, 2, 3, 4, 5].map((n) => histories.record(peer(n), FAILURE));
    await registry.stop();
    await Promise.all(recorded);
    expect(await service.registryCalls('UpdatePeerMetrics')).toHaveLength(5);
    const other = await startHistories(service.address);
    service.freeze();
    const late = other.histories.record(ID, FAILURE);
    await other.registry.stop();
    await late;
    service.thaw();
    expect(other.metrics.count('teranode_p2p_peer_registry_lost_total', { reason: 'stopped' })).toBe(1);
  });
});

describe('answers', () => {
  test('an invalid row costs only itself, and unknown bytes of times and work are left out', async () => {
    const service = await startService(true);
    const zeroTime = { seconds: -62_135_596_800n, nanos: 0 };
    const peers = [
      { peerId: 'legacy:192.0.2.1:8333' },
      { peerId: ID, reputationScore: Number.NaN, interactionFailures: -3n, lastInteractionFailure: zeroTime },
      { peerId: peer(2), reputationScore: 1e9, validatedBlockHash: new Uint8Array(31), validatedHeight: 7 },
    ];
    const answer = toBinary(ListPeersResponseSchema, create(ListPeersResponseSchema, { peers }));
    await service.answer('ListPeers', answer);
    const { histories } = await startHistories(service.address);
    expect(histories.histories()).toMatchObject([
      { id: ID, reputation: 50, failures: 0, lastFailureMs: undefined },
      { id: peer(2), reputation: 100, validated: undefined },
    ]);
  });

  test('a list that is too large is not taken, and single peers are read all the same', async () => {
    const service = await startService(true);
    await service.answer('ListPeers', new Uint8Array(), 17 * 1024 * 1024);
    const { histories, registry } = await startHistories(service.address);
    expect(registry.isAnswering).toBe(true);
    await histories.record(ID, FAILURE);
    expect(histories.historyOf(ID)).toMatchObject({ failures: 1 });
  });

  test('a peer that is not registered is registered before what is recorded about it', async () => {
    const service = await startService(true);
    const { histories } = await startHistories(service.address);
    await histories.record(ID, { type: 'catchup_failure', kind: 'block_incomplete' });
    const calls = await service.registryCalls();
    const changes = calls.filter(({ method }) => !['ListPeers', 'GetPeer'].includes(method));
    expect(changes.map(({ method }) => method)).toEqual(['RegisterPeer', 'RecordCatchupFailure', 'RegisterPeer']);
  });

  test('an incomplete block takes back the claim of full storage', async () => {
    const service = await startService(true);
    await service.askRegistry('RegisterPeer', { peer: { peerId: ID, storage: 'full' } });
    const { histories } = await startHistories(service.address);
    await histories.record(ID, { type: 'catchup_failure', kind: 'block_incomplete' });
    const { peer: shown } = await service.askRegistry('GetPeer', { peerId: ID });
    expect(shown).toMatchObject({ fullStorageContradictions: '1', catchupFailures: '1' });
    expect(shown).not.toHaveProperty('storage');
  });
});
