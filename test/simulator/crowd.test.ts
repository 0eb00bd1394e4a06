// A small crowd of gossipsub routers: every message arrives, in the same times for the same seed, and settings matter.
import { expect, test } from 'vitest';
import { Crowd, type CrowdFigures, type CrowdOptions } from '../../bench/crowd.ts';
import { VirtualTime } from './virtual-time.ts';

async function figures(changes: Partial<CrowdOptions> = {}): Promise<CrowdFigures> {
  const time = new VirtualTime();
  const options = { nodes: 40, dials: 6, settings: 'ours', latencyMs: [10, 150], seed: 1, ...changes } as const;
  const crowd = await Crowd.create(time, options);
  const restore = time.install(crowd.random);
  try {
    await crowd.start();
    const measured = await crowd.measure(5, 600, 2000);
    await crowd.stop();
    return measured;
  } finally {
    restore();
  }
}

test('with our settings and with Go’s, every message reaches every node before the next heartbeat', {
  timeout: 60_000,
}, async () => {
  for (const settings of ['ours', 'go'] as const) {
    const { missed, worstMs, duplicates, bytesPerMessage } = await figures({ settings });
    expect({ settings, missed }).toEqual({ settings, missed: 0 });
    expect(worstMs).toBeLessThan(1000);
    expect(duplicates).toBeGreaterThan(1);
    expect(duplicates).toBeLessThan(12);
    expect(bytesPerMessage).toBeGreaterThan(600 * (1 + duplicates));
  }
});

test('figures repeat, and a smaller mesh has fewer duplicates', { timeout: 60_000 }, async () => {
  const usual = await figures();
  expect(await figures()).toEqual(usual);
  const small = await figures({ changes: { D: 3, Dlo: 2, Dhi: 6, Dout: 1 } });
  expect(small.missed).toBe(0);
  expect(small.duplicates).toBeLessThan(usual.duplicates);
});
