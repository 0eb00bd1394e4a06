// The table of guards: which topic checks what, in which order. A guard returns a verdict to end the matter, or nothing to pass it on.
// `envelope` guards see bytes, before anything is decoded; `message` guards see the decoded message. A verdict may charge the author, whose
// signature proves that it is his doing; never the relay, because Go nodes forward everything.

import type { BlockHash, PeerId, SubtreeHash } from '../domain/ids.ts';
import type { DataHubUrlFault } from '../peers/datahub/datahub-url.ts';
import type { GossipMessage } from '../ports/p2p-node.ts';
import type { BestBlockMessage } from '../wire/best-block.ts';
import type { BlockMessage } from '../wire/block.ts';
import type { TopicKind, TopicMessages } from '../wire/format.ts';
import { checkProofOfWork, hashHeader, parseHeader, targetFromCompact } from '../wire/header.ts';
import type { MiningOnMessage } from '../wire/mining-on.ts';
import { decodePeerDiscovery } from '../wire/peer-discovery.ts';
import { peerIdFromPublicKey } from '../wire/peer-id.ts';
import type { SubtreeMessage } from '../wire/subtree.ts';
import { ignored, rejected, relayedOnly, type SkipReason, type Verdict } from './verdict.ts';

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
  /** True when the same bytes of the author passed under another topic prefix of ours; once for each topic. */
  passedElsewhere(envelope: GossipMessage): boolean;
  /** Remembers that these bytes passed under their topic. */
  passed(envelope: GossipMessage): void;
  /** False while this node syncs from another peer than this one, or from one that is higher: such is not handed on. */
  handsOn(author: PeerId, height: number): boolean;
  isBanned(author: PeerId): boolean;
  /**
   * Takes a token of the author's; `over_scored` at most once in 5 s. What is late, and so played again by anybody, has tokens of its own, a tenth
   * as many, and is never scored. At first hand, from the author as our neighbour, all is the author's doing.
   */
  authorRate(author: PeerId, seqno: bigint, atFirstHand: boolean): 'ok' | 'over' | 'over_scored';
  /** Takes a token of the neighbour's. */
  relayRate(relay: PeerId): 'ok' | 'over' | 'over_scored';
  /** Asked after `authorRate`, which remembers the author's highest sequence number. */
  isReplay(author: PeerId, seqno: bigint): boolean;
  /** What is wrong with a DataHub URL. */
  dataHubUrlFault(url: string): DataHubUrlFault | undefined;
  /** Height of a header of our own recent chain. */
  ownHeightOf(hash: BlockHash): number | undefined;
  /** The easiest target that is believed now; undefined: any that the network allows. */
  easiestTarget(): bigint | undefined;
}

/**
 * Rules of policy: in shadow mode they are only noted. The others say what is valid at all, and `banned_author` does what somebody decided.
 */
export const POLICY_RULES: ReadonlySet<SkipReason> = new Set([
  'author_rate',
  'relay_rate',
  'replay',
  'height_implausible',
  'work_implausible',
  'datahub_url',
]);

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
  best_block: 4 * KIB,
} as const satisfies Record<TopicKind, number>;

function size(maxBytes: number): EnvelopeGuard {
  return (envelope) => (envelope.bytes.byteLength > maxBytes ? rejected('size') : undefined);
}

/** Ours come back from neighbours once their ids have left the seen-cache. */
const ownMessage: EnvelopeGuard = (envelope, view) =>
  envelope.author === view.ownId ? ignored('own_message') : undefined;

/** Two networks in one: relayed under this prefix too, and counted once. */
const otherPrefix: EnvelopeGuard = (envelope, view) =>
  view.passedElsewhere(envelope) ? relayedOnly('other_prefix') : undefined;

const bannedAuthor: EnvelopeGuard = (envelope, view) =>
  view.isBanned(envelope.author) ? ignored('banned_author') : undefined;

const authorRate: EnvelopeGuard = (envelope, view) => {
  const rate = view.authorRate(envelope.author, envelope.seqno, envelope.relay === envelope.author);
  return rate === 'ok' ? undefined : ignored('author_rate', rate === 'over_scored' ? 'spam' : undefined);
};

const relayRate: EnvelopeGuard = (envelope, view) =>
  view.relayRate(envelope.relay) === 'ok' ? undefined : ignored('relay_rate');

/** Who plays old messages again is not known: their author did not. */
const notReplayed: EnvelopeGuard = (envelope, view) =>
  view.isReplay(envelope.author, envelope.seqno) ? ignored('replay') : undefined;

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
  message.peerId === envelope.author ? undefined : rejected('author_mismatch', 'protocol_violation');

/** A request names who asks; an announcement names nobody. */
const askerIsAuthor: MessageGuard<BestBlockMessage> = (message, envelope) =>
  message.kind === 'announcement' || message.peerId === envelope.author
    ? undefined
    : rejected('author_mismatch', 'protocol_violation');

