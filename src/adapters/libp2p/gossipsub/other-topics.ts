// Which topics of others connected peers subscribe to. gossipsub drops what it has not joined; their names tell an
// operator that a peer belongs to another network, or speaks the other wire.
import { LRUCache } from 'lru-cache';
import { shownText } from '../../../lib/shown-text.ts';
import type { GossipsubParts, Stage } from './parts.ts';

/** Peers that are remembered, topics of each, and characters of a name. */
export const MAX_PEERS = 1000;
const MAX_TOPICS = 8;
const MAX_TOPIC_CHARS = 150;

interface Subscription {
  readonly topic?: unknown;
  readonly subscribe?: unknown;
}

export class OtherTopics implements Stage<'incoming'> {
  readonly feature = 'otherTopics';
  private readonly own: ReadonlySet<string>;
  private readonly byPeer = new LRUCache<string, Set<string>>({ max: MAX_PEERS });

  constructor(own: readonly string[]) {
    this.own = new Set(own);
  }

  handleReceivedRpc(next: GossipsubParts['handleReceivedRpc']): GossipsubParts['handleReceivedRpc'] {
    return (from, rpc) => {
      const { subscriptions } = (rpc ?? {}) as { readonly subscriptions?: readonly Subscription[] };
      // Nearly every RPC has none.
      if (Array.isArray(subscriptions) && subscriptions.length > 0) this.note(from.toString(), subscriptions);
      return next(from, rpc);
    };
  }

  /** Of a connected peer; at most eight. */
  of(peerId: string): readonly string[] {
    return [...(this.byPeer.get(peerId) ?? [])];
  }

  forget(peerId: string): void {
    this.byPeer.delete(peerId);
  }

  private note(peerId: string, subscriptions: readonly Subscription[]): void {
    for (const { topic, subscribe } of subscriptions.slice(0, 100)) {
      if (typeof topic !== 'string' || this.own.has(topic)) continue;
      const known = this.byPeer.get(peerId) ?? new Set<string>();
      const shown = shownText(topic, MAX_TOPIC_CHARS);
      if (subscribe !== true) known.delete(shown);
      else if (known.size < MAX_TOPICS) known.add(shown);
      this.byPeer.set(peerId, known);
    }
  }
}
