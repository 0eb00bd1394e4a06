// Who has to leave a full list of bans. What an operator set, or a Go deployment left, goes before what was found out automatically, because
// identities cost an offender nothing: however many of them are banned, they push out only one another.
import type { BanEntry } from '../../ports/ban-store.ts';

const isAutomatic = ({ source }: Pick<BanEntry, 'source'>) => source === 'automatic';

/**
 * The automatic ban that ends soonest; without any, for a ban that is not automatic itself, the one that ends soonest. A ban never pushes out
 * the one that brought it about. undefined: there is no room.
 */
export function whoLeavesFor(
  entry: Pick<BanEntry, 'source' | 'because'>,
  entries: Iterable<BanEntry>,
): BanEntry | undefined {
  let automatic: BanEntry | undefined;
  let other: BanEntry | undefined;
  for (const each of entries) {
    if (each.key === entry.because) continue;
    if (isAutomatic(each)) automatic = sooner(automatic, each);
    else other = sooner(other, each);
  }
  return automatic ?? (isAutomatic(entry) ? undefined : other);
}

/** As many as may be in the list: the operator's first, of each kind those that end last. */
export function fitting(entries: readonly BanEntry[], maxEntries: number): readonly BanEntry[] {
  if (entries.length <= maxEntries) return entries;
  return entries
    .toSorted((a, b) => Number(isAutomatic(a)) - Number(isAutomatic(b)) || b.untilMs - a.untilMs)
    .slice(0, maxEntries);
}

/** True when `entry` is to stay rather than `leaving`, which {@link whoLeavesFor} named. */
export function outlasts(entry: BanEntry, leaving: BanEntry): boolean {
  return isAutomatic(entry) === isAutomatic(leaving) ? entry.untilMs > leaving.untilMs : isAutomatic(leaving);
}

function sooner(known: BanEntry | undefined, entry: BanEntry): BanEntry {
  return known === undefined || entry.untilMs < known.untilMs ? entry : known;
}
