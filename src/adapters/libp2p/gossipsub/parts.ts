// The private parts of @libp2p/gossipsub that we use: their types, how to tell that each is
// what we expect, what we build on it, and what is lost without it. internals.ts checks them and is alone in touching
// them.
import type { SignedMessage } from '@libp2p/gossipsub';
import type { Connection, PeerId as LibPeerId, Stream } from '@libp2p/interface';
import { messageIdOf } from './options.ts';

/** A test compares it with the installed version. */
export const WRITTEN_FOR = '17.1.1';

/** A message as it came, before its signature is verified. */
export interface ReceivedMessage {
  readonly topic: string;
  readonly from?: Uint8Array;
  readonly seqno?: Uint8Array;
  readonly key?: Uint8Array;
  readonly data?: Uint8Array;
  readonly signature?: Uint8Array;
}

export interface MessageId {
  readonly msgId: Uint8Array;
  readonly msgIdStr: string;
}

export type ValidationResult =
  | { readonly code: 'duplicate'; readonly msgIdStr: string }
  | { readonly code: 'invalid'; readonly reason: string; readonly error?: string; readonly msgIdStr?: string }
  | {
      readonly code: 'valid';
      readonly messageId: MessageId;
      readonly msg: SignedMessage;
    };

/** The parts of an RPC that can be long. */
export interface Rpc {
  readonly subscriptions: readonly unknown[];
  readonly messages: readonly RpcMessage[];
  readonly control?: RpcControl | undefined;
}

export interface RpcMessage {
  readonly from?: Uint8Array;
  readonly data?: Uint8Array;
  key?: Uint8Array;
  readonly signature?: Uint8Array;
}

interface RpcControl {
  readonly ihave: readonly IHave[];
  readonly iwant: readonly unknown[];
  readonly graft: readonly unknown[];
  readonly prune: readonly unknown[];
  readonly idontwant: readonly unknown[];
}

/** Message IDs of one topic; gossipsub puts in at most 5,000, of 48 bytes each: a quarter of a MiB. */
export interface IHave {
  readonly messageIDs?: readonly Uint8Array[];
}

/** What gossipsub keeps message IDs in. */
interface IdCache<Value> {
  get?(id: string): Value | undefined;
  has?(id: string): boolean;
  put(id: string, value?: Value): unknown;
  prune(): void;
  clear(): void;
  readonly size: number;
}

/** All that we use of gossipsub besides its public functions. IDs of peers are texts. */
export interface GossipsubParts {
  topicValidators: ReadonlyMap<string, unknown>;
  msgIdFn: unknown;

  decodeRpc: (bytes: Uint8Array) => unknown;
  handleReceivedRpc: (from: LibPeerId, rpc: unknown) => Promise<void>;
  handlePeerReadStreamError: (error: Error, peerId: LibPeerId) => void;
  handleReceivedMessage: (receivedFrom: LibPeerId, message: ReceivedMessage) => Promise<void>;
  validateReceivedMessage: (receivedFrom: LibPeerId, message: ReceivedMessage) => Promise<ValidationResult>;
  forwardMessage: (id: string, message: ReceivedMessage, receivedFrom: string) => void;
  /** Keeps a message for the neighbours that ask for it. */
  'mcache.put': (id: MessageId, message: ReceivedMessage, isValidated: boolean) => boolean;
  'gossipTracer.deliverMessage': (id: string, isDuplicate?: boolean) => void;
  'gossipTracer.rejectMessage': (id: string, reason: string) => void;
  /** Message ID before verification → message ID. */
  fastMsgIdCache: IdCache<string>;
  seenCache: IdCache<unknown>;
  'score.validateMessage': () => void;
  'score.deliverMessage': () => void;
  'score.rejectMessage': () => void;
  'score.rejectInvalidMessage': () => void;
  'score.duplicateMessage': () => void;
  sendIDontWants: (id: Uint8Array, topic: string, receivedFrom: string) => void;
  doAddBackoff: (id: string, topic: string, intervalMs: number) => void;
  /** Topic → peer → when the back-off ends. */
  backoff: ReadonlyMap<string, Map<string, number>>;

