// A network that this server belongs to, as a value: gossip, handshake and announcements work on a list of them.
// Registry, bans, chain and producers stand behind all networks.
import type { TopicKind, WireFormat } from '../wire/format.ts';
import type { P2PNode } from './p2p-node.ts';

export interface P2PNetwork {
  /** For logs; unique within one server. */
  readonly name: string;
  readonly topicPrefix: string;
  readonly wire: WireFormat;
  /** Full names of the topics that exist in this network. */
  readonly topics: { readonly [K in TopicKind]?: string };
  /** Several networks may share one node. */
  readonly node: P2PNode;
}

/** The node of each network, each once, in the order of the networks. */
export function nodesOf(networks: readonly P2PNetwork[]): readonly P2PNode[] {
  return [...new Set(networks.map(({ node }) => node))];
}

/** Full names of the topics that a node joins, over all networks that share it. */
export function topicNamesOf(node: P2PNode, networks: readonly P2PNetwork[]): readonly string[] {
  return [
    ...new Set(networks.filter((network) => network.node === node).flatMap(({ topics }) => Object.values(topics))),
  ];
}
