// The table of validators (guards): what each topic checks, in which order. A validator returns a result to stop the
// message, or undefined to let it pass. `envelope` validators see bytes before decoding, `message` validators the
// decoded message. What a result costs the author, whose signature proves authorship, is in the table of offences;
// the propagation source never gets points, because Go nodes forward everything unchecked.

import type { BlockHash, Hash, PeerId, SubtreeHash } from '../domain/ids.ts';
import type { NodeStatusMessage } from '../domain/node-status.ts';
import { type DataHubUrlFault, isHttpUrl } from '../peers/datahub/datahub-url.ts';
import type { GossipMessage } from '../ports/p2p-node.ts';
import type { BestBlockMessage } from '../wire/best-block.ts';
import type { TopicKind, WireFormat, WireName } from '../wire/format.ts';
import { checkProofOfWork, targetFromCompact } from '../wire/header.ts';
import type { MiningOnMessage } from '../wire/mining-on.ts';
import { decodePeerDiscovery } from '../wire/peer-discovery.ts';
import { parsePeerId, peerIdFromPublicKey } from '../wire/peer-id.ts';
import type { SubtreeMessage } from '../wire/subtree.ts';
import { type Excess, unscored } from './limits/rates.ts';
import type { ReceivedMessages } from './messages.ts';
import type { ReceivedBlock } from './received-block.ts';
import { forwardedOnly, free, ignored, rejected, type SkipReason, type ValidationResult } from './validation-result.ts';

/** What validators may read besides the message: facts and settings, no actions. */
export interface GuardView {
  readonly ownId: PeerId;
  /** Wire of the network that the message came through. */
  readonly wire: WireName;
  /** Largest gossip data by topic on that wire. */
  readonly maxGossipBytes: WireFormat['maxGossipBytes'];
  /** `p2p_verify_header_pow`. */
  readonly verifiesHeaderPow: boolean;
  /** `p2p_require_header`. */
  readonly requiresHeader: boolean;
  /** The network's easiest target in compact form. */
  readonly powLimitBits: number;
  blockAnnouncedBy(hash: BlockHash, author: PeerId): boolean;
  subtreeAnnouncedBy(hash: SubtreeHash, author: PeerId): boolean;
  /**
   * True when an announcement of this hash by this author is the first one on this wire, while there are several wires;
   * asked once per announcement.
   */
  isFirstOnWire(hash: Hash, author: PeerId): boolean;
  /** True at most once per author, topic and 4 s. */
  mayForwardPeerDiscovery(topic: string, author: PeerId): boolean;
  /**
   * True when the same bytes from the same author already passed under another of our topic prefixes; once per topic.
   */
  passedElsewhere(envelope: GossipMessage): boolean;
  /** Remembers that these bytes passed under their topic. */
  passed(envelope: GossipMessage): void;
  /**
   * False while this node syncs from another peer, or from this one at a greater height: then block validation is not
   * told.
   */
  shouldForward(author: PeerId, height: number): boolean;
  isBanned(author: PeerId): boolean;
  /** Whether the author is connected and has a reputation too low to sync from. */
  isLowReputation(author: PeerId): boolean;
  /**
   * Takes a token, and one for each byte, from the author's buckets of this wire; `…_scored` and `flood` at most once per
   * 5 s each. Late messages could be replays by anybody: they have buckets of their own with a tenth of the rates, and
   * are never scored. `isDirect`: the author itself sent the message, so all of it is the author's doing.
   */
  authorRate(author: PeerId, seqno: bigint, isDirect: boolean, bytes: number): 'ok' | Excess;
  /**
   * Takes a token, and one for each byte, from the buckets of the propagation source. A source in debt (see
   * `chargeSource`) is over its rate with the messages of authors of whom nothing good is known.
   */
  sourceRate(receivedFrom: PeerId, author: PeerId, bytes: number): 'ok' | Excess;
  /** The propagation source brought a message that cost its author, another peer, points. */
  chargeSource(receivedFrom: PeerId): void;
  /** Takes a token from the bucket of the author's node statuses; called after `authorRate`. */
  mayTellStatus(author: PeerId, seqno: bigint): boolean;
  /** Charges the author for the time that its message took, in ms. Called for slow messages. */
  spent(author: PeerId, ms: number): void;
  /** Called after `authorRate`, which remembers the author's highest sequence number. */
  isReplay(author: PeerId, seqno: bigint): boolean;
  /** Whether the author may have sent this message long ago; called after `authorRate`. */
  mayBeOld(author: PeerId, seqno: bigint): boolean;
  /** What is wrong with a DataHub URL; undefined when it may be used. */
  dataHubUrlFault(url: string): DataHubUrlFault | undefined;
  /** Height of a header of our own recent chain; undefined when the header is not in it. */
  ownHeightOf(hash: BlockHash): number | undefined;
  /** A claimed height that nothing proves, cut to what counts (`p2p_max_unvalidated_advertised_height_lead`). */
  countedHeight(height: number): number;
  /** The easiest target that is plausible now; undefined when any target that the network allows is. */
  easiestTarget(): bigint | undefined;
}

