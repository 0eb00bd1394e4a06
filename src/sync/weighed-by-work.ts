// Why the choice by validated work chose or passed over each peer.
import type { PeerId } from '../domain/ids.ts';
import type { Criterion } from '../ports/sync-status.ts';
import {
  bestBand,
  isAheadByWork,
  isHealthy,
  preferred,
  reputationOf,
  TRY_AGAIN_MS,
  usable,
  type WorkCandidate,
  type WorkSnapshot,
  whyOutOfBand,
  workFitnessOf,
} from './choose-by-work.ts';
import { bestDeliverers, heightOf } from './choose-sync-peer.ts';
import { type Weighed, weigh } from './weighed.ts';

export function weighedByWork(snapshot: WorkSnapshot, winner: PeerId | undefined): Weighed {
  const judged = snapshot.candidates.map((row) => ({ row, fitness: workFitnessOf(row, snapshot) }));
  const pool = new Set(usable(judged, snapshot));
  const checked = snapshot.awaitsChecks ? pool : new Set([...pool].filter(isHealthy));
  const rows = preferred([...checked], snapshot);
  const { first, band } = bestBand(rows, snapshot);
  const ready = band.filter(isHealthy);
  const stages: Stages = {
    winner,
    pool,
    isPoolProven: [...pool].some((row) => isAheadByWork(row, snapshot)),
    checked,
    preferred: new Set(rows),
    first,
    drawn: new Set(bestDeliverers(ready.length > 0 ? ready : band)),
  };
  return weigh(judged, {
    winner,
    whyLost: (row) => whyLost(row, stages, snapshot),
    factsOf: (row) => ({
      height: row.claimed === undefined ? undefined : heightOf(row),
      banScore: row.score,
      failedAttempts: row.failedAttempts,
      coolDownMs: coolDownMs(row, snapshot),
      dataHubHealth: row.dataHubHealth,
      firstDeliveryShare: row.deliveryShare,
      storage: row.storage,
      reputation: reputationOf(row),
    }),
  });
}

/** The peers that each stage of `chooseByWork` left. */
interface Stages {
  readonly winner: PeerId | undefined;
  readonly pool: ReadonlySet<WorkCandidate>;
  /** Whether the pool is of peers that are ahead by validated work. */
  readonly isPoolProven: boolean;
  readonly checked: ReadonlySet<WorkCandidate>;
  readonly preferred: ReadonlySet<WorkCandidate>;
  readonly first: WorkCandidate | undefined;
  readonly drawn: ReadonlySet<WorkCandidate>;
}

function whyLost(row: WorkCandidate, stages: Stages, snapshot: WorkSnapshot): Criterion {
  const { forcedPeer, previous } = snapshot;
  if (forcedPeer !== undefined) return 'forced';
  if (!stages.pool.has(row)) return whyNotInPool(row, stages, snapshot);
  if (!stages.checked.has(row)) return 'datahub_checked';
  if (!stages.preferred.has(row) || stages.first === undefined) return 'storage';
  const outOfBand = whyOutOfBand(row, stages.first, snapshot);
  if (outOfBand !== undefined) return outOfBand;
  if (stages.winner !== undefined && stages.winner === previous?.peerId && !previous.hasFailed) return 'kept';
  if (!isHealthy(row)) return 'datahub_checked';
  return stages.drawn.has(row) ? 'random' : 'first_deliveries';
}

function whyNotInPool(row: WorkCandidate, { isPoolProven, pool }: Stages, snapshot: WorkSnapshot): Criterion {
  const { previous } = snapshot;
  if (previous?.hasFailed === true && previous.peerId === row.peerId) return 'previous_attempt_failed';
  return isPoolProven || (pool.size === 0 && snapshot.probesLeft > 0) ? 'proven_height' : 'probe_limit';
}

function coolDownMs({ triedMs }: WorkCandidate, { nowMs }: WorkSnapshot): number | undefined {
  const leftMs = triedMs === undefined ? 0 : triedMs + TRY_AGAIN_MS - nowMs;
  return leftMs > 0 ? leftMs : undefined;
}