  selectPeersToPublish: (topic: string, floodPublish?: boolean) => { readonly tosend: Set<string> };
  /** `receivedFrom` and `excluded` have the message already. */
  selectPeersToForward: (topic: string, receivedFrom?: string, excluded?: ReadonlySet<string>) => Set<string>;
  sendRpc: (id: string, rpc: Rpc) => boolean;
  /** Peer → IHAVEs that go with the next RPC to it. */
  gossip: Map<string, readonly IHave[]>;

  createInboundStream: (peerId: LibPeerId, stream: Stream) => void;
  /** Never rejects. */
  createOutboundStream: (peerId: LibPeerId, connection: Connection) => Promise<void>;
  /** Adds the peer if it is not known, and has a stream opened to it. */
  onPeerConnected: (peerId: LibPeerId, connection: Connection) => void;
  /** By peer. */
  streamsOutbound: ReadonlyMap<string, unknown>;
  getMeshPeers: (topic: string) => string[];
}

export type GossipsubPart = keyof GossipsubParts;

const isFunction = (value: unknown): boolean => typeof value === 'function';
const isMap = (value: unknown): boolean => value instanceof Map;
const isIdCache = (value: unknown): boolean => isFunction((value as Partial<IdCache<unknown>> | undefined)?.put);

/** Part → whether what stands under its name is what we expect. */
export const IS_INTACT: Readonly<Record<GossipsubPart, (value: unknown) => boolean>> = {
  topicValidators: isMap,
  msgIdFn: (value) => value === messageIdOf,
  decodeRpc: isFunction,
  handleReceivedRpc: isFunction,
  handlePeerReadStreamError: isFunction,
  handleReceivedMessage: isFunction,
  validateReceivedMessage: isFunction,
  forwardMessage: isFunction,
  'mcache.put': isFunction,
  'gossipTracer.deliverMessage': isFunction,
  'gossipTracer.rejectMessage': isFunction,
  fastMsgIdCache: isIdCache,
  seenCache: isIdCache,
  'score.validateMessage': isFunction,
  'score.deliverMessage': isFunction,
  'score.rejectMessage': isFunction,
  'score.rejectInvalidMessage': isFunction,
  'score.duplicateMessage': isFunction,
  sendIDontWants: isFunction,
  doAddBackoff: isFunction,
  backoff: isMap,
  selectPeersToPublish: isFunction,
  selectPeersToForward: isFunction,
  sendRpc: isFunction,
  gossip: isMap,
  createInboundStream: isFunction,
  createOutboundStream: isFunction,
  onPeerConnected: isFunction,
  streamsOutbound: isMap,
  getMeshPeers: isFunction,
};

export const GOSSIPSUB_PARTS = Object.keys(IS_INTACT) as readonly GossipsubPart[];

const SCORE_RECORDS = [
  'score.validateMessage',
  'score.deliverMessage',
  'score.rejectMessage',
  'score.rejectInvalidMessage',
  'score.duplicateMessage',
] as const;

/** Without these the start refuses. */
export const REQUIRED: Readonly<Partial<Record<GossipsubPart, string>>> = {
  topicValidators: 'messages of banned peers and invalid messages would be forwarded',
  msgIdFn: 'message IDs would differ from those of Go nodes, and messages would be lost',
};

