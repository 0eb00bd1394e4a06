// What is reported about peers to the peer registry of the blockchain service, against the reference service in a process of
// its own.
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type KnownPeer, PeerRegistration } from '../../src/adapters/services/peer-registration.ts';
import type { BlockHash, PeerId } from '../../src/domain/ids.ts';
import { hashToBytes } from '../../src/wire/hash.ts';
import { peer } from '../fakes/ban-parts.ts';
import { FakeClock } from '../fakes/recorders.ts';
import { eventually } from '../support/eventually.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { startRegistry } from '../support/registry-clients.ts';

const INTERVAL_MS = 20;
const HASH = 'ab'.repeat(32) as BlockHash;

function known(id: PeerId, fields: Partial<KnownPeer> = {}): KnownPeer {
  return {
    id,
    isConnected: true,
    clientName: undefined,
    height: undefined,
    hash: undefined,
    dataHubUrl: undefined,
    storage: undefined,
    address: undefined,
    lastMessageMs: undefined,
    ...fields,
  };
}

/** A registration of these peers with a service. */
async function registering(service: ReferenceServiceProcess, peers: KnownPeer[]) {
  const { registry, log } = await startRegistry(service.address);
  const clock = new FakeClock();
  const registration = new PeerRegistration({ registry, peers: () => peers, clock, log }, { intervalMs: INTERVAL_MS });
  onTestFinished(() => registration.stop());
  registration.start();
  return { registration, registry, clock };
}

async function shown(service: ReferenceServiceProcess, peerId: PeerId): Promise<Record<string, unknown>> {
  const { peer: found } = await service.askRegistry('GetPeer', { peerId });
  return (found ?? {}) as Record<string, unknown>;
}

/** Calls about one peer, by method. */
async function callsAbout(service: ReferenceServiceProcess, peerId: PeerId, method: string) {
  const calls = await service.registryCalls(method);
  return calls.filter(
    ({ request }) => request.peerId === peerId || (request.peer as KnownPeer & { peerId: string })?.peerId === peerId,
  );
}

/** Adds a peer that is reported after all others of the same interval. */
async function awaitIntervalAfter(service: ReferenceServiceProcess, peers: KnownPeer[]): Promise<void> {
  const last = peer(1000 + peers.length);
  peers.push(known(last));
  await eventually(async () => expect(await shown(service, last)).toMatchObject({ isConnected: true }));
}

