// Short constructors for peers as the choice of the sync peer sees them.

import type { BlockHash, PeerId } from '../../../src/domain/ids.ts';
import type { SyncCandidate, SyncPeerRow, SyncSnapshot } from '../../../src/sync/choose-sync-peer.ts';

export const NOW_MS = 100_000_000;
export const OWN_HEIGHT = 100;

export function hashOf(text: string): BlockHash {
  return Buffer.from(text).toString('hex').padEnd(64, '0') as BlockHash;
}

/** A peer without offences at a height. */
export function row(name: string, height: number, changes: Partial<SyncPeerRow> = {}): SyncPeerRow {
  return {
    peerId: name as PeerId,
    isConnected: true,
    isBanned: false,
    score: 0,
    deliveryShare: 0,
    claimed: { height, hash: hashOf(`${name}${height}`) },
    proven: undefined,
    dataHubUrl: `http://${name}`,
    dataHubHealth: 'healthy',
    lastMessageMs: undefined,
    ...changes,
  };
}

export function candidate(name: string, height: number, changes: Partial<SyncCandidate> = {}): SyncCandidate {
  const { attempts = { failed: 0, coolDownUntilMs: 0 }, ...rest } = changes;
  return { ...row(name, height, rest), attempts };
}

export function snapshot(candidates: readonly SyncCandidate[], changes: Partial<SyncSnapshot> = {}): SyncSnapshot {
  return {
    ownHeight: OWN_HEIGHT,
    candidates,
    forcedPeer: undefined,
    previousPeer: undefined,
    nowMs: NOW_MS,
    ...changes,
  };
}
