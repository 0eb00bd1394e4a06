// Who is penalized for content that our own validation found invalid: the one author to whom it can be attributed, or
// nobody. Pure.
import type { Hash, PeerId } from '../../domain/ids.ts';
import type { InvalidBlockReport, InvalidSubtreeReport } from '../../domain/report.ts';
import { parsePeerId } from '../../wire/peer-id.ts';
import { urlKey } from '../../wire/url-key.ts';

/** Who announced a hash, and with which DataHub URL. */
export interface AttributionView {
  announcementsOf(hash: Hash): readonly Announcement[];
  /** True when there were other announcements of which nothing more is known. */
  hasForgotten(hash: Hash): boolean;
}

export interface Announcement {
  readonly author: PeerId;
  /** `urlKey` of the DataHub URL. */
  readonly urlKey: string;
}

export type Penalty =
  | { readonly outcome: 'charged'; readonly author: PeerId }
  | { readonly outcome: 'unattributed' | 'ambiguous' | 'own' };

/** What is known of those who may be at fault. */
export interface BlameView {
  readonly announced: AttributionView;
  /** The DataHubs that peers have, as they say. */
  readonly dataHubs: () => readonly { readonly author: PeerId; readonly dataHubUrl: string }[];
  readonly ownId: PeerId;
}

/**
 * For an invalid block: the peer that the report names. Older services name none, and do not say from where the block
 * was fetched: then when several authors announced the hash, an honest one cannot be told from one that serves invalid
 * content for a valid header, so only a single author is penalized. If nobody announced it, the owner of the URL.
 */
export function blockPenalty(report: Omit<InvalidBlockReport, 'reason'>, view: BlameView): Penalty {
  const { hash, peerId, peerUrl } = report;
  if (peerId !== '') return ofNamedPeer(peerId, view);
  const { announced, ownId } = view;
  const found = penalty(announced.announcementsOf(hash), announced.hasForgotten(hash), ownId);
  return found.outcome === 'unattributed' ? ofOwners(peerUrl, view) : found;
}

/**
 * For an invalid subtree: the peer that the report names; else, fetched from a URL, the author whose announcement led
 * there, if there is only one. A subtree may also be fetched because of a block, from the block's author: then the
 * subtree's author has nothing to do with what was served. A report without a URL is treated like one of a block.
 * `blamesOwners`: where no announcement led to the URL, its owner.
 */
export function subtreePenalty(
  report: Omit<InvalidSubtreeReport, 'reason'>,
  view: BlameView,
  blamesOwners: boolean,
): Penalty {
  const { hash, peerId, peerUrl } = report;
  if (peerId !== '') return ofNamedPeer(peerId, view);
  const { announced, ownId } = view;
  const all = announced.announcementsOf(hash);
  const fetched = urlKey(peerUrl);
  const matching = fetched === '' ? all : all.filter((announcement) => announcement.urlKey === fetched);
  const found = penalty(matching, announced.hasForgotten(hash), ownId);
  return blamesOwners && found.outcome === 'unattributed' ? ofOwners(peerUrl, view) : found;
}

/** Peers of the legacy service have names of another form; they are none of ours. */
function ofNamedPeer(text: string, { ownId }: BlameView): Penalty {
  const author = parsePeerId(text);
  if (author === undefined) return { outcome: 'unattributed' };
  return author === ownId ? { outcome: 'own' } : { outcome: 'charged', author };
}

function ofOwners(url: string, { dataHubs, ownId }: BlameView): Penalty {
  const fetched = urlKey(url);
  if (fetched === '') return { outcome: 'unattributed' };
  const owners = dataHubs().filter(({ dataHubUrl }) => urlKey(dataHubUrl) === fetched);
  return penalty(owners, false, ownId);
}

function penalty(
  announcements: readonly Pick<Announcement, 'author'>[],
  hasForgotten: boolean,
  ownId: PeerId,
): Penalty {
  const [first, ...others] = announcements;
  if (first === undefined) return { outcome: 'unattributed' };
  if (others.length > 0 || hasForgotten) return { outcome: 'ambiguous' };
  return first.author === ownId ? { outcome: 'own' } : { outcome: 'charged', author: first.author };
}
