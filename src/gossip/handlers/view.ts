// The facts that handlers may read besides the message, and the patches that several of them build.

import type { BlockHash, PeerId } from '../../domain/ids.ts';
import type { PeerPatch } from '../../peers/registry.ts';
import type { Effect } from '../effects.ts';
import type { GuardView } from '../guards.ts';

export type HandlerView = Pick<
  GuardView,
  'wire' | 'dataHubUrlFault' | 'ownHeightOf' | 'countedHeight' | 'shouldForward'
>;

/** What a peer says about itself in a message that came through this network. */
export function heard(peerId: PeerId, patch: PeerPatch, { wire }: Pick<HandlerView, 'wire'>): Effect {
  return { type: 'heard', peerId, patch: { wire, ...patch } };
}

/** The URL if it is allowed; an empty patch when the message has none. */
export function usableUrl(url: string, view: HandlerView): Pick<PeerPatch, 'dataHubUrl'> {
  if (url === '') return {};
  return { dataHubUrl: view.dataHubUrlFault(url) === undefined ? url : undefined };
}

/** The name that an author gives itself; an empty patch when the message has none. */
export function ownName(clientName: string | undefined): { readonly clientName?: string } {
  return clientName ? { clientName } : {};
}

/** The claimed best block. It is proven too when our own chain has that very block. */
export function claimed(height: number, hash: BlockHash | undefined, view: HandlerView): PeerPatch {
  const own = hash === undefined ? undefined : view.ownHeightOf(hash);
  return own === undefined
    ? { claimed: { height, hash } }
    : { claimed: { height, hash }, proven: { height: own, hash } };
}
