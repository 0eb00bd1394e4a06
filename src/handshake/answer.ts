// What to do with a version or verack, and what this node says of itself. Pure: messages and facts in, decisions out; who is connected and when
// something was sent last is known elsewhere.

import type { BlockHash, PeerId } from '../domain/ids.ts';
import type { PeerPatch } from '../peers/registry.ts';
import type { HandshakeMessage } from '../wire/handshake.ts';

/** What a message is judged by. */
export interface HandshakeFacts {
  readonly ownId: PeerId;
  /** Who is proven to have said it: the peer of the connection, or the author of the gossip message. */
  readonly sender: PeerId;
  /** Our own and the further accepted ones. */
  readonly topicPrefixes: readonly string[];
  readonly isBanned: (peerId: PeerId) => boolean;
  /** False for DataHub URLs that nobody here may be sent to. */
  readonly mayUseUrl: (url: string) => boolean;
}

export type HandshakeJudgement =
  /** To be noted; a version is answered with a verack. */
  | { readonly outcome: 'accepted'; readonly patch: PeerPatch; readonly isAnswered: boolean }
  /** Nothing comes of it. */
  | { readonly outcome: 'own_message' | 'banned' }
  /** Its sender claims to be somebody else, and is charged. */
  | { readonly outcome: 'author_mismatch' }
  /** Of another network: refused, and its sender is disconnected; nobody's offence. */
  | { readonly outcome: 'other_prefix' };

/** Judges a message (spec "Handshake Protocol"); what bans and proves comes before anything that has an effect. */
export function judgeHandshake(message: HandshakeMessage, facts: HandshakeFacts): HandshakeJudgement {
  const { ownId, sender, topicPrefixes } = facts;
  if (sender === ownId) return { outcome: 'own_message' };
  if (facts.isBanned(sender)) return { outcome: 'banned' };
  if (message.peerId !== sender) return { outcome: 'author_mismatch' };
  if (!topicPrefixes.includes(message.topicPrefix)) return { outcome: 'other_prefix' };
  const patch = patchOf(message, facts.mayUseUrl);
  return { outcome: 'accepted', patch, isAnswered: message.type === 'version' };
}

/** A URL that may not be used replaces the one before; an empty field says nothing. */
function patchOf(message: HandshakeMessage, mayUseUrl: HandshakeFacts['mayUseUrl']): PeerPatch {
  const { bestHeight: height, bestHash: hash, dataHubUrl: url, userAgent, services } = message;
  return {
    claimed: { height, hash },
    services,
    ...(url === '' ? {} : { dataHubUrl: mayUseUrl(url) ? url : undefined }),
    ...(userAgent === '' ? {} : { userAgent }),
  };
}

/** Where a chain ends; no hash when it is not known. */
export interface ChainTip {
  readonly height: number;
  readonly hash: BlockHash | undefined;
}

/** True when there is something to fetch from its sender; without a hash there is not (wire.md, "Sync, Go's times"). */
export function isAhead(message: HandshakeMessage, own: ChainTip): boolean {
  return message.bestHash !== undefined && message.bestHeight > own.height;
}

/** How this node presents itself. */
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
