// A chain tracker over a stand-in for the blockchain service.
import { ChainTracker, type ChainTrackerDependencies } from '../../src/chain/tracker.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { RecordedMetrics, recordingLogger } from './recorders.ts';

/** Not started. */
export function tracked(
  blockchain: ChainTrackerDependencies['blockchain'],
  others: Partial<ChainTrackerDependencies> = {},
): ChainTracker {
  const log = recordingLogger();
  return new ChainTracker({ blockchain, clock: systemClock, log, metrics: new RecordedMetrics(), ...others });
}
