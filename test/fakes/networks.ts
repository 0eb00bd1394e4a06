// Networks and publishers without libp2p.
import type { Publisher } from '../../src/announce/publisher.ts';
import type { P2PNetwork } from '../../src/ports/network.ts';
import type { P2PNode, PublishOutcome } from '../../src/ports/p2p-node.ts';
import { encodeFor, GO_P2P, type TopicKind } from '../../src/wire/format.ts';

/** Hands each announcement to `publish`, in the bytes of the specification. */
export function publisherTo(publish: (kind: TopicKind, bytes: Uint8Array) => Promise<PublishOutcome>): Publisher {
  return { publish: async (announcement) => await publish(announcement.kind, encodeFor(GO_P2P, announcement)) };
}

/** Topics are named by `<name>-<kind>`; the node has what the test gives it. */
export function networkOf(
  name: string,
  node: Partial<P2PNode>,
  kinds: readonly TopicKind[] = Object.keys(GO_P2P.encode) as TopicKind[],
): P2PNetwork {
  const topics = Object.fromEntries(kinds.map((kind) => [kind, `${name}-${kind}`]));
  return { name, topicPrefix: name, wire: GO_P2P, topics, node: node as P2PNode };
}
