// How the latest blocks and subtrees spread, in words.
import type { Network } from './api-types.ts';
import { countText, durationText, msText, NONE, shortHash } from './format.ts';

export type SpreadRow = Network['spread']['recent'][number];

export function spreadName({ kind, height, hash }: Pick<SpreadRow, 'kind' | 'height' | 'hash'>): string {
  return height === undefined ? `${kind} ${shortHash(hash)}` : `${kind} ${countText(height)}`;
}

/** In whole seconds, as the time in a header. */
export function headerAgeText(ageMs: number | undefined): string {
  if (ageMs === undefined) return NONE;
  return ageMs < 0 ? `${durationText(-ageMs)} ahead` : durationText(ageMs);
}

/** Who delivered later and how much, and how many are not listed. */
export function copiesText({ copies, copyCount }: SpreadRow, nameOf: (peerId: string) => string): string {
  if (copyCount === 0) return 'none';
  const more = copyCount > copies.length ? `, ${countText(copyCount - copies.length)} more` : '';
  return copies.map(({ peerId, delayMs }) => `${nameOf(peerId)} +${msText(delayMs)}`).join(', ') + more;
}
