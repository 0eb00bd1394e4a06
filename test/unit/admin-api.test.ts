// Connected peers as operators see them: what the node knows of the connection, and what the peer said of itself, as
// long as it holds.
import { expect, test, vi } from 'vitest';
import { createAdminApi } from '../../src/admin/admin-api.ts';
import { Nodes } from '../../src/app/nodes.ts';
import type { BlockHash, PeerId } from '../../src/domain/ids.ts';
import { FirstDeliveries } from '../../src/peers/first-deliveries.ts';
import { Propagation } from '../../src/peers/propagation.ts';
import { CLAIM_KEEP_MS, PeerRegistry } from '../../src/peers/registry.ts';
import type { AdminApi } from '../../src/ports/admin-api.ts';
import { syncPeerRow } from '../../src/sync/sync-peer-row.ts';
import { PeerClocks } from '../../src/watch/peer-clocks.ts';
import { Silence } from '../../src/watch/silence.ts';
import { startedBans } from '../fakes/started-bans.ts';
import { unstoredHistories } from '../fakes/unstored-histories.ts';

const PEER = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY' as PeerId;
const DATA_HUB = 'https://hub.example/api/v1';
const OURS = 'aa'.repeat(32) as BlockHash;
const CLAIMED = 'bb'.repeat(32) as BlockHash;
const CHECKED = 'cc'.repeat(32) as BlockHash;
const MINUTE = 60_000;
const OWN = '12D3KooWCv5gciT4GsWGpxJLa8nmCNkE6Y8FpMgM5vnfVfVGwUXB' as PeerId;
const OTHER_NEIGHBOUR = 'another neighbour' as PeerId;

/** One peer is connected; the node got its height once, at the start. Our chain has the block `OURS`. */
async function setUp(options: { readonly acceptsAnyReason?: boolean } = {}) {
  const { bans, node, clock, metrics } = await startedBans();
  const registry = new PeerRegistry({ clock, metrics });
  node.connect(PEER, '/ip4/192.0.2.7/tcp/9905');
  registry.connected(PEER);
  const propagation = new Propagation({ clock, metrics });
  const deliveries = new FirstDeliveries({ clock, metrics, propagation, isPenalized: () => false });
  const admin = createAdminApi({
    ...options,
    bans,
    registry,
    clock,
    histories: unstoredHistories(clock),
    isUsableUrl: () => true,
    syncRow: (peer) =>
      syncPeerRow(peer, {
        isBanned: (peerId) => bans.isBanned(peerId),
        scoreOf: () => 0,
        deliveryShareOf: () => 0,
        healthOf: (url) => (url === DATA_HUB ? 'unhealthy' : 'unknown'),
        ownHeightOf: (hash) => (hash === OURS ? 70 : undefined),
      }),
    node: {
      currentlyConnectedPeers: () =>
        node.currentlyConnectedPeers().map((record) => ({ ...record, height: 77, startingHeight: 77 })),
      connectPeer: async () => PEER,
      disconnectPeer: (peerId) => node.disconnectPeer(peerId),
      getTopic: () => undefined,
    },
    isWhitelisted: () => false,
    chain: {
      recentFsmState: () => Promise.reject(new Error('down')),
      recentBestHeader: () => new Promise(() => {}),
      tip: () => undefined,
    },
    messages: { lastMinute: () => [] },
    history: undefined,
    deliveries,
    propagation,
    metrics,
    blockchain: { blockHeader: async () => undefined },
    sync: { syncPeer: () => undefined, choice: () => undefined, lastEnd: () => undefined },
    own: () => ({ peerId: OWN, version: 'v1', networks: [], httpUrl: undefined }),
    readiness: async () => ({ status: 503, checks: [{ name: 'fsm', ok: false, details: 'IDLE' }] }),
    topicNames: () => [],
    connections: () => new Nodes().diagnosis(),
    peerClocks: new PeerClocks(clock),
    feed: new Silence({ clock, peers: () => 0 }, { topics: [], silentAfterMs: 1000 }),
    recent: { announcements: () => [], verdicts: () => [] },
    endpoints: { list: () => [] },
    settings: [],
  });
  return { bans, node, registry, clock, deliveries, admin, peer: () => admin.peers()[0] };
}

test('a claimed height disappears with its claim, whatever the node remembers', async () => {
  const { registry, clock, peer } = await setUp();
  expect(peer()).toMatchObject({ height: undefined, startingHeight: undefined });
  registry.heard(PEER, { claimed: { height: 77, hash: undefined } });
  clock.advance(MINUTE);
  registry.heard(PEER, { claimed: { height: 78, hash: undefined } });
  expect(peer()).toMatchObject({ height: 78, startingHeight: 77 });
  clock.advance(CLAIM_KEEP_MS);
  expect(peer()).toMatchObject({ height: 78 });
  clock.advance(1);
  expect(peer()).toMatchObject({ height: undefined, startingHeight: 77 });
});

