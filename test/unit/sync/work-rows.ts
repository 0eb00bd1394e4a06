// Short constructors for peers as the choice by validated work sees them.
import type { PeerId } from '../../../src/domain/ids.ts';
import type { PeerHistory } from '../../../src/domain/peer-history.ts';
import type { WorkCandidate, WorkPeerRow, WorkSnapshot } from '../../../src/sync/choose-by-work.ts';
import { historyWith } from '../../fakes/peer-histories.ts';
import { hashOf, NOW_MS, OWN_HEIGHT, row } from './rows.ts';

export const OWN_WORK = 1000n;
const HOUR = 3_600_000;

/** A healthy peer that claims a height, with nothing known of it. */
export function workRow(name: string, height: number, changes: Partial<WorkPeerRow> = {}): WorkPeerRow {
  return { ...row(name, height), storage: 'full', history: undefined, ...changes };
}

/** Changes of a row: the work that our own validation confirmed, and whatever else the history shows. */
export function validated(
  name: string,
  chainWork: bigint,
  height: number,
  others: Partial<PeerHistory> = {},
): { readonly history: PeerHistory } {
  const progress = { height, hash: hashOf(`${name} at ${height}`), chainWork, atMs: 1 };
  return { history: historyWith(name, { validated: progress, ...others }) };
}

export function workCandidate(name: string, height: number, changes: Partial<WorkCandidate> = {}): WorkCandidate {
  return { ...workRow(name, height), failedAttempts: 0, triedMs: undefined, ...changes };
}

export function workSnapshot(candidates: readonly WorkCandidate[], changes: Partial<WorkSnapshot> = {}): WorkSnapshot {
  return {
    ownHeight: OWN_HEIGHT,
    ownWork: OWN_WORK,
    candidates,
    forcedPeer: undefined,
    previous: undefined,
    probesLeft: 3,
    awaitsChecks: true,
    allowsPruned: true,
    deliveryFreshMs: 24 * HOUR,
    nowMs: NOW_MS,
    ...changes,
  };
}

export const previously = (name: string, hasFailed = false) => ({ previous: { peerId: name as PeerId, hasFailed } });
