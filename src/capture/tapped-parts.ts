// The ways in and out of a node while it captures: gossip, records of Kafka, connections.

import type { EnforcedNode } from '../bans/service.ts';
import type { GossipNetwork } from '../gossip/attach.ts';
import { SLOW_MESSAGE_MS } from '../gossip/limits/rates.ts';
import type { ConsumedMessage, Consumer } from '../ports/consumer.ts';
import type { PeerRecord, PublishOutcome } from '../ports/p2p-node.ts';
import type { Producer } from '../ports/producer.ts';
import type { TopicMessage } from '../wire/format.ts';
import type { Recorder } from './recorder.ts';
import type { Tap } from './tap.ts';

const NO_BYTES = new Uint8Array(0);

/** The networks as gossip sees them, and the time of handling as it counts. Networks that share a node still do. */
export function tappedGossip(
  tap: Tap,
  networks: readonly GossipNetwork[],
): {
  readonly networks: readonly GossipNetwork[];
  readonly handlingMs: (ms: number) => number;
} {
  // Of the message under way: what else decided on it.
  let since: number | undefined;
  let spentMs = 0;
  const tapped = (node: GossipNetwork['node'], index: number): GossipNetwork['node'] => ({
    connectedSinceMs: () => since,
    setTopicHandler: (topic, handler) =>
      node.setTopicHandler(topic, (message) => {
        const { author, receivedFrom, seqno, bytes, signature = NO_BYTES } = message;
        since = author === receivedFrom ? node.connectedSinceMs?.(author) : undefined;
        const value: Record<string, unknown> = { node: index, topic, author, receivedFrom, seqno };
        if (since !== undefined) value.since = since;
        const act = () => {
          const decision = handler(message);
          if (spentMs > SLOW_MESSAGE_MS) value.ms = spentMs;
          return decision;
        };
        return tap.input('gossip', value, act, [bytes, signature]);
      }),
  });
  const nodes = [...new Set(networks.map(({ node }) => node))];
  const tappedNodes = new Map(nodes.map((node, index) => [node, tapped(node, index)]));
  return {
    networks: networks.map((network) => ({ ...network, node: tappedNodes.get(network.node) ?? network.node })),
    handlingMs: (ms) => {
      spentMs = ms;
      return ms;
    },
  };
}

/** Where bans end connections: who is connected stands still during an input, and who is cut is a decision. */
export function tappedNode(recorder: Recorder, node: EnforcedNode): EnforcedNode {
  let asked: { readonly atMs: number; readonly peers: PeerRecord[] } | undefined;
  return {
    currentlyConnectedPeers: () => {
      if (!recorder.isUnderWay) return node.currentlyConnectedPeers();
      // The clock stands still, so the time tells one input from the next.
      const atMs = recorder.clock.monotonic();
      if (asked?.atMs !== atMs) {
        asked = { atMs, peers: node.currentlyConnectedPeers() };
        recorder.connectedPeers(asked.peers);
      }
      return asked.peers;
    },
    disconnectPeer: (peerId) => {
      recorder.decided(['cut', peerId]);
      return node.disconnectPeer(peerId);
    },
    retryDials: () => node.retryDials(),
  };
}

interface Fetchable {
  readonly hash: string;
  readonly url: string;
  readonly peerId: string;
}

export function handedKey(kind: string, { hash, url, peerId }: Fetchable): string {
  return `${kind} ${hash} ${peerId} ${url}`;
}

/** What gossip hands to Kafka is a decision; a record that does not reach it is an input. */
export function tappedProducer<T extends Fetchable>(
  recorder: Recorder,
  kind: 'block' | 'subtree',
  producer: Pick<Producer<T>, 'publish'>,
): Pick<Producer<T>, 'publish'> {
  return {
    publish: (value, onDropped, onDelivered) => {
      recorder.decided(['handed', kind, value.hash, value.peerId, value.url]);
      const dropped = () => recorder.dropped(handedKey(kind, value), () => onDropped?.());
      producer.publish(value, dropped, onDelivered);
    },
  };
}

/** Announcements of transactions that our own validator rejected are decisions. */
export function tappedPublisher(tap: Tap, publish: (announcement: TopicMessage) => Promise<PublishOutcome>) {
  return {
    publish: (announcement: TopicMessage) => {
      if (announcement.kind === 'rejected_tx') tap.decided(['announced', announcement.message.txId]);
      return publish(announcement);
    },
  };
}

/** Reports of validation are inputs. */
export function tappedConsumer<T>(tap: Tap, of: string, consumer: Consumer<T>): Consumer<T> {
  return {
    start: (handler, signal) => {
      const tapped = (message: ConsumedMessage<T>) => {
        const { topic, offset, bytes = NO_BYTES } = message;
        return tap.input('report', { of, topic, offset }, () => handler(message), [bytes]);
      };
      return consumer.start(tapped, signal);
    },
    probe: (deadlineMs) => consumer.probe(deadlineMs),
    stop: (deadlineMs) => consumer.stop(deadlineMs),
  };
}
