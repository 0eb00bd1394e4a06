// Publishes what this node announces: in each network in which the topic exists, in that network's wire format.
import type { P2PNetwork } from '../ports/network.ts';
import type { PublishOutcome } from '../ports/p2p-node.ts';
import { encodeFor, type TopicMessage } from '../wire/format.ts';

export interface Publisher {
  /**
   * The outcome in the first network that has the topic; `suppressed` when none has it. A failure in one network does
   * not keep the message from the others; then throws what the first of them threw.
   */
  publish(announcement: TopicMessage): Promise<PublishOutcome>;
}

/** `clientName` is the name in the envelope of message-bus. */
export function createPublisher(networks: readonly P2PNetwork[], clientName = ''): Publisher {
  return {
    publish: async (announcement) => {
      const inNetwork = async (network: P2PNetwork, topic: string) =>
        await network.node.publish(topic, encodeFor(network.wire, announcement, clientName));
      const outcomes = await Promise.allSettled(
        networks.flatMap((network) => {
          const topic = network.topics[announcement.kind];
          return topic === undefined ? [] : [inNetwork(network, topic)];
        }),
      );
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
      const [first] = outcomes;
      return first?.status === 'fulfilled' ? first.value : 'suppressed';
    },
  };
}
