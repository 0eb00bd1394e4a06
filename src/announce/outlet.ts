// Everything this node says goes out here: under each topic prefix that it belongs to.

import type { PeerId } from '../domain/ids.ts';
import type { P2PNode, PublishOutcome } from '../ports/p2p-node.ts';

export type Outlet = Pick<P2PNode, 'publish' | 'hostId'>;

/** Names of one topic under all prefixes, our own first. */
export type SiblingTopics = ReadonlyMap<string, readonly string[]>;

/** `publish` takes the name under our own prefix and tells what became of that; others that fail are the caller's to hear of too. */
export function outlet(node: Outlet, siblings: SiblingTopics): Outlet {
  return {
    hostId: (): PeerId => node.hostId(),
    publish: async (topicName, bytes): Promise<PublishOutcome> => {
      const names = siblings.get(topicName) ?? [topicName];
      const outcomes = await Promise.allSettled(names.map((name) => node.publish(name, bytes)));
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
      const [own] = outcomes;
      return own?.status === 'fulfilled' ? own.value : 'suppressed';
    },
  };
}