test('a peer is shown with what it says about itself, and with the wires on which it was heard', async () => {
  const { registry, peer } = await setUp();
  const nothing = { clientName: undefined, wires: [], storage: undefined, feePolicy: undefined, txCount: undefined };
  expect(peer()).toMatchObject(nothing);
  const feePolicy = { miningFee: { satoshis: 1, bytes: 1000 }, maxScriptSize: 1n, maxTxSize: 2n, maxTxSigops: 3n };
  const status = {
    storage: 'full',
    propagationUrl: 'https://tx.example',
    minMiningTxFee: 0,
    feePolicy,
    txCount: 2n ** 60n,
    subtreeCount: 3,
    connectedPeersCount: 9,
  } as const;
  registry.heard(PEER, { wire: 'message-bus', clientName: 'A name', ...status });
  for (const wire of ['go-p2p', 'message-bus'] as const) registry.heard(PEER, { wire });
  expect(peer()).toMatchObject({ clientName: 'A name', wires: ['message-bus', 'go-p2p'], ...status });
  registry.heard(PEER, { storage: undefined, txCount: undefined });
  expect(peer()).toMatchObject({ storage: undefined, txCount: undefined, subtreeCount: 3 });
});

test('the user agent of the handshake takes precedence over that of libp2p', async () => {
  const { registry, peer } = await setUp();
  expect(peer()).toMatchObject({ agentVersion: 'test', services: undefined });
  registry.heard(PEER, { userAgent: 'teranode/bitcoin/v9.8.7', services: 0xffff_ffff_ffff_ffffn });
  expect(peer()).toMatchObject({ agentVersion: 'teranode/bitcoin/v9.8.7', services: '18446744073709551615' });
  registry.heard(PEER, { services: 0n });
  expect(peer()).toMatchObject({ agentVersion: 'teranode/bitcoin/v9.8.7', services: '0' });
});

test('the handshake of an earlier connection is not shown for the current one', async () => {
  const { registry, peer } = await setUp();
  registry.heard(PEER, { userAgent: 'teranode/bitcoin/v9.8.7', services: 1n });
  registry.disconnected(PEER);
  expect(registry.get(PEER)).toMatchObject({ userAgent: 'teranode/bitcoin/v9.8.7', services: 1n });
  registry.connected(PEER);
  expect(peer()).toMatchObject({ agentVersion: 'test', services: undefined });
});

test('a peer is shown as the choice of the sync peer sees it', async () => {
  const { registry, clock, peer } = await setUp();
  const nothing = { bestBlockHash: undefined, claimedAtMs: undefined, provenHeight: undefined, provenHash: undefined };
  const unheard = { dataHubUrl: undefined, dataHubHealth: 'unknown', lastMessageMs: undefined, isBanned: false };
  expect(peer()).toMatchObject({ ...nothing, ...unheard });
  const claimedAtMs = clock.now();
  registry.heard(PEER, {
    claimed: { height: 80, hash: CLAIMED },
    proven: { height: 78, hash: CHECKED },
    dataHubUrl: DATA_HUB,
  });
  clock.advance(MINUTE);
  registry.heard(PEER, {});
  const heard = { dataHubUrl: DATA_HUB, dataHubHealth: 'unhealthy', lastMessageMs: clock.now() };
  const claimed = { height: 80, bestBlockHash: CLAIMED, claimedAtMs, provenHeight: 78, provenHash: CHECKED };
  expect(peer()).toMatchObject({ ...claimed, ...heard });
  registry.heard(PEER, { claimed: { height: 80, hash: OURS }, dataHubUrl: undefined });
  expect(peer()).toMatchObject({
    bestBlockHash: OURS,
    claimedAtMs: clock.now(),
    provenHeight: 70,
    provenHash: OURS,
    dataHubUrl: undefined,
    dataHubHealth: 'unknown',
  });
  clock.advance(CLAIM_KEEP_MS + 1);
  expect(peer()).toMatchObject({ ...nothing, provenHeight: 78, provenHash: CHECKED });
});

test('a banned peer is shown as banned while it is still connected', async () => {
  const { bans, node, peer } = await setUp();
  node.failure = new Error('its connection hangs');
  await bans.ban(PEER);
  expect(peer()).toMatchObject({ id: PEER, isBanned: true });
});

test('a DataHub is explained by its host, with or without port; a name without a dot only when offences are known', async () => {
  const { bans, admin } = await setUp();
  expect(admin.explain('hub.example:8090')).toMatchObject({ subject: 'hub.example', offences: [] });
  expect(() => admin.explain('teranode1')).toThrow('invalid subject "teranode1"');
  bans.noteAtHost('http://teranode1:8090/api/v1', 'invalid_subtree', { topic: 'blocks', hash: undefined });
  for (const text of ['teranode1', 'TERANODE1:8090'])
    expect(admin.explain(text)).toMatchObject({ subject: 'teranode1', offences: [{ reason: 'invalid_subtree' }] });
});