const headerMatchesHash: MessageGuard<BlockMessage> = (message, _envelope, view) => {
  if (message.header === undefined) return view.requiresHeader ? rejected('header_missing') : undefined;
  return hashHeader(message.header) === message.hash ? undefined : rejected('header_mismatch', 'protocol_violation');
};

const proofOfWork: MessageGuard<BlockMessage> = (message, _envelope, view) => {
  if (message.header === undefined || !view.verifiesHeaderPow) return undefined;
  return checkProofOfWork(message.header, view.powLimitBits) === 'ok'
    ? undefined
    : rejected('proof_of_work', 'invalid_block');
};

const blockIsNew: MessageGuard<BlockMessage> = (message, envelope, view) =>
  view.blockAnnouncedBy(message.hash, envelope.author) ? ignored('duplicate') : undefined;

const subtreeIsNew: MessageGuard<SubtreeMessage> = (message, envelope, view) =>
  view.subtreeAnnouncedBy(message.hash, envelope.author) ? ignored('duplicate') : undefined;

/** A header of ours is as high as it is, and a child of one is one higher; anything else is a lie about a chain that we know. */
function heightVerdict(
  { hash, height }: { readonly hash: BlockHash; readonly height: number },
  parent: BlockHash | undefined,
  view: GuardView,
): Verdict | undefined {
  const parentHeight = parent === undefined ? undefined : view.ownHeightOf(parent);
  const expected = view.ownHeightOf(hash) ?? (parentHeight === undefined ? height : parentHeight + 1);
  return height === expected ? undefined : rejected('height_implausible', 'protocol_violation');
}

const heightIsPlausible: MessageGuard<BlockMessage> = (message, _envelope, view) => {
  const parent = message.header === undefined ? undefined : parseHeader(message.header)?.previousHash;
  return heightVerdict(message, parent, view);
};

const miningHeightIsPlausible: MessageGuard<MiningOnMessage> = (message, _envelope, view) =>
  heightVerdict(message, message.previousHash, view);

/** An announcement names no parent. */
const bestHeightIsPlausible: MessageGuard<BestBlockMessage> = (message, _envelope, view) =>
  message.kind === 'announcement' ? heightVerdict(message, undefined, view) : undefined;

/** Old targets are cheap to meet today: a header far easier than our recent tip proves next to nothing. */
const workIsPlausible: MessageGuard<BlockMessage> = (message, _envelope, view) => {
  const easiest = view.easiestTarget();
  if (easiest === undefined || message.header === undefined) return undefined;
  const target = targetFromCompact(parseHeader(message.header)?.bits ?? 0);
  return target !== undefined && target <= easiest ? undefined : ignored('work_implausible');
};

/** A misled or misconfigured node is no offender: what cannot be used is not passed on, and costs nobody. */
const dataHubUrl: MessageGuard<{ readonly dataHubUrl: string }> = (message, _envelope, view) =>
  view.dataHubUrlFault(message.dataHubUrl) === undefined ? undefined : ignored('datahub_url');

/** Nothing is fetched because of a mining-on, so it may name no place; what it names is told to watchers and in the registry. */
const dataHubUrlIfAny: MessageGuard<{ readonly dataHubUrl: string }> = (message, envelope, view) =>
  message.dataHubUrl === '' ? undefined : dataHubUrl(message, envelope, view);

/** What stands before decoding in every topic. */
function envelope(maxBytes: number): readonly EnvelopeGuard[] {
  return [ownMessage, bannedAuthor, otherPrefix, authorRate, relayRate, size(maxBytes), peerDiscovery, notReplayed];
}

type GuardRow<K extends TopicKind> = {
  readonly envelope: readonly EnvelopeGuard[];
  readonly message: readonly MessageGuard<TopicMessages[K]>[];
};

/** Decoding, with the form of hashes, stands between the two columns. */
export const GUARDS: { readonly [K in TopicKind]: GuardRow<K> } = {
  block: {
    envelope: envelope(MAX_BYTES.block),
    message: [
      authorIsPeerId,
      blockIsNew,
      headerMatchesHash,
      proofOfWork,
      heightIsPlausible,
      workIsPlausible,
      dataHubUrl,
    ],
  },
  subtree: { envelope: envelope(MAX_BYTES.subtree), message: [authorIsPeerId, subtreeIsNew, dataHubUrl] },
  mining_on: {
    envelope: envelope(MAX_BYTES.mining_on),
    message: [authorIsPeerId, miningHeightIsPlausible, dataHubUrlIfAny],
  },
  handshake: { envelope: envelope(MAX_BYTES.handshake), message: [authorIsPeerId] },
  rejected_tx: { envelope: envelope(MAX_BYTES.rejected_tx), message: [authorIsPeerId] },
  node_status: { envelope: envelope(MAX_BYTES.node_status), message: [authorIsPeerId] },
  best_block: { envelope: envelope(MAX_BYTES.best_block), message: [askerIsAuthor, bestHeightIsPlausible] },
};
