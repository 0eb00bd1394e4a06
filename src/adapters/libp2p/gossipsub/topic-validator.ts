// Between gossip and our handlers: the handler's decision says whether a message is forwarded.
import { type TopicValidatorFn, TopicValidatorResult } from '@libp2p/gossipsub';
import type { PeerId } from '../../../domain/ids.ts';
import type { GossipMessage, TopicHandler, ValidationDecision } from '../../../ports/p2p-node.ts';
import type { Traffic } from '../connections/traffic.ts';
import { peerIdText } from '../peer-ids.ts';

const RESULTS = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
} as const satisfies Record<ValidationDecision, TopicValidatorResult>;

export interface TopicDecisionDependencies {
  readonly handlers: ReadonlyMap<string, TopicHandler>;
  readonly traffic: Traffic;
  /** Called for each message that is forwarded. */
  readonly accepted: (author: PeerId, receivedFrom: PeerId) => void;
}

/** Decides on a message whose signature is verified. */
export type TopicDecision = (message: GossipMessage) => ValidationDecision;

/** Messages of a topic without a handler are forwarded unread, as Go forwards rejected transactions. */
export function topicDecision({ handlers, traffic, accepted }: TopicDecisionDependencies): TopicDecision {
  return (message) => {
    traffic.received(message.bytes.byteLength);
    const decision = handlers.get(message.topic)?.(message) ?? 'accept';
    if (decision === 'accept') accepted(message.author, message.receivedFrom);
    return decision;
  };
}

/** For the messages that gossipsub itself verifies: those of other keys than Ed25519. */
export function topicValidator(topic: string, decide: TopicDecision, ownId: PeerId): TopicValidatorFn {
  return (propagationSource, message) => {
    if (message.type !== 'signed') return TopicValidatorResult.Reject;
    const { data: bytes, sequenceNumber: seqno, signature } = message;
    const receivedFrom = propagationSource === undefined ? ownId : peerIdText(propagationSource);
    return RESULTS[decide({ topic, bytes, author: peerIdText(message.from), receivedFrom, seqno, signature })];
  };
}
