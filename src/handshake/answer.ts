// What to do with a version or verack, and what this node says about itself. Pure functions: messages and facts in,
// decisions out. Connections and times are kept elsewhere.

import type { BlockHash, PeerId } from '../domain/ids.ts';
import type { PeerPatch } from '../peers/registry.ts';
import type { HandshakeMessage } from '../wire/handshake.ts';
import { parsePeerId } from '../wire/peer-id.ts';

/** The facts that decide about a message. */
export interface HandshakeFacts {
  readonly ownId: PeerId;
  /** The proven sender: the peer of the connection, or the author of the gossip message. */
  readonly sender: PeerId;
  /** Our own topic prefix and the further ones that are accepted. */
  readonly topicPrefixes: readonly string[];
  readonly isBanned: (peerId: PeerId) => boolean;
  /** False for DataHub URLs that the rules do not allow. */
  readonly mayUseUrl: (url: string) => boolean;
}

export type HandshakeJudgement =
  /** Recorded; a version is answered with a verack. */
  | { readonly outcome: 'accepted'; readonly patch: PeerPatch; readonly isAnswered: boolean }
  /** Dropped. */
  | { readonly outcome: 'own_message' | 'banned' }
  /** The sender claims another peer ID, and is penalized. */
  | { readonly outcome: 'author_mismatch'; readonly rule: 'author_mismatch' | 'peer_id_form' }
  /** From another network: refused, and the sender is disconnected without a penalty. */
  | { readonly outcome: 'other_prefix' };

/**
 * Decides about a message (spec "Handshake Protocol"). Bans and identity are checked before anything that has an
 * effect.
 */
export function judgeHandshake(message: HandshakeMessage, facts: HandshakeFacts): HandshakeJudgement {
  const { ownId, sender, topicPrefixes } = facts;
  if (sender === ownId) return { outcome: 'own_message' };
  if (facts.isBanned(sender)) return { outcome: 'banned' };
  if (message.peerId !== sender) {
    const isOther = parsePeerId(message.peerId) !== undefined;
    return { outcome: 'author_mismatch', rule: isOther ? 'author_mismatch' : 'peer_id_form' };
  }
  if (!topicPrefixes.includes(message.topicPrefix)) return { outcome: 'other_prefix' };
  const patch = patchOf(message, facts.mayUseUrl);
  return { outcome: 'accepted', patch, isAnswered: message.type === 'version' };
}

/** A URL that is not allowed clears the known one; an empty field changes nothing. */
function patchOf(message: HandshakeMessage, mayUseUrl: HandshakeFacts['mayUseUrl']): PeerPatch {
  const { bestHeight: height, bestHash: hash, dataHubUrl: url, userAgent, services } = message;
  return {
    claimed: { height, hash },
    services,
    ...(url === '' ? {} : { dataHubUrl: mayUseUrl(url) ? url : undefined }),
    ...(userAgent === '' ? {} : { userAgent }),
  };
}

/** The tip of a chain; the hash is undefined when it is not known. */
export interface ChainTip {
  readonly height: number;
  readonly hash: BlockHash | undefined;
}

/** True when there is a block to fetch from the sender. Without a hash there is none. */
export function isAhead(message: HandshakeMessage, own: ChainTip): boolean {
  return message.bestHash !== undefined && message.bestHeight > own.height;
}

/** What this node says about itself in a handshake. */
export interface OwnIdentity {
  readonly peerId: PeerId;
  readonly dataHubUrl: string;
  /** `teranode/bitcoin/<version>`. */
  readonly userAgent: string;
  readonly services: bigint;
}

export function ownHandshake(
  type: HandshakeMessage['type'],
  topicPrefix: string,
  { peerId, dataHubUrl, userAgent, services }: OwnIdentity,
  { height, hash }: ChainTip,
): HandshakeMessage {
  return { type, peerId, bestHeight: height, bestHash: hash, dataHubUrl, userAgent, services, topicPrefix };
}
