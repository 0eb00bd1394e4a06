// What handlers may look at beside the message, and what several of them make of it.

import type { BlockHash } from '../../domain/ids.ts';
import type { PeerPatch } from '../../peers/registry.ts';
import type { GuardView } from '../guards.ts';

export type HandlerView = Pick<GuardView, 'dataHubUrlFault' | 'ownHeightOf' | 'handsOn'>;

/** The URL as far as it may be used; nothing when the message names none. */
export function usableUrl(url: string, view: HandlerView): Pick<PeerPatch, 'dataHubUrl'> {
  if (url === '') return {};
  return { dataHubUrl: view.dataHubUrlFault(url) === undefined ? url : undefined };
}

/** A claim, and its proof where our own chain has the very block. */
export function claimed(height: number, hash: BlockHash | undefined, view: HandlerView): PeerPatch {
  const own = hash === undefined ? undefined : view.ownHeightOf(hash);
  return own === undefined
    ? { claimed: { height, hash } }
    : { claimed: { height, hash }, proven: { height: own, hash } };
}
