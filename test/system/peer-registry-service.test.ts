// A node of message-bus whose blockchain service keeps peers and scores, and one whose service does not: what the
// service learns, what it decides, and what happens while it is down.
import { afterEach, describe, expect, test } from 'vitest';
import { admin, bannedKeys } from '../support/admin.ts';
import { busSubtree, messageBus } from '../support/bus-network.ts';
import { busTopics, GoBus } from '../support/go-bus.ts';
import { DATA_HUB } from '../support/network.ts';
import { callPeerService } from '../support/peer-service-call.ts';
import { awaitFailing } from '../support/readiness.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const topics = busTopics('regtest');
/** Nobody can dial it there: peers that hear of it stay connected to our server alone. */
const UNREACHABLE = ['/ip4/127.0.0.1/tcp/1'];
/** Our server reads the list of banned peers every 30 s. */
const LISTED = { timeoutMs: 60_000 };
const SOMEBODY = '12D3KooWDsRPXvXXUJoK3MpZL5ENQsHarF8Rk6J96CFet6uJGxvu';
const HASH = 'ab'.repeat(32);

const running: { stop(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of running.splice(0).reverse()) await each.stop();
});

async function startServices(hasPeerRegistry: boolean): Promise<ReferenceServiceProcess> {
  const services = await ReferenceServiceProcess.start({ hasPeerRegistry });
  running.push(services);
  return services;
}

async function startServer(
  services: ReferenceServiceProcess,
  settings: Record<string, string> = {},
): Promise<ServerProcess> {
  const server = await ServerProcess.start({
    settings: { ...messageBus('regtest'), blockchain_grpcAddress: services.address, ...settings },
  });
  running.push(server);
  return server;
}

/** A Go peer of today that is connected to our server alone. */
async function bus(server: ServerProcess, name: string): Promise<GoBus> {
  const peer = await GoBus.start({
    name,
    network: 'regtest',
    bootstrapPeers: [server.address],
    announceAddrs: UNREACHABLE,
  });
  running.push(peer);
  await waitFor(
    async () => {
      const { mesh } = await peer.mesh();
      return Object.values(topics).every((topic) => mesh[topic]?.includes(server.peerId));
    },
    { timeoutMs: 60_000, what: 'the mesh' },
  );
  return peer;
}

/** Speaks in the name of another peer: a violation of the protocol, 20 points. */
async function offend(peer: GoBus): Promise<void> {
  await peer.publish(topics.subtree, busSubtree(SOMEBODY));
}

async function shown(services: ReferenceServiceProcess, peerId: string): Promise<Record<string, unknown>> {
  const { peer } = await services.askRegistry('GetPeer', { peerId });
  return (peer ?? {}) as Record<string, unknown>;
}

async function awaitShown(services: ReferenceServiceProcess, { peerId }: GoBus, fields: object): Promise<void> {
  await waitFor(
    async () => {
      expect(await shown(services, peerId)).toMatchObject(fields);
      return true;
    },
    { what: `peer with ${JSON.stringify(fields)}` },
  );
}

async function awaitKeeper(server: ServerProcess, keeper: string | RegExp): Promise<void> {
  await waitFor(
    async () => {
      const { body } = await server.get('/health/ready');
      const [, details = ''] = /^peer_registry: ok \((.*)\)$/m.exec(body) ?? [];
      expect(details).toMatch(keeper);
      return true;
    },
    { what: `${keeper} in /health/ready` },
  );
}

async function awaitBanned(server: ServerProcess, ids: readonly string[], options = {}): Promise<void> {
  await waitFor(async () => (await bannedKeys(server)).join() === [...ids].sort().join(), {
    what: `bans of ${ids.join() || 'nobody'}`,
    ...options,
  });
}

async function awaitDisconnected(peer: GoBus, server: ServerProcess): Promise<void> {
  await waitFor(async () => !(await peer.isConnectedTo(server.peerId)), { what: 'the end of the connection' });
}

function explained(server: ServerProcess, { peerId }: GoBus): Promise<Record<string, unknown>[]> {
  return admin(server, 'bans', 'explain', peerId);
}