/**
 * Policy rules: in shadow mode they only record. The other rules define what is valid, and `banned_author` enforces a
 * decision already made.
 */
export const POLICY_RULES: ReadonlySet<SkipReason> = new Set([
  'author_rate',
  'author_flood',
  'author_bytes',
  'author_time',
  'relay_rate',
  'relay_bytes',
  'status_rate',
  'replay',
  'height_implausible',
  'work_implausible',
  'datahub_url',
  'low_reputation',
]);

type EnvelopeGuard = (envelope: GossipMessage, view: GuardView) => ValidationResult | undefined;
type MessageGuard<M> = (message: M, envelope: GossipMessage, view: GuardView) => ValidationResult | undefined;

function size(topic: TopicKind): EnvelopeGuard {
  return (envelope, view) => (envelope.bytes.byteLength > view.maxGossipBytes[topic] ? rejected('size') : undefined);
}

/** Our own messages come back from neighbours after their ids have left the seen cache. */
const ownMessage: EnvelopeGuard = (envelope, view) =>
  envelope.author === view.ownId ? ignored('own_message') : undefined;

/** A node on two topic prefixes forwards a message under both, and processes it once. */
const otherPrefix: EnvelopeGuard = (envelope, view) =>
  view.passedElsewhere(envelope) ? forwardedOnly('other_prefix') : undefined;

const bannedAuthor: EnvelopeGuard = (envelope, view) =>
  view.isBanned(envelope.author) ? ignored('banned_author') : undefined;

/** Nodes of 2025 announce every rejected transaction without a limit: there an excess is dropped without penalty. */
function authorRate(topic: TopicKind): EnvelopeGuard {
  return ({ author, seqno, receivedFrom, bytes }, view) => {
    const taken = view.authorRate(author, seqno, receivedFrom === author, bytes.byteLength);
    if (taken === 'ok') return undefined;
    if (topic !== 'rejected_tx') return AUTHOR_EXCESS[taken];
    return AUTHOR_EXCESS[unscored(taken)];
  };
}

const AUTHOR_EXCESS = {
  over: free(ignored('author_rate')),
  over_scored: ignored('author_rate'),
  flood: ignored('author_flood'),
  bytes: free(ignored('author_bytes')),
  bytes_scored: ignored('author_bytes'),
  time: ignored('author_time'),
} as const satisfies { readonly [T in Excess]: ValidationResult };

/**
 * Nobody is penalized: a neighbour forwards what others say. The bytes of blocks are not counted: they are few, and
 * must pass whatever else comes through the neighbour.
 */
function sourceRate(topic: TopicKind): EnvelopeGuard {
  return ({ receivedFrom, author, bytes }, view) => {
    const taken = view.sourceRate(receivedFrom, author, topic === 'block' ? 0 : bytes.byteLength);
    if (taken === 'ok') return undefined;
    const isOfBytes = taken === 'bytes' || taken === 'bytes_scored';
    return isOfBytes ? ignored('relay_bytes') : ignored('relay_rate');
  };
}

/** Ignored without penalty: a node that mines fast tells its status with each block. */
const statusRate: EnvelopeGuard = ({ author, seqno }, view) =>
  view.mayTellStatus(author, seqno) ? undefined : ignored('status_rate');

/** Ignored without penalty: a replay proves nothing about its author. */
const notReplayed: EnvelopeGuard = (envelope, view) =>
  view.isReplay(envelope.author, envelope.seqno) ? ignored('replay') : undefined;

