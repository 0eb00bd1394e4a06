// The facts that handlers may read besides the message, and the patches that several of them build.

import type { BlockHash } from '../../domain/ids.ts';
import type { PeerPatch } from '../../peers/registry.ts';
import type { GuardView } from '../guards.ts';

export type HandlerView = Pick<GuardView, 'dataHubUrlFault' | 'ownHeightOf' | 'shouldForward'>;

/** The URL if it is allowed; an empty patch when the message has none. */
export function usableUrl(url: string, view: HandlerView): Pick<PeerPatch, 'dataHubUrl'> {
  if (url === '') return {};
  return { dataHubUrl: view.dataHubUrlFault(url) === undefined ? url : undefined };
}

/** The claimed best block. It is proven too when our own chain has that very block. */
export function claimed(height: number, hash: BlockHash | undefined, view: HandlerView): PeerPatch {
  const own = hash === undefined ? undefined : view.ownHeightOf(hash);
  return own === undefined
    ? { claimed: { height, hash } }
    : { claimed: { height, hash }, proven: { height: own, hash } };
}
