// The events that a listener yields, and how each follows from a message that the validators took.
import type { ReorgEvent, TipEvent } from '../domain/chain-event.ts';
import type { BlockHash, Hash, PeerId, SubtreeHash } from '../domain/ids.ts';
import type { NodeStatusMessage } from '../domain/node-status.ts';
import type { Notification } from '../domain/notification.ts';
import type { ProcessedMessage } from '../gossip/pipeline.ts';
import type { TopicKind } from '../wire/format.ts';

/** Topics of events; `mining_on` and `best_block` exist on go-p2p only. */
export type ListenTopic = Exclude<TopicKind, 'handshake'>;

/** What every announcement carries. */
export interface Announced {
  /** When it came, Unix ms. */
  readonly atMs: number;
  /** The peer that signed the message. */
  readonly author: PeerId;
  /** The propagation source: the neighbour that brought it. */
  readonly receivedFrom: PeerId;
}

export interface BlockEvent extends Announced {
  readonly type: 'block';
  readonly hash: BlockHash;
  /** As the author says: nothing proves it. */
  readonly height: number;
  /** 80 bytes that hash to `hash` and have proof of work; undefined from releases that send none. */
  readonly header: Uint8Array | undefined;
  /** Where the author serves the block; may be empty. */
  readonly dataHubUrl: string;
  readonly clientName: string | undefined;
}

export interface SubtreeEvent extends Announced {
  readonly type: 'subtree';
  readonly hash: SubtreeHash;
  readonly dataHubUrl: string;
  readonly clientName: string | undefined;
}

/** A transaction that the author's validator refused. */
export interface RejectedTxEvent extends Announced {
  readonly type: 'rejected_tx';
  readonly txId: Hash;
  readonly reason: string;
}

/** What a node says about itself, about every 10 s. URLs that no rule allows are empty or absent. */
export interface NodeStatusEvent extends Announced {
  readonly type: 'node_status';
  readonly status: Omit<NodeStatusMessage, 'peerId'>;
}

/** The block on which the author mines. */
export interface MiningOnEvent extends Announced {
  readonly type: 'mining_on';
  readonly hash: BlockHash;
  readonly previousHash: BlockHash | undefined;
  readonly height: number;
  readonly miner: string;
  readonly txCount: bigint;
  readonly sizeInBytes: bigint;
  readonly dataHubUrl: string;
}

/** The author's best block, announced when somebody asked for it. */
export interface BestBlockEvent extends Announced {
  readonly type: 'best_block';
  readonly hash: BlockHash;
  readonly height: number;
}

/** A neighbour of this listener came or went. */
export interface PeerEvent {
  readonly type: 'peer';
  readonly atMs: number;
  readonly state: 'connected' | 'disconnected';
  readonly peerId: PeerId;
  /** Of its open connections; empty when it disconnected. */
  readonly addresses: readonly string[];
}

/** No valid message came for long, while peers are connected. Told once, and again after the next message. */
export interface SilentEvent {
  readonly type: 'silent';
  readonly atMs: number;
  /** undefined: of all topics. */
  readonly topic: ListenTopic | undefined;
  /** When the last valid message came or, if that is later, when peers were connected again. Unix ms. */
  readonly sinceMs: number;
  readonly connectedPeers: number;
}

/** Events dropped before this one, because they were not read in time. */
export interface LostEvent {
  readonly type: 'lost';
  readonly atMs: number;
  readonly count: number;
  readonly byType: Readonly<Record<string, number>>;
}

/** With the option `chain`: what happens to the best chain of headers. */
export type ListenChainEvent = (TipEvent | ReorgEvent) & { readonly atMs: number };

export type ListenEvent =
  | BlockEvent
  | SubtreeEvent
  | RejectedTxEvent
  | NodeStatusEvent
  | MiningOnEvent
  | BestBlockEvent
  | PeerEvent
  | SilentEvent
  | LostEvent
  | ListenChainEvent;

/** undefined for messages that are no announcement, such as a request for the best block. */
export function eventOf({ kind, message, envelope, effects }: ProcessedMessage, atMs: number): ListenEvent | undefined {
  const { author, receivedFrom } = envelope;
  const common = { atMs, author, receivedFrom };
  switch (kind) {
    case 'block': {
      const { hash, height, dataHubUrl, clientName } = message;
      const header = message.header?.bytes;
      return { type: kind, hash, height, header, dataHubUrl, clientName: clientName || undefined, ...common };
    }
    case 'subtree': {
      const { hash, dataHubUrl, clientName } = message;
      return { type: kind, hash, dataHubUrl, clientName: clientName || undefined, ...common };
    }
    case 'rejected_tx':
      return { type: kind, txId: message.txId, reason: message.reason, ...common };
    case 'mining_on': {
      const { hash, previousHash, height, miner, txCount, sizeInBytes, dataHubUrl } = message;
      return { type: kind, hash, previousHash, height, miner, txCount, sizeInBytes, dataHubUrl, ...common };
    }
    case 'best_block':
      if (message.kind === 'request') return undefined;
      return { type: kind, hash: message.hash, height: message.height, ...common };
    case 'node_status': {
      const notified = effects.map((each) => (each.type === 'notify' ? each.notification : undefined));
      const status = notified.find((each) => each?.type === 'node_status');
      return status === undefined ? undefined : { type: kind, status: statusOf(status), ...common };
    }
    default:
      return undefined;
  }
}

type StatusNotification = Omit<Extract<Notification, { readonly type: 'node_status' }>, 'atMs'>;

/** As the handler tells subscribers, without URLs that may not be used. */
function statusOf({ type: _type, isOwn: _isOwn, peerId: _peerId, ...status }: StatusNotification) {
  return status;
}
