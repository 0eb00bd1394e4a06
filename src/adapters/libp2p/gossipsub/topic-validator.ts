// Between gossipsub's topic validator and our handler: the handler's decision says whether a message is forwarded.
import { type TopicValidatorFn, TopicValidatorResult } from '@libp2p/gossipsub';
import type { PeerId } from '../../../domain/ids.ts';
import type { TopicHandler, ValidationDecision } from '../../../ports/p2p-node.ts';
import type { Traffic } from '../connections/traffic.ts';
import { peerIdText } from '../peer-ids.ts';

const RESULTS = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
} as const satisfies Record<ValidationDecision, TopicValidatorResult>;

export interface TopicValidatorDependencies {
  readonly handlers: ReadonlyMap<string, TopicHandler>;
  readonly traffic: Traffic;
  readonly ownId: PeerId;
  /** Called for each message that is forwarded. */
  readonly accepted: (author: PeerId, receivedFrom: PeerId) => void;
}

/** Messages of a topic without a handler are forwarded unread, as Go forwards rejected transactions. */
export function topicValidator(
  topic: string,
  { handlers, traffic, ownId, accepted }: TopicValidatorDependencies,
): TopicValidatorFn {
  return (propagationSource, message) => {
    traffic.received(message.data.byteLength);
    if (message.type !== 'signed') return TopicValidatorResult.Reject;
    const author = peerIdText(message.from);
    const receivedFrom = propagationSource === undefined ? ownId : peerIdText(propagationSource);
    const { data: bytes, sequenceNumber: seqno } = message;
    const decision = handlers.get(topic)?.({ topic, bytes, author, receivedFrom, seqno }) ?? 'accept';
    if (decision === 'accept') accepted(author, receivedFrom);
    return RESULTS[decision];
  };
}