/**
 * TypeScript listeners announce themselves with protobuf bytes on every topic they read: forwarded at a bounded rate,
 * never scored. On message-bus they are not forwarded, because its receivers mute an author for ever after five
 * messages that are not JSON.
 */
const peerDiscovery: EnvelopeGuard = (envelope, view) => {
  const discovery = decodePeerDiscovery(envelope.bytes);
  if (discovery === undefined || peerIdFromPublicKey(discovery.publicKey) !== envelope.author) return undefined;
  if (isBus(view)) return ignored('peer_discovery');
  return view.mayForwardPeerDiscovery(envelope.topic, envelope.author)
    ? forwardedOnly('peer_discovery')
    : ignored('peer_discovery_repeated');
};

function isBus({ wire }: GuardView): boolean {
  return wire === 'message-bus';
}

/** The PeerID in the message must be the author that the signature proves. */
const authorIsPeerId: MessageGuard<{ readonly peerId: string }> = ({ peerId }, envelope) => {
  if (peerId === envelope.author) return undefined;
  return rejected(parsePeerId(peerId) === undefined ? 'peer_id_form' : 'author_mismatch');
};

/** A request carries the PeerID of its author; an announcement carries none. */
const requesterIsAuthor: MessageGuard<BestBlockMessage> = (message, envelope, view) =>
  message.kind === 'announcement' ? undefined : authorIsPeerId(message, envelope, view);

const headerMatchesHash: MessageGuard<ReceivedBlock> = (message, _envelope, view) => {
  if (message.header === undefined) return view.requiresHeader ? rejected('header_missing') : undefined;
  return message.header.hash === message.hash ? undefined : rejected('header_mismatch');
};

const proofOfWork: MessageGuard<ReceivedBlock> = (message, _envelope, view) => {
  if (message.header === undefined || !view.verifiesHeaderPow) return undefined;
  const { bytes, hash } = message.header;
  return checkProofOfWork(bytes, view.powLimitBits, hash) === 'ok' ? undefined : rejected('proof_of_work');
};

/** An author may announce the same on several wires, on each of which it is forwarded once. */
const blockIsNew: MessageGuard<ReceivedBlock> = ({ hash }, { author }, view) =>
  !view.isFirstOnWire(hash, author) && view.blockAnnouncedBy(hash, author) ? ignored('duplicate') : undefined;

const subtreeIsNew: MessageGuard<SubtreeMessage> = ({ hash }, { author }, view) =>
  !view.isFirstOnWire(hash, author) && view.subtreeAnnouncedBy(hash, author) ? ignored('duplicate') : undefined;

/** After all other checks: a valid announcement that was processed when it came on another wire. */
const blockIsNewOnAllWires: MessageGuard<ReceivedBlock> = ({ hash }, envelope, view) =>
  view.blockAnnouncedBy(hash, envelope.author) ? passedOnOtherWire(envelope, view) : undefined;

const subtreeIsNewOnAllWires: MessageGuard<SubtreeMessage> = ({ hash }, envelope, view) =>
  view.subtreeAnnouncedBy(hash, envelope.author) ? passedOnOtherWire(envelope, view) : undefined;

function passedOnOtherWire(envelope: GossipMessage, view: GuardView): ValidationResult {
  view.passed(envelope);
  return forwardedOnly('other_wire');
}

/**
 * A block of our own chain has its own height, and a child of one is one higher. Any other height is a false claim
 * about a chain we know.
 */
function checkHeight(
  { hash, height }: { readonly hash: BlockHash; readonly height: number },
  parent: BlockHash | undefined,
  view: GuardView,
): ValidationResult | undefined {
  const parentHeight = parent === undefined ? undefined : view.ownHeightOf(parent);
  const expected = view.ownHeightOf(hash) ?? (parentHeight === undefined ? height : parentHeight + 1);
  return height === expected ? undefined : rejected('height_implausible');
}

const heightIsPlausible: MessageGuard<ReceivedBlock> = (message, _envelope, view) => {
  return checkHeight(message, message.header?.fields?.previousHash, view);
};

