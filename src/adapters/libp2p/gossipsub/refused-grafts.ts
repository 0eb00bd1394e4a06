// A Go peer that lists us as a direct peer answers every GRAFT of ours with a PRUNE: it counts on hearing each message
// at once, as a direct peer does, but we do not know that it lists us, so it would hear of messages by IHAVE, late or
// never. Messages are therefore forwarded at once to subscribers that refused our GRAFT, as gossipsub does for peers
// that speak floodsub only.
import type { PeerId as LibPeerId } from '@libp2p/interface';
import { LRUCache } from 'lru-cache';
import { gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';
import type { GossipsubParts, Rpc, Stage } from './parts.ts';

/** Per topic; further ones hear by IHAVE until one of these leaves. */
export const MAX_REFUSING = 16;
/** A PRUNE that comes later is not the answer to the GRAFT. */
export const ANSWER_MS = 5000;
/** GRAFTs without an answer so far; the oldest are forgotten. */
const MAX_GRAFTS = 1000;

interface InTopic {
  readonly topicID?: string | undefined;
}

interface ReceivedRpc {
  readonly subscriptions?: readonly { readonly topic?: string; readonly subscribe?: boolean }[];
  readonly control?: { readonly graft?: readonly InTopic[]; readonly prune?: readonly InTopic[] };
}

export class RefusedGrafts implements Stage<'incoming' | 'outgoing'> {
  readonly feature = 'refusedGrafts';
  private readonly nowMs: () => number;
  /** Topic and peer → when our GRAFT was sent. */
  private readonly grafts = new LRUCache<string, number>({ max: MAX_GRAFTS });
  /** Topic → peers. */
  private readonly refusing: ReadonlyMap<string, Set<string>>;

  constructor(
    { metrics, nowMs }: { readonly metrics: Metrics; readonly nowMs: () => number },
    topicNames: readonly string[],
  ) {
    this.nowMs = nowMs;
    this.refusing = new Map(topicNames.map((topic) => [topic, new Set()]));
    const refusing = {
      name: 'teranode_p2p_graft_refusing_peers',
      help: 'Peers outside the mesh that hear all at once',
    };
    const count = () => [...this.refusing.values()].reduce((sum, { size }) => sum + size, 0);
    gaugeWithBound(metrics, refusing, count, MAX_REFUSING * topicNames.length);
    const grafts = { name: 'teranode_p2p_unanswered_grafts', help: 'GRAFTs sent that no PRUNE has answered' };
    gaugeWithBound(metrics, grafts, () => this.grafts.size, MAX_GRAFTS);
  }

  sendRpc(next: GossipsubParts['sendRpc']): GossipsubParts['sendRpc'] {
    return (id, rpc: Rpc) => {
      for (const { topicID = '' } of (rpc.control?.graft ?? []) as readonly InTopic[])
        if (this.refusing.has(topicID)) this.grafts.set(keyOf(topicID, id), this.nowMs());
      return next(id, rpc);
    };
  }

  handleReceivedRpc(next: GossipsubParts['handleReceivedRpc']): GossipsubParts['handleReceivedRpc'] {
    return (from, rpc) => {
      this.received(from, rpc as ReceivedRpc);
      return next(from, rpc);
    };
  }

  selectPeersToForward(next: GossipsubParts['selectPeersToForward']): GossipsubParts['selectPeersToForward'] {
    return (topic, receivedFrom, excluded) => {
      const selected = next(topic, receivedFrom, excluded);
      for (const id of this.refusing.get(topic) ?? [])
        if (id !== receivedFrom && excluded?.has(id) !== true) selected.add(id);
      return selected;
    };
  }

  peerDisconnected(peerId: LibPeerId): void {
    const id = peerId.toString();
    for (const [topic, peers] of this.refusing) {
      peers.delete(id);
      this.grafts.delete(keyOf(topic, id));
    }
  }

  private received(
    from: LibPeerId,
    { subscriptions = [], control: { graft = [], prune = [] } = {} }: ReceivedRpc,
  ): void {
    if (subscriptions.length + graft.length + prune.length === 0) return;
    const id = from.toString();
    for (const { topic = '', subscribe } of subscriptions) if (subscribe !== true) this.refusing.get(topic)?.delete(id);
    for (const { topicID = '' } of graft) {
      this.refusing.get(topicID)?.delete(id);
      this.grafts.delete(keyOf(topicID, id));
    }
    for (const { topicID = '' } of prune) {
      const graftedAtMs = this.grafts.get(keyOf(topicID, id));
      if (graftedAtMs === undefined) continue;
      this.grafts.delete(keyOf(topicID, id));
      const peers = this.refusing.get(topicID);
      if (this.nowMs() - graftedAtMs <= ANSWER_MS && peers !== undefined && peers.size < MAX_REFUSING) peers.add(id);
    }
  }
}

function keyOf(topic: string, id: string): string {
  return `${id} ${topic}`;
}