/** What we add: the parts it needs, and what is lost while one is missing. */
export const FEATURES = {
  undecodableRpcs: {
    needs: ['decodeRpc', 'handleReceivedRpc'],
    lost: 'peers that send undecodable RPCs are not penalized',
  },
  malformedLengths: {
    needs: ['handlePeerReadStreamError'],
    lost: 'peers that send malformed RPC lengths are not penalized',
  },
  invalidSignatures: { needs: ['validateReceivedMessage'], lost: 'invalid signatures are not counted' },
  progress: { needs: ['validateReceivedMessage'], lost: 'the liveness check does not see stuck verification' },
  verificationScheduler: {
    needs: ['validateReceivedMessage'],
    lost: 'a peer that floods delays the messages of all others',
  },
  fastVerification: {
    needs: [
      'handleReceivedMessage',
      'forwardMessage',
      'mcache.put',
      'gossipTracer.deliverMessage',
      'gossipTracer.rejectMessage',
      'fastMsgIdCache',
      'seenCache',
      'sendIDontWants',
    ],
    lost: 'signatures are verified by libp2p, at about three times the CPU per message',
  },
  seenMessages: { needs: ['fastMsgIdCache', 'seenCache'], lost: 'the number of remembered message IDs is unlimited' },
  scoreRecords: { needs: SCORE_RECORDS, lost: 'records of peer scores, which are off, take memory for every message' },
  backoffLimits: { needs: ['backoff', 'doAddBackoff'], lost: 'back-offs that peers ask for are unlimited' },
  rpcSplitting: { needs: ['sendRpc', 'gossip'], lost: 'RPCs over 1 MiB are sent whole, and peers refuse them' },
  keylessMessages: { needs: ['sendRpc'], lost: 'own messages carry a public key that receivers do not need' },
  pendingOutbound: {
    needs: ['sendRpc', 'selectPeersToPublish', 'createOutboundStream', 'streamsOutbound'],
    lost: 'messages to a peer are lost until the stream to it is open',
  },
  refusedGrafts: {
    needs: ['handleReceivedRpc', 'sendRpc', 'selectPeersToForward'],
    lost: 'peers that refuse our GRAFTs, e.g. because they list this node as a direct peer, get messages late',
  },
  parallelStreams: {
    needs: ['createOutboundStream', 'streamsOutbound'],
    lost: 'one peer that does not answer delays the streams to all others',
  },
  reopenedStreams: {
    needs: ['onPeerConnected', 'createOutboundStream', 'streamsOutbound'],
    lost: 'a peer whose stream ended gets no messages until it connects again',
  },
  oneInboundStream: {
    needs: ['createInboundStream', 'handlePeerReadStreamError'],
    lost: 'streams that a peer replaced stay open, and peers that flood are read on',
  },
  meshsub13: {
    needs: ['createOutboundStream'],
    lost: 'peers that speak meshsub 1.3 get neither back-offs nor notices of messages that this node has',
  },
  otherTopics: { needs: ['handleReceivedRpc'], lost: 'operators do not see which other topics peers subscribe to' },
  meshPeers: { needs: ['getMeshPeers'], lost: 'mesh peers are neither shown nor spared when connections are trimmed' },
} as const satisfies Record<string, { readonly needs: readonly GossipsubPart[]; readonly lost: string }>;

export type GossipFeature = keyof typeof FEATURES;

/** Parts that stages may stand around, by the chain they belong to. */
export const CHAINS = {
  incoming: [
    'handlePeerReadStreamError',
    'decodeRpc',
    'handleReceivedRpc',
    'handleReceivedMessage',
    'validateReceivedMessage',
    'fastMsgIdCache',
    'seenCache',
    ...SCORE_RECORDS,
    'doAddBackoff',
  ],
  outgoing: ['selectPeersToPublish', 'selectPeersToForward', 'sendRpc'],
  opening: ['createInboundStream', 'createOutboundStream'],
} as const satisfies Record<string, readonly GossipsubPart[]>;

export type Chain = keyof typeof CHAINS;
export type WrappedPart = (typeof CHAINS)[Chain][number];

/**
 * For each part, a function from what comes after a stage to what takes its place. Called once, when the chain is
 * built.
 */
export type Hooks = { readonly [Part in WrappedPart]?: (next: GossipsubParts[Part]) => GossipsubParts[Part] };

/** One link of a chain, or of several; it is left out while gossipsub lacks a part that its feature needs. */
export type Stage<In extends Chain = Chain> = { readonly feature: GossipFeature } & Pick<
  Hooks,
  (typeof CHAINS)[In][number]
>;

/** For the log: what does not work while this part is missing. */
export function lostWithout(part: GossipsubPart): string {
  const features = Object.values<{ readonly needs: readonly GossipsubPart[]; readonly lost: string }>(FEATURES);
  return features
    .filter(({ needs }) => needs.includes(part))
    .map(({ lost }) => lost)
    .join('; ');
}

/** A message that gossipsub did not validate itself, and what became of it. */
export interface Delivery {
  received(topic: string): void;
  finished(
    received: { readonly receivedFrom: LibPeerId; readonly message: ReceivedMessage; readonly id: string },
    outcome: string,
  ): void;
}
