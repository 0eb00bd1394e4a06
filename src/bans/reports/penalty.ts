// Who is penalized for content that our own validation found invalid: the one author to whom it can be attributed, or
// nobody. Pure.
import type { Hash, PeerId } from '../../domain/ids.ts';

/** Who announced a hash, and with which DataHub URL. */
export interface AttributionView {
  announcementsOf(hash: Hash): readonly Announcement[];
  /** True when there were other announcements of which nothing more is known. */
  hasForgotten(hash: Hash): boolean;
}

export interface Announcement {
  readonly author: PeerId;
  readonly dataHubUrl: string;
}

export type Penalty =
  | { readonly outcome: 'charged'; readonly author: PeerId }
  | { readonly outcome: 'unattributed' | 'ambiguous' | 'own' };

/**
 * For an invalid block. The report does not say from where the block was fetched. When several authors announced the
 * hash, an honest one cannot be told from one that serves invalid content for a valid header, so only a single author
 * is penalized.
 */
export function blockPenalty(hash: Hash, view: AttributionView, ownId: PeerId): Penalty {
  return penalty(view.announcementsOf(hash), view.hasForgotten(hash), ownId);
}

/**
 * For an invalid subtree fetched from `fetchedUrl`: the author whose announcement led to that URL, if there is only
 * one. A subtree may also be fetched because of a block, from the block's author: then the subtree's author has nothing
 * to do with what was served. A report without a URL is treated like one of a block.
 */
export function subtreePenalty(hash: Hash, fetchedUrl: string, view: AttributionView, ownId: PeerId): Penalty {
  const all = view.announcementsOf(hash);
  const fetched = plainUrl(fetchedUrl);
  const matching = fetched === '' ? all : all.filter(({ dataHubUrl }) => plainUrl(dataHubUrl) === fetched);
  return penalty(matching, view.hasForgotten(hash), ownId);
}

function penalty(announcements: readonly Announcement[], hasForgotten: boolean, ownId: PeerId): Penalty {
  const [first, ...others] = announcements;
  if (first === undefined) return { outcome: 'unattributed' };
  if (others.length > 0 || hasForgotten) return { outcome: 'ambiguous' };
  return first.author === ownId ? { outcome: 'own' } : { outcome: 'charged', author: first.author };
}

/** Without trailing slashes, which clients add and remove. */
function plainUrl(url: string): string {
  let end = url.length;
  while (url.endsWith('/', end)) end -= 1;
  return url.slice(0, end);
}