describe('registration', () => {
  let service: ReferenceServiceProcess;
  beforeAll(async () => {
    service = await ReferenceServiceProcess.start({ hasPeerRegistry: true });
  });
  afterAll(() => service.stop());

  test('a peer is registered with what it says about itself, once while that does not change', async () => {
    const id = peer(1);
    const facts = { clientName: 'x'.repeat(200), height: 7, hash: HASH, dataHubUrl: 'http://192.0.2.1/api/v1' };
    const more = { address: '/ip4/192.0.2.1/tcp/9905', storage: 'pruned', lastMessageMs: 5 };
    const peers = [known(id, { ...facts, ...more })];
    await registering(service, peers);
    await eventually(async () =>
      expect(await shown(service, id)).toMatchObject({
        clientName: 'x'.repeat(128),
        height: 7,
        blockHash: Buffer.from(hashToBytes(HASH)).toString('base64'),
        dataHubUrl: facts.dataHubUrl,
        networkAddress: more.address,
        storage: 'pruned',
        isConnected: true,
      }),
    );
    await awaitIntervalAfter(service, peers);
    await awaitIntervalAfter(service, peers);
    for (const method of ['RegisterPeer', 'UpdateConnectionState', 'UpdateStorage', 'UpdateLastMessageTime'])
      expect(await callsAbout(service, id, method)).toHaveLength(1);
    peers[0] = known(id, { ...facts, ...more, height: 8, storage: 'full' });
    await eventually(async () => expect(await shown(service, id)).toMatchObject({ height: 8, storage: 'full' }));
    expect(await callsAbout(service, id, 'RegisterPeer')).toHaveLength(2);
    expect(await callsAbout(service, id, 'UpdateConnectionState')).toHaveLength(1);
  });

  test('the time of the last message is reported every ten seconds at most', async () => {
    const id = peer(2);
    const peers = [known(id, { lastMessageMs: 1 })];
    const { clock } = await registering(service, peers);
    const reported = () => callsAbout(service, id, 'UpdateLastMessageTime');
    await eventually(async () => expect(await reported()).toHaveLength(1));
    peers[0] = known(id, { lastMessageMs: 2 });
    await awaitIntervalAfter(service, peers);
    expect(await reported()).toHaveLength(1);
    clock.advance(10_000);
    await eventually(async () => expect(await reported()).toHaveLength(2));
  });

  test('a peer that disconnects is reported, and at a stop every peer that is connected', async () => {
    const [gone, stays, author] = [peer(3), peer(4), peer(5)];
    const peers = [known(gone), known(stays), known(author, { isConnected: false, height: 3 })];
    const { registration } = await registering(service, peers);
    await eventually(async () => expect(await shown(service, author)).toMatchObject({ height: 3 }));
    expect(await shown(service, author)).not.toHaveProperty('isConnected');
    peers[0] = known(gone, { isConnected: false });
    await eventually(async () => expect(await shown(service, gone)).not.toHaveProperty('isConnected'));
    expect(await shown(service, stays)).toMatchObject({ isConnected: true });
    await registration.stop();
    expect(await shown(service, stays)).not.toHaveProperty('isConnected');
    expect(await callsAbout(service, author, 'UpdateConnectionState')).toHaveLength(0);
  });

  test('a peer that the service evicted is registered again', async () => {
    const id = peer(6);
    await registering(service, [known(id, { height: 1 })]);
    await eventually(async () => expect(await shown(service, id)).toMatchObject({ height: 1, isConnected: true }));
    await service.askRegistry('RemovePeer', { peerId: id });
    await eventually(async () => expect(await shown(service, id)).toMatchObject({ height: 1, isConnected: true }));
  });

  test('a peer about which the service refuses a call does not keep others from being registered', async () => {
    const [refused, other] = [peer(7), peer(8)];
    await service.fail('RegisterPeer', 'INVALID_ARGUMENT', 1);
    await registering(service, [known(refused), known(other, { height: 2 })]);
    await eventually(async () => expect(await shown(service, other)).toMatchObject({ height: 2 }));
    await service.heal();
  });
});

describe('registration after an outage', () => {
  test('a service that is back gets all peers again, and those that disconnected meanwhile', async () => {
    const service = await ReferenceServiceProcess.start({ hasPeerRegistry: true });
    onTestFinished(() => service.stop());
    const [gone, stays, fresh] = [peer(1), peer(2), peer(3)];
    const peers = [known(gone), known(stays, { height: 1 })];
    await registering(service, peers);
    await eventually(async () => {
      for (const id of [gone, stays]) expect(await shown(service, id)).toMatchObject({ isConnected: true });
    });
    await service.kill();
    peers.splice(0, 1, known(fresh));
    await service.up();
    await eventually(async () => {
      expect(await shown(service, gone)).not.toHaveProperty('isConnected');
      for (const id of [stays, fresh]) expect(await shown(service, id)).toMatchObject({ isConnected: true });
    });
    await eventually(async () => expect(await callsAbout(service, stays, 'RegisterPeer')).toHaveLength(1));
  });

  test('peers that an earlier run left behind as connected are reported as disconnected', async () => {
    const service = await ReferenceServiceProcess.start({ hasPeerRegistry: true });
    onTestFinished(() => service.stop());
    const left = peer(1);
    await service.askRegistry('RegisterPeer', { peer: { peerId: left } });
    await service.askRegistry('UpdateConnectionState', { peerId: left, connected: true });
    await registering(service, [known(peer(2))]);
    await eventually(async () => expect(await shown(service, left)).not.toHaveProperty('isConnected'));
  });
});