const miningHeightIsPlausible: MessageGuard<MiningOnMessage> = (message, _envelope, view) =>
  checkHeight(message, message.previousHash, view);

/** A best-block announcement carries no parent. */
const bestHeightIsPlausible: MessageGuard<BestBlockMessage> = (message, _envelope, view) =>
  message.kind === 'announcement' ? checkHeight(message, undefined, view) : undefined;

/** Old targets are cheap to meet today: a header far easier than our recent tip proves almost nothing. */
const workIsPlausible: MessageGuard<ReceivedBlock> = (message, _envelope, view) => {
  const easiest = view.easiestTarget();
  if (easiest === undefined || message.header === undefined) return undefined;
  const target = targetFromCompact(message.header.fields?.bits ?? 0);
  return target !== undefined && target <= easiest ? undefined : ignored('work_implausible');
};

/**
 * Ignored without penalty: the author may be misled or misconfigured. On message-bus a URL that leads nowhere by http
 * is an offence.
 */
function refusedUrl(url: string, view: GuardView): ValidationResult {
  const isOffence = isBus(view) && url !== '' && !isHttpUrl(url);
  const result = ignored('datahub_url');
  return isOffence ? result : free(result);
}

const dataHubUrl: MessageGuard<{ readonly dataHubUrl: string }> = ({ dataHubUrl: url }, _envelope, view) =>
  view.dataHubUrlFault(url) === undefined ? undefined : refusedUrl(url, view);

/**
 * A mining-on may omit the URL, because nothing is fetched for it. A URL that it has is shown to subscribers and kept
 * in the registry.
 */
const dataHubUrlIfAny: MessageGuard<{ readonly dataHubUrl: string }> = (message, envelope, view) =>
  message.dataHubUrl === '' ? undefined : dataHubUrl(message, envelope, view);

/** On message-bus a status may omit its URL; a blacklisted URL is left out, any other bad one ends the message. */
const baseUrl: MessageGuard<NodeStatusMessage> = ({ baseUrl: url }, _envelope, view) => {
  if (!isBus(view) || url === '') return undefined;
  const fault = view.dataHubUrlFault(url);
  return fault === undefined || fault === 'blacklisted' ? undefined : refusedUrl(url, view);
};

/** On message-bus, subtrees and statuses of connected authors with a low reputation are forwarded only; blocks never. */
const reputation: MessageGuard<object> = (_message, envelope, view) => {
  if (!isBus(view) || !view.isLowReputation(envelope.author)) return undefined;
  view.passed(envelope);
  return forwardedOnly('low_reputation');
};

/** The checks before decoding, the same for every topic but for the size. */
function envelope(topic: TopicKind): readonly EnvelopeGuard[] {
  const rates = [authorRate(topic), sourceRate(topic)];
  return [ownMessage, bannedAuthor, otherPrefix, ...rates, size(topic), peerDiscovery, notReplayed];
}

type GuardRow<K extends TopicKind> = {
  readonly envelope: readonly EnvelopeGuard[];
  readonly message: readonly MessageGuard<ReceivedMessages[K]>[];
};

/** Decoding happens between the two columns; it checks the form of fields and hashes. */
export const GUARDS: { readonly [K in TopicKind]: GuardRow<K> } = {
  block: {
    envelope: envelope('block'),
    message: [
      authorIsPeerId,
      blockIsNew,
      headerMatchesHash,
      proofOfWork,
      heightIsPlausible,
      workIsPlausible,
      dataHubUrl,
      blockIsNewOnAllWires,
    ],
  },
  subtree: {
    envelope: envelope('subtree'),
    message: [authorIsPeerId, subtreeIsNew, dataHubUrl, reputation, subtreeIsNewOnAllWires],
  },
  mining_on: {
    envelope: envelope('mining_on'),
    message: [authorIsPeerId, miningHeightIsPlausible, dataHubUrlIfAny],
  },
  handshake: { envelope: envelope('handshake'), message: [authorIsPeerId] },
  rejected_tx: { envelope: envelope('rejected_tx'), message: [authorIsPeerId] },
  node_status: { envelope: [...envelope('node_status'), statusRate], message: [authorIsPeerId, baseUrl, reputation] },
  best_block: { envelope: envelope('best_block'), message: [requesterIsAuthor, bestHeightIsPlausible] },
};
