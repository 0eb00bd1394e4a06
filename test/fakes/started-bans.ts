// A ban service on a store in memory, attached to a fake node.
import { BanService, type BanServiceOptions } from '../../src/bans/service.ts';
import type { BanEntry } from '../../src/domain/ban.ts';
import type { ScoreAuthority } from '../../src/ports/score-authority.ts';
import { DAY_MS } from './ban-parts.ts';
import { FakeEnforcedNode } from './enforced-node.ts';
import { FlakyBanStore } from './flaky-ban-store.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from './recorders.ts';

export async function startedBans(
  options: Partial<BanServiceOptions> = {},
  store = new FlakyBanStore(),
  clock = new FakeClock(),
  authority?: ScoreAuthority,
) {
  const deps = { store, clock, authority, log: recordingLogger(), metrics: new RecordedMetrics() };
  const bans = new BanService(deps, {
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

/** Keys of the bans in force, in their order. */
export function keysOf(bans: BanService): string[] {
  return bans.bans().map(({ key }) => key);
}

/** The ban of a canonical key. */
export function banOf(bans: BanService, key: string): BanEntry | undefined {
  return bans.bans().find((entry) => entry.key === key);
}
