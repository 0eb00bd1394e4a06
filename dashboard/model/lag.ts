// How far a height is from the tip of the network, and the state of the sync in words.
import type { Network, Peer, Sync } from './api-types.ts';
import { countText } from './format.ts';

/** Blocks below the tip; negative above it; undefined while one of them is unknown. */
export function lagOf(height: number | undefined, tipHeight: number | undefined): number | undefined {
  return height === undefined || tipHeight === undefined ? undefined : tipHeight - height;
}

export function lagText(lag: number | undefined): string {
  if (lag === undefined) return 'unknown';
  if (lag === 0) return 'at the tip';
  const blocks = Math.abs(lag) === 1 ? 'block' : 'blocks';
  return `${countText(Math.abs(lag))} ${blocks} ${lag > 0 ? 'behind' : 'ahead'}`;
}

export function tipText({ tip, peers }: Pick<Network, 'tip' | 'peers'>): string {
  if (tip === undefined) return `None of ${countText(peers)} known peers claims a block yet.`;
  return `Claimed by ${countText(tip.claimedBy)} of ${countText(peers)} known peers, proven to this node for ${countText(tip.provenBy)}.`;
}

const STATES: Readonly<Record<string, string>> = {
  IDLE: 'The blockchain service is idle: blocks wait until it runs.',
  RUNNING: 'The blockchain service runs and follows the network.',
  CATCHINGBLOCKS: 'The blockchain service catches up: it fetches the blocks that it lacks.',
  LEGACYSYNCING: 'The blockchain service syncs from nodes of the old protocol.',
};

export function stateText(fsmState: string | undefined): string {
  if (fsmState === undefined) return 'The state of the blockchain service is not known.';
  return STATES[fsmState] ?? `The blockchain service is in state ${fsmState}.`;
}

/** What is known now of the sync peer; nothing without one. */
export function syncFacts({ syncPeer, bestHeight }: Sync, peer: Peer | undefined): string[] {
  if (syncPeer === undefined) return [];
  const ahead = lagOf(bestHeight, syncPeer.height);
  const facts = [`It claims height ${countText(syncPeer.height)}, which is ${whereAt(ahead)}.`];
  if (peer?.provenHeight !== undefined)
    facts.push(`Height ${countText(peer.provenHeight)} is proven by a valid header.`);
  if (peer?.dataHubHealth === 'healthy') facts.push('Its DataHub answers.');
  if (peer?.storage === 'full') facts.push('It says that it keeps all blocks.');
  if (peer !== undefined && peer.firstDeliveryShare > 0)
    facts.push(`It delivered ${Math.round(peer.firstDeliveryShare * 100)} % of blocks and subtrees first.`);
  return facts;
}

function whereAt(ahead: number | undefined): string {
  if (ahead === undefined) return 'compared with nothing, as our own height is unknown';
  if (ahead === 0) return 'our own height';
  return ahead > 0 ? `${countText(ahead)} above our own` : `${countText(-ahead)} below our own`;
}

/** How many peers the last choice compared, and how many of them are listed. */
export function comparedText({ known, usable, considered }: NonNullable<Sync['choice']>): string {
  const listed = considered.length < known ? `, ${countText(considered.length)} listed` : '';
  return `${countText(known)} compared, ${countText(usable)} usable${listed}`;
}