test.each([
  ['ban', (admin: AdminApi) => admin.ban('192.0.2.300', undefined), 'invalid ban subject "192.0.2.300"'],
  ['ban', (admin: AdminApi) => admin.ban('192.0.2.1', 1), 'in the future'],
  ['unban', (admin: AdminApi) => admin.unban(''), 'invalid ban subject ""'],
  ['isBanned', async (admin: AdminApi) => admin.isBanned('10.0.0.0/33'), 'invalid ban subject "10.0.0.0/33"'],
  ['peer', async (admin: AdminApi) => admin.peer('x'), 'invalid peer ID "x" (expected e.g. 12D3Koo…)'],
  ['disconnect', (admin: AdminApi) => admin.disconnect('x'), 'invalid peer ID "x"'],
  ['addScore', (admin: AdminApi) => admin.addScore(PEER, 'catch_up_failure'), 'expected one of invalid_subtree, '],
  ['addScore', (admin: AdminApi) => admin.addScore('192.0.2.1', 'spam'), 'invalid peer ID "192.0.2.1"'],
  ['explain', async (admin: AdminApi) => admin.explain('x'.repeat(5000)), `invalid subject "${'x'.repeat(128)}"`],
])('%s refuses an invalid input, names it and changes nothing', async (_method, call, message) => {
  const { admin, bans, peer } = await setUp();
  await expect(call(admin)).rejects.toMatchObject({ code: 'INPUT_INVALID', message: expect.stringContaining(message) });
  expect(bans.bans()).toEqual([]);
  expect(peer()).toMatchObject({ banScore: 0 });
});

test.each([
  ['invalid_block', 'invalid_block', 10],
  ['spam', 'spam', 50],
  ['catchup_failure', 'catch_up_failure', 30],
  ['catchup_malicious', 'catch_up_malicious', 50],
  ['corrupt_block_body', 'unknown', 1],
  ['', 'unknown', 1],
])('on the network of 2026 a score may have the reason %j', async (given, reason, points) => {
  const { admin } = await setUp({ acceptsAnyReason: true });
  expect(await admin.addScore(PEER, given)).toBe(points);
  expect(admin.explain(PEER).offences).toMatchObject([{ reason, points, rule: 'operator', role: 'author' }]);
  await expect(admin.addScore('192.0.2.1', given)).rejects.toMatchObject({ code: 'INPUT_INVALID' });
});

test('one peer is found by its ID while it is connected', async () => {
  const { admin, node, peer } = await setUp();
  expect(admin.peer(` ${PEER} `)).toEqual(peer());
  node.leave(PEER);
  expect(admin.peer(PEER)).toBeUndefined();
  await expect(admin.disconnect(PEER)).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' });
});

test('clearing bans says whether there were any', async () => {
  const { admin } = await setUp();
  await admin.ban('192.0.2.0/24', undefined);
  expect(await admin.clearBans()).toEqual({ hadAny: true, isStored: true });
  expect(await admin.clearBans()).toEqual({ hadAny: false, isStored: true });
});

test('the sync view leaves out what a failing or silent blockchain service does not answer', async () => {
  vi.useFakeTimers();
  try {
    const { admin } = await setUp();
    const view = admin.sync();
    await vi.advanceTimersByTimeAsync(2000);
    const nothing = { fsmState: undefined, bestHeight: undefined, bestBlockHash: undefined, syncPeer: undefined };
    expect(await view).toEqual(nothing);
  } finally {
    vi.useRealTimers();
  }
});

test('the network is that of all known peers, with versions from libp2p where no other is known', async () => {
  const { admin } = await setUp();
  const versions = [{ version: 'test', peers: 1 }];
  expect(admin.network()).toMatchObject({ peers: 1, connectedPeers: 1, versions, lag: undefined, topics: [] });
});

test('the node at a glance; without chain and health when only what is known at once is asked for', async () => {
  const { admin } = await setUp();
  const known = { peerId: OWN, version: 'v1', connectedPeers: 1, isReady: false };
  expect(await admin.status(true)).toMatchObject({ ...known, checks: [] });
  const whole = await admin.status(false);
  expect(whole).toMatchObject({ ...known, fsmState: undefined, checks: [{ name: 'fsm', ok: false, details: 'IDLE' }] });
});

test('a peer shows how it delivers announcements, and the league has all neighbours, the best first', async () => {
  const { admin, deliveries, peer } = await setUp();
  expect(peer()).toMatchObject({ firstDeliveryShare: 0, meanDelayMs: undefined });
  for (const receivedFrom of [PEER, OTHER_NEIGHBOUR, OTHER_NEIGHBOUR, OTHER_NEIGHBOUR])
    deliveries.deliveredFirst({ type: 'attribute_block', hash: OURS, author: OWN, receivedFrom });
  deliveries.deliveredLater(PEER, 40, false, 1, 2);
  expect(admin.network().spread).toMatchObject({
    copies: 1,
    recent: Array.from({ length: 4 }, () => ({ hash: OURS })),
  });
  expect(peer()).toMatchObject({ firstDeliveryShare: 0.25, meanDelayMs: 40 });
  expect(admin.league().map(({ peerId, firstDeliveryShare }) => [peerId, firstDeliveryShare])).toEqual([
    [OTHER_NEIGHBOUR, 0.75],
    [PEER, 0.25],
  ]);
});
