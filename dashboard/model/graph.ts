// The nodes and links of the graph: this node, its peers, and behind them authors whose announcements they brought.
import type { FeedEvent, Peer } from './api-types.ts';
import { shortId } from './format.ts';

export const SELF = 'self';
const MAX_AUTHORS = 40;

export interface GraphNode {
  readonly id: string;
  readonly kind: 'self' | 'peer' | 'author';
  readonly label: string;
  /** Of authors: the peer that brought their last announcement. */
  readonly behind: string | undefined;
  readonly lastText: string | undefined;
  readonly lastAtMs: number | undefined;
}

/** Hops of an announcement, the author first. */
export interface Pulse {
  readonly type: string;
  readonly path: readonly string[];
}

interface Seen {
  readonly behind: string | undefined;
  readonly label: string;
  readonly text: string;
  readonly atMs: number | undefined;
}

export class NetworkGraph {
  private peers: readonly Peer[] = [];
  private connected: ReadonlySet<string> = new Set();
  /** By author, latest last; bounded. */
  private readonly authors = new Map<string, Seen>();

  setPeers(peers: readonly Peer[]): void {
    this.peers = peers;
    this.connected = new Set(peers.map(({ id }) => id));
  }

  /** The way of an announcement to us; undefined for events that are none. */
  note(event: FeedEvent): Pulse | undefined {
    const { type, peerId, receivedFrom, isOwn } = event;
    if (peerId === undefined || type === 'lost' || type === 'tip' || type === 'reorg') return undefined;
    if (isOwn === true) return { type, path: [SELF] };
    const source = receivedFrom ?? (this.connected.has(peerId) ? peerId : undefined);
    // Which neighbour brought it is known of blocks and subtrees only; without one there is no way to draw.
    if (source === undefined) return undefined;
    this.remember(peerId, {
      behind: source === peerId ? undefined : source,
      label: event.clientName ?? shortId(peerId),
      text: event.height === undefined ? type : `${type} ${event.height}`,
      atMs: event.atMs,
    });
    return { type, path: source === peerId ? [peerId, SELF] : [peerId, source, SELF] };
  }

  nodes(selfLabel: string): GraphNode[] {
    const self: GraphNode = {
      ...{ id: SELF, kind: 'self', label: selfLabel },
      ...{ behind: undefined, lastText: undefined, lastAtMs: undefined },
    };
    const peers = this.peers.map(({ id, clientName }): GraphNode => {
      const seen = this.authors.get(id);
      const last = { lastText: seen?.text, lastAtMs: seen?.atMs };
      return { id, kind: 'peer', label: clientName ?? shortId(id), behind: undefined, ...last };
    });
    const authors = [...this.authors]
      .filter(([id, { behind }]) => !this.connected.has(id) && behind !== undefined && this.connected.has(behind))
      .map(([id, { behind, label, text, atMs }]): GraphNode => {
        return { id, kind: 'author', label, behind, lastText: text, lastAtMs: atMs };
      });
    return [self, ...peers, ...authors];
  }

  private remember(author: string, seen: Seen): void {
    this.authors.delete(author);
    this.authors.set(author, seen);
    if (this.authors.size <= MAX_AUTHORS + this.peers.length) return;
    const [oldest] = this.authors.keys();
    if (oldest !== undefined) this.authors.delete(oldest);
  }
}

/** Pairs of ids that are connected. */
export function linksOf(nodes: readonly GraphNode[]): { readonly source: string; readonly target: string }[] {
  return nodes.filter(({ kind }) => kind !== 'self').map(({ id, behind }) => ({ source: id, target: behind ?? SELF }));
}
