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

/** Messages of a topic without a handler are forwarded unread, as Go forwards rejected transactions. */
export function topicValidator(
  topic: string,
  handlers: ReadonlyMap<string, TopicHandler>,
  traffic: Traffic,
  ownId: PeerId,
): TopicValidatorFn {
  return (receivedFrom, message) => {
    traffic.received(message.data.byteLength);
    const handler = handlers.get(topic);
    if (handler === undefined) return TopicValidatorResult.Accept;
    if (message.type !== 'signed') return TopicValidatorResult.Reject;
    const decision = handler({
      topic,
      bytes: message.data,
      author: peerIdText(message.from),
      receivedFrom: receivedFrom === undefined ? ownId : peerIdText(receivedFrom),
      seqno: message.sequenceNumber,
    });
    return RESULTS[decision];
  };
}
