// The histories that this node keeps itself, as every store of histories has to be.
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { OwnHistories } from '../../../src/peers/histories/own-histories.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { temporaryFolder } from '../../support/cleanup.ts';
import { testPeerHistories } from '../../support/peer-histories-conformance.ts';

const HOUR_MS = 3_600_000;

testPeerHistories(async () => {
  const clock = new FakeClock();
  const histories = new OwnHistories(
    { clock, metrics: new RecordedMetrics(), log: recordingLogger(), isKept: () => false },
    {
      file: join(temporaryFolder('histories'), 'peer-histories.json'),
      maxPeers: 100,
      ttlMs: 24 * HOUR_MS,
      cleanupIntervalMs: HOUR_MS,
      fullStoragePenaltyMs: HOUR_MS,
    },
  );
  await histories.start();
  onTestFinished(() => histories.stop());
  return { histories, advance: (ms) => clock.advance(ms), fullStoragePenaltyMs: HOUR_MS };
});
