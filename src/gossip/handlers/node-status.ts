// Node status: what its author says about itself.
import type { NodeStatusMessage } from '../../domain/node-status.ts';
import { shownText } from '../../lib/shown-text.ts';
import type { PeerPatch } from '../../peers/registry.ts';
import type { GossipMessage } from '../../ports/p2p-node.ts';
import { parseHash } from '../../wire/hash.ts';
import type { Effect } from '../effects.ts';
import { claimed, type HandlerView, heard, usableUrl } from './view.ts';

/** As of names. */
const MAX_VERSION_CHARS = 128;

export function handleNodeStatus(message: NodeStatusMessage, { author }: GossipMessage, view: HandlerView): Effect[] {
  const { peerId: _claimedId, ...facts } = withUsableUrls(message, view);
  const patch = {
    ...claimedTip(message, view),
    ...usableUrl(message.baseUrl, view),
    clientName: message.clientName,
    ...(message.version && { version: shownText(message.version, MAX_VERSION_CHARS) }),
    ...newerFacts(facts, view),
  };
  return [
    heard(author, patch, view),
    { type: 'notify', notification: { type: 'node_status', isOwn: false, ...facts, peerId: author } },
    ...(facts.baseUrl === message.baseUrl ? [] : [{ type: 'url_omitted', topic: 'node_status' } as const]),
  ];
}

/** Without URLs that cannot be any and, on message-bus, without a blacklisted one. */
function withUsableUrls(message: NodeStatusMessage, view: HandlerView): NodeStatusMessage {
  const { propagationUrl, ...others } = message;
  const isUsable = propagationUrl !== undefined && view.dataHubUrlFault(propagationUrl) !== 'form';
  const fault = view.dataHubUrlFault(message.baseUrl);
  const isOmitted = view.wire === 'message-bus' ? fault !== undefined : fault === 'form';
  const baseUrl = isOmitted ? '' : message.baseUrl;
  return { ...others, baseUrl, ...(isUsable ? { propagationUrl } : {}) };
}

/** On message-bus a height without a hash is no claim. */
function claimedTip({ bestHeight, bestBlockHash }: NodeStatusMessage, view: HandlerView): PeerPatch {
  const hash = parseHash(bestBlockHash);
  if (hash === undefined && view.wire === 'message-bus') return {};
  return claimed(view.countedHeight(bestHeight), hash, view);
}

/** Fields that only message-bus has. A status there is complete: a field that it lacks is not known any more. */
function newerFacts(facts: Omit<NodeStatusMessage, 'peerId'>, view: HandlerView): PeerPatch {
  const { storage, propagationUrl, minMiningTxFee, feePolicy, txCount, subtreeCount, connectedPeersCount } = facts;
  const newer = { storage, propagationUrl, minMiningTxFee, feePolicy, txCount, subtreeCount, connectedPeersCount };
  const hasAny = Object.values(newer).some((value) => value !== undefined);
  return hasAny || view.wire === 'message-bus' ? newer : {};
}
