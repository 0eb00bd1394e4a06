// Which ban leaves a full list. Bans of operators, and those imported from a Go deployment, have priority over
// automatic bans and those of the blockchain service, because a new identity costs an offender nothing: however many identities are banned, they only evict
// one another.
import type { BanEntry } from '../../domain/ban.ts';
import type { Ban } from './ban-index.ts';

const isAutomatic = ({ source }: Pick<BanEntry, 'source'>) => source === 'automatic' || source === 'service';

/**
 * The automatic ban that ends soonest. When there is none, and `entry` is not automatic, the ban that ends soonest. A
 * ban never evicts the ban that caused it. undefined when no ban may be evicted.
 */
export function selectEviction(entry: Pick<BanEntry, 'source' | 'causedBy'>, bans: Iterable<Ban>): Ban | undefined {
  let automatic: Ban | undefined;
  let other: Ban | undefined;
  for (const each of bans) {
    if (each.key === entry.causedBy) continue;
    if (isAutomatic(each)) automatic = sooner(automatic, each);
    else other = sooner(other, each);
  }
  return automatic ?? (isAutomatic(entry) ? undefined : other);
}

/** At most `maxEntries`: bans of operators first, and of each kind those that end last. */
export function fitting(entries: readonly BanEntry[], maxEntries: number): readonly BanEntry[] {
  if (entries.length <= maxEntries) return entries;
  return entries
    .toSorted((a, b) => Number(isAutomatic(a)) - Number(isAutomatic(b)) || b.untilMs - a.untilMs)
    .slice(0, maxEntries);
}

/** Whether `entry` should replace `evicted`, which {@link selectEviction} chose. */
export function outlasts(entry: BanEntry, evicted: BanEntry): boolean {
  return isAutomatic(entry) === isAutomatic(evicted) ? entry.untilMs > evicted.untilMs : isAutomatic(evicted);
}

function sooner(known: Ban | undefined, ban: Ban): Ban {
  return known === undefined || ban.untilMs < known.untilMs ? ban : known;
}
