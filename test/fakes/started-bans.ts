// A ban system on a store in memory, attached to a fake node.
import { BanSystem, type BanSystemOptions } from '../../src/bans/service.ts';
import { DAY_MS } from './ban-parts.ts';
import { FakeEnforcedNode } from './enforced-node.ts';
import { FlakyBanStore } from './flaky-ban-store.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from './recorders.ts';

export async function startedBans(
  options: Partial<BanSystemOptions> = {},
  store = new FlakyBanStore(),
  clock = new FakeClock(),
) {
  const deps = { store, clock, log: recordingLogger(), metrics: new RecordedMetrics() };
  const bans = new BanSystem(deps, {
    defaultDurationMs: DAY_MS,
    maxEntries: 1000,
    threshold: 100,
    durationMs: DAY_MS,
    isWhitelisted: () => false,
    isShadow: () => false,
    ...options,
  });
  await bans.start(new AbortController().signal);
  const node = new FakeEnforcedNode();
  bans.attach(node);
  return { ...deps, bans, node };
}