describe('a blockchain service with a peer registry', () => {
  test('learns which peers are connected and what they say about themselves', async () => {
    const services = await startServices(true);
    const server = await startServer(services);
    await awaitKeeper(server, /^blockchain service$/);
    const [a, b] = [await bus(server, 'A'), await bus(server, 'B')];
    await a.publish(topics.nodeStatus, {
      peer_id: a.peerId,
      client_name: 'A',
      type: 'node_status',
      base_url: DATA_HUB,
      version: 'v0.14.4',
      best_block_hash: HASH,
      best_height: 7,
      storage: 'pruned',
    });
    await awaitShown(services, a, {
      clientName: 'A',
      height: 7,
      blockHash: Buffer.from(HASH, 'hex').toString('base64'),
      dataHubUrl: DATA_HUB,
      storage: 'pruned',
      networkAddress: expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+/),
      isConnected: true,
    });
    expect((await services.registryCalls('UpdateLastMessageTime')).length).toBeGreaterThan(0);
    await awaitShown(services, b, { isConnected: true });
    await a.stop();
    await waitFor(async () => !('isConnected' in (await shown(services, a.peerId))), { what: 'the end of A' });
    await server.stop();
    expect(await shown(services, b.peerId)).not.toHaveProperty('isConnected');
  });

  test('gets each offence, and a peer that it bans is disconnected', async () => {
    const services = await startServices(true);
    const server = await startServer(services);
    const [a, honest] = [await bus(server, 'A'), await bus(server, 'B')];
    for (let i = 0; i < 4; i += 1) await offend(a);
    await awaitShown(services, a, { banScore: 80 });
    const reported = (await services.registryCalls('AddBanScore')).map(({ request }) => request);
    expect(reported).toEqual(Array(4).fill({ peerId: a.peerId, reason: 'protocol_violation', points: 20 }));
    expect(await explained(server, a)).toMatchObject([
      { scoreKeptBy: 'blockchain service', scores: [{ role: 'author', score: 80 }], inForce: [] },
    ]);
    await offend(a);
    await awaitBanned(server, [a.peerId]);
    await awaitDisconnected(a, server);
    expect(await explained(server, a)).toMatchObject([
      { inForce: [{ source: 'service', reason: expect.stringMatching(/^score 100 at the blockchain service/) }] },
    ]);
    expect(await honest.isConnectedTo(server.peerId)).toBe(true);
    await admin(server, 'bans', 'clear', '--yes');
    expect(await services.askRegistry('ListBannedPeers')).toEqual({});
    await awaitBanned(server, []);
  });

  test('has banned peers that are banned here too, from the start and later, until it no longer lists them', async () => {
    const services = await startServices(true);
    const first = await startServer(services);
    const a = await bus(first, 'A');
    const spam = { peerId: a.peerId, reason: 'spam' };
    for (let i = 0; i < 2; i += 1) await services.askRegistry('AddBanScore', spam);
    await awaitBanned(first, [a.peerId], LISTED);
    await awaitDisconnected(a, first);
    await first.stop();
    const next = await ServerProcess.start({ settings: first.settings });
    running.push(next);
    await awaitBanned(next, [a.peerId]);
    await services.askRegistry('ClearBannedPeers');
    await awaitBanned(next, [], LISTED);
  });

  test('gets what was recorded while it was down when it is back; meanwhile own scores lead to bans', async () => {
    const services = await startServices(true);
    const server = await startServer(services);
    const [a, b] = [await bus(server, 'A'), await bus(server, 'B')];
    await offend(a);
    await awaitShown(services, a, { banScore: 20 });
    await services.kill();
    await offend(a);
    for (let i = 0; i < 5; i += 1) await offend(b);
    await awaitBanned(server, [b.peerId]);
    await awaitDisconnected(b, server);
    expect(await explained(server, b)).toMatchObject([{ inForce: [{ source: 'automatic' }] }]);
    for (const kind of ['generic', 'generic', 'block_incomplete'])
      await callPeerService(server, 'recordCatchupFailure', { peerId: a.peerId, failureKind: kind, blockHash: HASH });
    await callPeerService(server, 'recordBytesDownloaded', { peerId: a.peerId, bytesDownloaded: 1000n });
    await awaitKeeper(server, /^blockchain service: no answer, [1-9]\d* calls queued$/);
    await awaitFailing(server.ready.httpAddress, 'blockchain', 'fsm');
    await services.up();
    await awaitShown(services, a, { banScore: 40, catchupFailures: '3', bytesReceived: '1000', isConnected: true });
    await awaitShown(services, b, { banScore: 100, isBanned: true });
    await awaitKeeper(server, /^blockchain service$/);
    expect(await explained(server, a)).toMatchObject([{ scores: [{ role: 'author', score: 40 }] }]);
    await offend(a);
    await awaitShown(services, a, { banScore: 60 });
    expect(await server.metric('teranode_p2p_peer_registry_lost_total')).toBe(0);
  });

  test('is not asked by a node of go-p2p', async () => {
    const services = await startServices(true);
    const server = await startServer(services, { p2p_wire: 'go-p2p', p2p_shared_key: '0f'.repeat(32) });
    await awaitKeeper(server, /^this node$/);
    expect(await services.registryCalls()).toEqual([]);
  });
});

describe('a blockchain service without a peer registry', () => {
  test('leaves peers and scores to this node, which says so and decides about bans', async () => {
    const services = await startServices(false);
    const server = await startServer(services);
    await awaitKeeper(server, /^this node: PeerRegistryService is not implemented there$/);
    const a = await bus(server, 'A');
    await callPeerService(server, 'recordCatchupFailure', { peerId: a.peerId });
    expect(await callPeerService(server, 'getPeer', { peerId: a.peerId })).toMatchObject({
      found: true,
      peer: { catchupFailures: 1n },
    });
    for (let i = 0; i < 5; i += 1) await offend(a);
    await waitFor(async () => (await bannedKeys(server)).includes(a.peerId), { what: 'the ban of A' });
    await awaitDisconnected(a, server);
    expect(await explained(server, a)).toMatchObject([
      { scoreKeptBy: 'this node', inForce: expect.arrayContaining([expect.objectContaining({ source: 'automatic' })]) },
    ]);
    expect((await services.counts('ListPeers')).calls).toBe(0);
  });
});
