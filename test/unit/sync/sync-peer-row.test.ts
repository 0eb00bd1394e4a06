import { describe, expect, test } from 'vitest';
import type { BlockHash, PeerId } from '../../../src/domain/ids.ts';
import { PeerRegistry } from '../../../src/peers/registry.ts';
import { type SyncPeerSources, syncPeerRow } from '../../../src/sync/sync-peer-row.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';
import { hashOf } from './rows.ts';

const PEER = 'peer' as PeerId;
const NONE: SyncPeerSources = {
  isBanned: () => false,
  scoreOf: () => 0,
  deliveryShareOf: () => 0,
  healthOf: () => 'unknown',
  ownHeightOf: () => undefined,
};

function registered(...patches: Parameters<PeerRegistry['heard']>[1][]) {
  const registry = new PeerRegistry({ clock: new FakeClock(), metrics: new RecordedMetrics() });
  registry.connected(PEER);
  for (const patch of patches) registry.heard(PEER, patch);
  const peer = registry.get(PEER);
  if (peer === undefined) throw new Error('not registered');
  return peer;
}

describe('a peer as the choice of the sync peer sees it', () => {
  test('has the facts that other parts know about the peer', () => {
    const peer = registered({ claimed: { height: 9, hash: hashOf('a') }, dataHubUrl: 'http://hub' });
    const row = syncPeerRow(peer, {
      isBanned: (id) => id === PEER,
      scoreOf: (id) => (id === PEER ? 30 : 0),
      deliveryShareOf: (id) => (id === PEER ? 0.5 : 0),
      healthOf: (url) => (url === 'http://hub' ? 'unhealthy' : 'unknown'),
      ownHeightOf: () => undefined,
    });
    expect(row).toMatchObject({ peerId: PEER, isConnected: true, isBanned: true, score: 30, deliveryShare: 0.5 });
    expect(row).toMatchObject({ dataHubUrl: 'http://hub', dataHubHealth: 'unhealthy', proven: undefined });
    expect(row.lastMessageMs).toBe(peer.lastMessageMs);
  });

  test('has the true height of a claimed block that our chain has, whatever was proven before', () => {
    const claimed = { height: 1_000_000, hash: hashOf('ours') };
    const peer = registered({ proven: { height: 101, hash: hashOf('tip') } }, { claimed });
    expect(syncPeerRow(peer, NONE).proven).toMatchObject({ height: 101, hash: hashOf('tip') });
    const heights = new Map<BlockHash, number>([[claimed.hash, 42]]);
    const row = syncPeerRow(peer, { ...NONE, ownHeightOf: (hash) => heights.get(hash) });
    expect(row.proven).toEqual({ height: 42, hash: claimed.hash });
  });
});
