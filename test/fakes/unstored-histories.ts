// Histories of this process that are not started, and therefore never read or written.
import { OwnHistories } from '../../src/peers/histories/own-histories.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { RecordedMetrics, recordingLogger } from './recorders.ts';

const HOUR_MS = 3_600_000;

export function unstoredHistories(clock: Clock): OwnHistories {
  return new OwnHistories(
    { clock, metrics: new RecordedMetrics(), log: recordingLogger(), isKept: () => false },
    { file: '', maxPeers: 10_000, ttlMs: 24 * HOUR_MS, cleanupIntervalMs: HOUR_MS, fullStoragePenaltyMs: HOUR_MS },
  );
}
