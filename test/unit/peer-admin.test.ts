// Connected peers as operators see them: what the node knows of the connection, and what the peer said of itself, as long as it holds.
import { expect, test } from 'vitest';
import { peerAdmin } from '../../src/admin/peer-admin.ts';
import type { BlockHash, PeerId } from '../../src/domain/ids.ts';
import { CLAIM_KEEP_MS, PeerRegistry } from '../../src/peers/registry.ts';
import { syncPeerRow } from '../../src/sync/sync-peer-row.ts';
import { startedBans } from '../fakes/started-bans.ts';

const PEER = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY' as PeerId;
const DATA_HUB = 'https://hub.example/api/v1';
const OURS = 'aa'.repeat(32) as BlockHash;
const CLAIMED = 'bb'.repeat(32) as BlockHash;
const CHECKED = 'cc'.repeat(32) as BlockHash;
const MINUTE = 60_000;

/** One peer is connected; the node was told its height once, at the beginning. Our chain has the block `OURS`. */
async function setUp() {
  const { bans, node, clock, metrics } = await startedBans();
  const registry = new PeerRegistry({ clock, metrics });
  node.connect(PEER, '/ip4/192.0.2.7/tcp/9905');
  registry.connected(PEER);
  const admin = peerAdmin({
    bans,
    registry,
    syncRow: (peer) =>
      syncPeerRow(peer, {
        isBanned: (peerId) => bans.isBanned(peerId),
        scoreOf: () => 0,
        healthOf: (url) => (url === DATA_HUB ? 'unhealthy' : 'unknown'),
        ownHeightOf: (hash) => (hash === OURS ? 70 : undefined),
      }),
    node: {
      currentlyConnectedPeers: () =>
        node.currentlyConnectedPeers().map((record) => ({ ...record, height: 77, startingHeight: 77 })),
      connectPeer: async () => PEER,
      disconnectPeer: (peerId) => node.disconnectPeer(peerId),
    },
    isWhitelisted: () => false,
  });
  return { bans, node, registry, clock, admin, peer: () => admin.peers()[0] };
}

test('a height that a peer claimed is gone when the claim is, whatever the node remembers', async () => {
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

test('what a peer says in its handshake goes before what libp2p was told', async () => {
  const { registry, peer } = await setUp();
  expect(peer()).toMatchObject({ agentVersion: 'test', services: undefined });
  registry.heard(PEER, { userAgent: 'teranode/bitcoin/v9.8.7', services: 0xffff_ffff_ffff_ffffn });
  expect(peer()).toMatchObject({ agentVersion: 'teranode/bitcoin/v9.8.7', services: '18446744073709551615' });
  registry.heard(PEER, { services: 0n });
  expect(peer()).toMatchObject({ agentVersion: 'teranode/bitcoin/v9.8.7', services: '0' });
});

test('what it said on a connection before is not said of this one', async () => {
  const { registry, peer } = await setUp();
  registry.heard(PEER, { userAgent: 'teranode/bitcoin/v9.8.7', services: 1n });
  registry.disconnected(PEER);
  expect(registry.get(PEER)).toMatchObject({ userAgent: 'teranode/bitcoin/v9.8.7', services: 1n });
  registry.connected(PEER);
  expect(peer()).toMatchObject({ agentVersion: 'test', services: undefined });
});

test('what decides whether it is synced from is told as the choice of a sync peer sees it', async () => {
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

test('that it is banned is told as long as it is still connected', async () => {
  const { bans, node, peer } = await setUp();
  node.failure = new Error('its connection hangs');
  await bans.ban(PEER, undefined);
  expect(peer()).toMatchObject({ id: PEER, isBanned: true });
});

test('a DataHub is explained by its host, with or without the port; a name without a dot when something is noted of it', async () => {
  const { bans, admin } = await setUp();
  expect(admin.explain('hub.example:8090')).toMatchObject({ subject: 'hub.example', offences: [] });
  expect(() => admin.explain('teranode1')).toThrow('invalid subject "teranode1" (expected an IP');
  bans.noteAtHost('http://teranode1:8090/api/v1', 'invalid_subtree', { topic: 'blocks', hash: undefined });
  for (const text of ['teranode1', 'TERANODE1:8090'])
    expect(admin.explain(text)).toMatchObject({ subject: 'teranode1', offences: [{ reason: 'invalid_subtree' }] });
});
