// Peers with the experiences of this node's services: which are shown, and in which order they are offered for a
// catch-up.
import { expect, test } from 'vitest';
import { knownPeerOperations } from '../../src/admin/known-peers.ts';
import type { BlockHash, PeerId } from '../../src/domain/ids.ts';
import { newHistory } from '../../src/peers/histories/after-event.ts';
import { PeerRegistry } from '../../src/peers/registry.ts';
import { MAX_CATCH_UP_PEERS } from '../../src/ports/admin-api.ts';
import { FakeClock, RecordedMetrics } from '../fakes/recorders.ts';
import { unstoredHistories } from '../fakes/unstored-histories.ts';

const PEER = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY' as PeerId;
const OTHER = '12D3KooWCv5gciT4GsWGpxJLa8nmCNkE6Y8FpMgM5vnfVfVGwUXB' as PeerId;
const HASH = 'bb'.repeat(32) as BlockHash;
const HUB = 'https://hub.example/api/v1';
const HOUR_MS = 3_600_000;

function setUp() {
  const clock = new FakeClock();
  const registry = new PeerRegistry({ clock, metrics: new RecordedMetrics() });
  const histories = unstoredHistories(clock);
  const banned = new Set<string>();
  const peers = knownPeerOperations({
    registry,
    histories,
    clock,
    isUsableUrl: (url) => !url.includes('blacklisted'),
    isBanned: (peerId) => banned.has(peerId),
    banScoreOf: (peerId) => (banned.has(peerId) ? 100 : 0),
  });
  return { clock, registry, histories, banned, peers };
}

test('a connected peer is shown with its claims and the history of a new peer', () => {
  const { clock, registry, peers } = setUp();
  registry.connected(PEER);
  const claimed = { height: 7, hash: HASH };
  registry.heard(PEER, { claimed, dataHubUrl: HUB, clientName: 'alice', storage: 'full' });
  expect(peers.knownPeer(` ${PEER} `)).toEqual({
    id: PEER,
    isConnected: true,
    connectedAtMs: clock.now(),
    lastMessageMs: clock.now(),
    height: 7,
    bestBlockHash: HASH,
    dataHubUrl: HUB,
    clientName: 'alice',
    storage: 'full',
    banScore: 0,
    isBanned: false,
    history: newHistory(PEER),
  });
  expect(peers.knownPeers()).toEqual([peers.knownPeer(PEER)]);
});

test('a peer is known from its connection, its messages or its history', async () => {
  const { registry, peers } = setUp();
  expect(peers.knownPeer(PEER)).toBeUndefined();
  await peers.recordPeerEvent(PEER, { type: 'valid_headers', responseMs: undefined });
  expect(peers.knownPeer(PEER)).toMatchObject({ isConnected: false, height: undefined, history: { reputation: 90 } });
  registry.heard(OTHER, {});
  expect(peers.knownPeers().map(({ id }) => id)).toEqual([OTHER, PEER]);
  registry.connected(PEER);
  expect(peers.knownPeers().map(({ id }) => id)).toEqual([PEER, OTHER]);
});

test('a full node counts as one again when its penalty for an incomplete block has ended', async () => {
  const { clock, registry, peers } = setUp();
  for (const [id, storage] of [
    [PEER, 'full'],
    [OTHER, 'pruned'],
  ] as const) {
    registry.connected(id);
    registry.heard(id, { storage, dataHubUrl: HUB });
    await peers.recordPeerEvent(id, { type: 'catchup_failure', kind: 'block_incomplete' });
  }
  expect(peers.knownPeer(PEER)).toMatchObject({ storage: undefined });
  expect(peers.knownPeer(OTHER)).toMatchObject({ storage: 'pruned' });
  expect(peers.peersForCatchUp().map(({ id }) => id)).toEqual([OTHER, PEER]);
  clock.advance(HOUR_MS);
  expect(peers.knownPeer(PEER)).toMatchObject({ storage: 'full' });
  expect(peers.peersForCatchUp().map(({ id }) => id)).toEqual([PEER, OTHER]);
});

test('peers to catch up from: full nodes, pruned ones, others, then by reputation, then by the last success', async () => {
  const { clock, registry, banned, histories, peers } = setUp();
  const heard = (id: string, patch: Parameters<PeerRegistry['heard']>[1]) =>
    registry.heard(id as PeerId, { dataHubUrl: HUB, ...patch });
  const served = (id: string) => histories.record(id as PeerId, { type: 'valid_headers', responseMs: undefined });
  const failed = (id: string) => histories.record(id as PeerId, { type: 'failure' });
  heard('unknown and good', {});
  heard('pruned and new', { storage: 'pruned' });
  heard('full and bad', { storage: 'full' });
  heard('full and good', { storage: 'full' });
  heard('full and good, later', { storage: 'full' });
  heard('banned', { storage: 'full' });
  heard('without a URL', { storage: 'full', dataHubUrl: undefined });
  heard('blacklisted', { storage: 'full', dataHubUrl: 'https://blacklisted.example' });
  banned.add('banned');
  await failed('full and bad');
  await served('unknown and good');
  await served('full and good');
  clock.advance(1000);
  await served('full and good, later');
  await served('not in the registry');
  expect(peers.peersForCatchUp().map(({ id }) => id)).toEqual([
    'full and good, later',
    'full and good',
    'full and bad',
    'pruned and new',
    'unknown and good',
  ]);
  expect(peers.knownPeers().find(({ id }) => String(id) === 'blacklisted')).toMatchObject({ dataHubUrl: undefined });
  expect(peers.knownPeers().find(({ id }) => String(id) === 'banned')).toMatchObject({ isBanned: true, banScore: 100 });
});

test('no more than a thousand peers are offered for a catch-up', () => {
  const { registry, peers } = setUp();
  for (let i = 0; i < MAX_CATCH_UP_PEERS + 5; i += 1) registry.heard(`peer ${i}` as PeerId, { dataHubUrl: HUB });
  expect(peers.peersForCatchUp()).toHaveLength(MAX_CATCH_UP_PEERS);
});

test('the reputation of one peer or of all is reset', async () => {
  const { peers } = setUp();
  for (const id of [PEER, OTHER]) await peers.recordPeerEvent(id, { type: 'catchup_malicious' });
  expect(await peers.resetReputation(PEER)).toBe(1);
  expect(peers.knownPeers().map(({ history }) => history.reputation)).toEqual([50, 5]);
  expect(await peers.resetReputation(undefined)).toBe(2);
  expect(peers.knownPeers().map(({ history }) => history.reputation)).toEqual([50, 50]);
});

test('an invalid peer ID is refused and records nothing', async () => {
  const { histories, peers } = setUp();
  const invalid = { code: 'INPUT_INVALID', message: expect.stringContaining('invalid peer ID "x"') };
  expect(() => peers.knownPeer('x')).toThrow(expect.objectContaining(invalid));
  await expect(peers.recordPeerEvent('x', { type: 'failure' })).rejects.toMatchObject(invalid);
  await expect(peers.resetReputation('x')).rejects.toMatchObject(invalid);
  expect(histories.histories()).toEqual([]);
});
