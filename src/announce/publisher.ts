// Publishes what this node announces: in each network in which the topic exists, in that network's wire format.
import type { P2PNetwork } from '../ports/network.ts';
import type { PublishOutcome } from '../ports/p2p-node.ts';
import { encodeFor, type TopicMessage } from '../wire/format.ts';
import type { OwnUrls } from './own-urls.ts';

export interface Publisher {
  /**
   * The outcome in the first network that has the topic; `suppressed` when none has it. A failure in one network does
   * not keep the message from the others; then throws what the first of them threw.
   */
  publish(announcement: TopicMessage): Promise<PublishOutcome>;
}

/** What this node is on message-bus. */
export interface PublisherOptions {
  /** The name in the envelope. */
  readonly clientName: string;
  readonly urls: OwnUrls;
}

const NOTHING: PublisherOptions = { clientName: '', urls: { dataHubUrl: '', propagationUrl: '' } };

export function createPublisher(networks: readonly P2PNetwork[], onBus: PublisherOptions = NOTHING): Publisher {
  const publishIn = async ({ node, wire }: P2PNetwork, topic: string, message: TopicMessage) =>
    await node.publish(topic, encodeFor(wire, message, onBus.clientName));
  return {
    publish: async (announcement) => {
      const outcomes = await Promise.allSettled(
        networks.flatMap((network) => {
          const topic = network.topics[announcement.kind];
          const message = network.wire.name === 'message-bus' ? forBus(announcement, onBus.urls) : announcement;
          return topic === undefined || message === undefined ? [] : [publishIn(network, topic, message)];
        }),
      );
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
      const [first] = outcomes;
      return first?.status === 'fulfilled' ? first.value : 'suppressed';
    },
  };
}

/** With the URLs that may be announced there; undefined where nothing can be announced without one. */
function forBus(announcement: TopicMessage, { dataHubUrl, propagationUrl }: OwnUrls): TopicMessage | undefined {
  const { kind, message } = announcement;
  switch (kind) {
    case 'block':
      return dataHubUrl === '' ? undefined : { kind, message: { ...message, dataHubUrl } };
    case 'subtree':
      return dataHubUrl === '' ? undefined : { kind, message: { ...message, dataHubUrl } };
    case 'node_status':
      return { kind, message: { ...message, baseUrl: dataHubUrl, propagationUrl } };
    default:
      return announcement;
  }
}
