// The table of guards: which topic checks what, in which order. A guard returns a verdict to end the matter, or nothing to pass it on.
// `envelope` guards see bytes, before anything is decoded; `message` guards see the decoded message.
import type { GossipMessage } from '../ports/p2p-node.ts';
import type { BlockMessage } from '../wire/block.ts';
import { checkProofOfWork, hashHeader } from '../wire/header.ts';
import type { BlockHash, PeerId, SubtreeHash } from '../wire/ids.ts';
import { decodePeerDiscovery } from '../wire/peer-discovery.ts';
import { peerIdFromPublicKey } from '../wire/peer-id.ts';
import type { SubtreeMessage } from '../wire/subtree.ts';
import type { ReadTopic, TopicMessages } from './messages.ts';
import { ignored, rejected, relayedOnly, type Verdict } from './verdict.ts';

/** What guards may look at beside the message: facts and settings, no actions. */
export interface GuardView {
  readonly ownId: PeerId;
  /** `p2p_verify_header_pow`. */
  readonly verifiesHeaderPow: boolean;
  /** `p2p_require_header`. */
  readonly requiresHeader: boolean;
  /** The network's easiest target in compact form. */
  readonly powLimitBits: number;
  blockAnnouncedBy(hash: BlockHash, author: PeerId): boolean;
  subtreeAnnouncedBy(hash: SubtreeHash, author: PeerId): boolean;
  /** True at most once for an author, topic and 4 s. */
  mayRelayPeerDiscovery(topic: string, author: PeerId): boolean;
}

type EnvelopeGuard = (envelope: GossipMessage, view: GuardView) => Verdict | undefined;
type MessageGuard<M> = (message: M, envelope: GossipMessage, view: GuardView) => Verdict | undefined;

const KIB = 1024;

/** Largest message of a topic in bytes: what real ones need with their longest URL or text, and room. */
const MAX_BYTES = {
  block: 8 * KIB,
  subtree: 8 * KIB,
  mining_on: 8 * KIB,
  handshake: 8 * KIB,
  rejected_tx: 16 * KIB,
  // Lists the subtrees of the block in work, 67 bytes each.
  node_status: 256 * KIB,
} as const satisfies Record<ReadTopic, number>;

function size(maxBytes: number): EnvelopeGuard {
  return (envelope) => (envelope.bytes.byteLength > maxBytes ? rejected('size') : undefined);
}

/** Ours come back from neighbours once their ids have left the seen-cache. */
const ownMessage: EnvelopeGuard = (envelope, view) =>
  envelope.author === view.ownId ? ignored('own_message') : undefined;

/** Today's listeners announce themselves with protobuf bytes on every topic they read: relayed at a bounded rate, never scored. */
const peerDiscovery: EnvelopeGuard = (envelope, view) => {
  const discovery = decodePeerDiscovery(envelope.bytes);
  if (discovery === undefined || peerIdFromPublicKey(discovery.publicKey) !== envelope.author) return undefined;
  return view.mayRelayPeerDiscovery(envelope.topic, envelope.author)
    ? relayedOnly('peer_discovery')
    : ignored('peer_discovery_repeated');
};

/** What a message says about its author must be what its signature says. */
const authorIsPeerId: MessageGuard<{ readonly peerId: string }> = (message, envelope) =>
  message.peerId === envelope.author ? undefined : rejected('author_mismatch');

const headerMatchesHash: MessageGuard<BlockMessage> = (message, _envelope, view) => {
  if (message.header === undefined) return view.requiresHeader ? rejected('header_missing') : undefined;
  return hashHeader(message.header) === message.hash ? undefined : rejected('header_mismatch');
};

const proofOfWork: MessageGuard<BlockMessage> = (message, _envelope, view) => {
  if (message.header === undefined || !view.verifiesHeaderPow) return undefined;
  return checkProofOfWork(message.header, view.powLimitBits) === 'ok' ? undefined : rejected('proof_of_work');
};

const blockIsNew: MessageGuard<BlockMessage> = (message, envelope, view) =>
  view.blockAnnouncedBy(message.hash, envelope.author) ? ignored('duplicate') : undefined;

const subtreeIsNew: MessageGuard<SubtreeMessage> = (message, envelope, view) =>
  view.subtreeAnnouncedBy(message.hash, envelope.author) ? ignored('duplicate') : undefined;

type GuardRow<K extends ReadTopic> = {
  readonly envelope: readonly EnvelopeGuard[];
  readonly message: readonly MessageGuard<TopicMessages[K]>[];
};

/** Decoding, with the form of hashes, stands between the two columns. */
export const GUARDS: { readonly [K in ReadTopic]: GuardRow<K> } = {
  block: {
    envelope: [size(MAX_BYTES.block), ownMessage, peerDiscovery],
    message: [authorIsPeerId, blockIsNew, headerMatchesHash, proofOfWork],
  },
  subtree: {
    envelope: [size(MAX_BYTES.subtree), ownMessage, peerDiscovery],
    message: [authorIsPeerId, subtreeIsNew],
  },
  mining_on: { envelope: [size(MAX_BYTES.mining_on), ownMessage, peerDiscovery], message: [authorIsPeerId] },
  handshake: { envelope: [size(MAX_BYTES.handshake), ownMessage, peerDiscovery], message: [authorIsPeerId] },
  rejected_tx: { envelope: [size(MAX_BYTES.rejected_tx), ownMessage, peerDiscovery], message: [authorIsPeerId] },
  node_status: { envelope: [size(MAX_BYTES.node_status), ownMessage, peerDiscovery], message: [authorIsPeerId] },
};
