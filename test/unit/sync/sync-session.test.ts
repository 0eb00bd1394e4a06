// What counts for one attempt to sync: a catch-up after its own trigger, and time at RUNNING.
import { expect, test } from 'vitest';
import type { FsmState } from '../../../src/ports/blockchain-client.ts';
import { fitnessOf } from '../../../src/sync/choose-sync-peer.ts';
import { endByClaims } from '../../../src/sync/claims-policy.ts';
import type { FitPeer } from '../../../src/sync/evaluation.ts';
import { SyncSession } from '../../../src/sync/sync-session.ts';
import { MINUTE } from './harness.ts';
import { candidate, OWN_HEIGHT } from './rows.ts';

function peerAt(height: number, nowMs = 0): FitPeer {
  const fitness = fitnessOf(candidate('p', height), { ownHeight: OWN_HEIGHT, nowMs });
  if (!fitness.isFit) throw new Error(fitness.why);
  return fitness.peer;
}

function session(state: FsmState): SyncSession {
  return new SyncSession(peerAt(200), { state, ownHeight: OWN_HEIGHT, nowMs: 0, sinceMs: 0 });
}

test('a catch-up that was under way when the trigger was published is not attributed to the peer', () => {
  const limited = session('RUNNING');
  for (const state of ['RUNNING', 'CATCHINGBLOCKS'] as const) limited.sawState(state, 0);
  limited.triggered('CATCHINGBLOCKS', 1);
  limited.sawState('RUNNING', 2);
  expect([limited.isCatchingUp, limited.hasReturned]).toEqual([false, false]);
});

test('the time of a long catch-up does not count as time without progress', () => {
  const long = session('RUNNING');
  long.triggered('RUNNING', 0);
  long.sawState('CATCHINGBLOCKS', 1);
  const nowMs = 120 * MINUTE;
  long.sawState('RUNNING', nowMs);
  long.peer = peerAt(203);
  const seen = { state: 'RUNNING', messageAgeMs: 0, hasUntriedAlternative: true, nowMs } as const;
  const height = { ownHeight: 200, ownWork: undefined };
  expect(long.sawHeight({ ...seen, ...height, hadReturned: true })).toBeUndefined();
  expect(endByClaims(long.times, seen)).toBeUndefined();
  expect(long.isTriggerDue('RUNNING', nowMs)).toBe(true);
  expect(endByClaims(long.times, { ...seen, nowMs: nowMs + 5 * MINUTE - 1 })).toBeUndefined();
  expect(endByClaims(long.times, { ...seen, nowMs: nowMs + 5 * MINUTE })).toBe('stalled');
});
