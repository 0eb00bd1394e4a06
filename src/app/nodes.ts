// All libp2p nodes of this server seen as one: a peer counts as connected while any node has a connection to it. Bans
// are made before the nodes, which ask them whom to refuse; this hub stands between the two, so that neither waits for
// the other.
import type { PeerId } from '../domain/ids.ts';
import { P2PError } from '../lib/errors.ts';
import { MAX_DEPARTURES, type NodeDiagnosis } from '../ports/diagnosis.ts';
import type { DirectStreamHandler, JoinedTopic, P2PNode, PeerRecord } from '../ports/p2p-node.ts';
import type { Progress } from '../ports/progress.ts';

type PeerListener = (peerId: PeerId) => void;

export class Nodes {
  private readonly all: P2PNode[] = [];
  /** Nodes that have a connection to the peer. */
  private readonly connected = new Map<PeerId, Set<P2PNode>>();
  private readonly connectListeners: PeerListener[] = [];
  private readonly nodeConnectListeners: ((node: P2PNode, peerId: PeerId) => void)[] = [];
  private readonly disconnectListeners: PeerListener[] = [];

  /** Takes over the node's callbacks for connections. */
  add(node: P2PNode): void {
    this.all.push(node);
    node.setPeerConnectedCallback((peerId) => this.opened(node, peerId));
    node.setPeerDisconnectedCallback((peerId) => this.closed(node, peerId));
  }

  /** Called for each peer that goes from no connection to one, in the order of registration. */
  onConnected(listener: PeerListener): void {
    this.connectListeners.push(listener);
  }

  /** Called for each peer that goes from no connection to one at one of the nodes, after `onConnected`. */
  onNodeConnected(listener: (node: P2PNode, peerId: PeerId) => void): void {
    this.nodeConnectListeners.push(listener);
  }

  /** Called for each peer whose last connection ended. */
  onDisconnected(listener: PeerListener): void {
    this.disconnectListeners.push(listener);
  }

  /** Whether this node has a connection to the peer. */
  isConnectedTo(node: P2PNode, peerId: PeerId): boolean {
    return this.connected.get(peerId)?.has(node) === true;
  }

  /** Starts the nodes one after another; each joins the topics of its networks and serves the stream of its wire. */
  async start(
    signal: AbortSignal,
    handlerOf: (node: P2PNode) => DirectStreamHandler | undefined,
    topicsOf: (node: P2PNode) => readonly string[],
  ) {
    for (const node of this.all) {
      signal.throwIfAborted();
      await node.start(signal, handlerOf(node), topicsOf(node));
    }
  }

  /** Side by side. May be called twice. */
  async stop(): Promise<void> {
    await Promise.all(this.all.map((node) => node.stop()));
  }

  listenAddresses(): string[] {
    return this.all.flatMap((node) => node.listenAddresses());
  }

  getTopic(topicName: string): JoinedTopic | undefined {
    const joined = this.all.flatMap((node) => node.getTopic(topicName) ?? []);
    const [first, ...others] = joined;
    if (first === undefined || others.length === 0) return first;
    return {
      name: topicName,
      subscribers: () => unique(joined.map((topic) => topic.subscribers())),
      mesh: () => unique(joined.map((topic) => topic.mesh())),
    };
  }

  /** Exactly the peers with an open connection, each once. */
  currentlyConnectedPeers(): PeerRecord[] {
    const [only, ...others] = this.all;
    if (others.length === 0) return only?.currentlyConnectedPeers() ?? [];
    const records = new Map<PeerId, PeerRecord>();
    for (const record of this.all.flatMap((node) => node.currentlyConnectedPeers())) {
      const known = records.get(record.id);
      records.set(record.id, known === undefined ? record : merged(known, record));
    }
    return [...records.values()];
  }

  /**
   * Dials with every node: which network the peer belongs to shows when it answers. Throws PEER_UNREACHABLE with what
   * each node says, or what the first node throws.
   */
  async connectPeer(address: string, deadlineMs?: number): Promise<PeerId> {
    const dials = this.all.map((node) => node.connectPeer(address, deadlineMs));
    try {
      return await Promise.any(dials);
    } catch (error) {
      throw error instanceof AggregateError ? oneOf(error.errors) : error;
    }
  }

  async disconnectPeer(peerId: PeerId): Promise<void> {
    await Promise.all(this.all.map((node) => node.disconnectPeer(peerId)));
  }

  /** Sends with a node that has a connection to the peer. Throws PEER_UNREACHABLE. */
  async sendToPeer(peerId: PeerId, bytes: Uint8Array, deadlineMs?: number): Promise<void> {
    const [connected] = this.connected.get(peerId) ?? [];
    await (connected ?? this.first()).sendToPeer(peerId, bytes, deadlineMs);
  }

  updatePeerHeight(peerId: PeerId, height: number): void {
    for (const node of this.all) node.updatePeerHeight?.(peerId, height);
  }

  retryDials(): void {
    for (const node of this.all) node.retryDials();
  }

  /** Progress of gossip of each node that reports it. */
  gossipProgress(): Progress[] {
    return this.all.flatMap((node) => node.gossipProgress?.() ?? []);
  }

  /** What the nodes know of their connections, one after the other. */
  diagnosis(): NodeDiagnosis {
    const all = this.all.flatMap((node) => node.diagnosis?.() ?? []);
    const found = new Set(all.map(({ reachability }) => reachability));
    return {
      dials: all.flatMap(({ dials }) => dials),
      departures: all
        .flatMap(({ departures }) => departures)
        .toSorted((a, b) => b.atMs - a.atMs)
        .slice(0, MAX_DEPARTURES),
      peers: all.flatMap(({ peers }) => peers),
      announced: [...new Set(all.flatMap(({ announced }) => announced))],
      reachability: found.has('public') ? 'public' : found.has('private') ? 'private' : 'unknown',
    };
  }

  private first(): P2PNode {
    const [first] = this.all;
    if (first === undefined) throw new RangeError('no node was added');
    return first;
  }

  private opened(node: P2PNode, peerId: PeerId): void {
    const nodes = this.connected.get(peerId);
    if (nodes === undefined) {
      this.connected.set(peerId, new Set([node]));
      for (const listener of this.connectListeners) listener(peerId);
    } else {
      nodes.add(node);
    }
    for (const listener of this.nodeConnectListeners) listener(node, peerId);
  }

  private closed(node: P2PNode, peerId: PeerId): void {
    const nodes = this.connected.get(peerId);
    nodes?.delete(node);
    if (nodes !== undefined && nodes.size > 0) return;
    this.connected.delete(peerId);
    for (const listener of this.disconnectListeners) listener(peerId);
  }
}

function oneOf(errors: readonly unknown[]): unknown {
  const [first] = errors;
  const messages = new Set(errors.flatMap((each) => (each instanceof P2PError ? each.message : [])));
  if (!(first instanceof P2PError) || first.code !== 'PEER_UNREACHABLE' || messages.size === 1) return first;
  return new P2PError('PEER_UNREACHABLE', [...messages].join('; '), { details: first.details, cause: first.cause });
}

function unique(lists: readonly (readonly PeerId[])[]): PeerId[] {
  return [...new Set(lists.flat())];
}

/** One peer on two nodes: traffic adds up, times are the earliest connection and the latest traffic. */
function merged(a: PeerRecord, b: PeerRecord): PeerRecord {
  return {
    ...a,
    addresses: [...a.addresses, ...b.addresses],
    connectedAtMs: least(a.connectedAtMs, b.connectedAtMs),
    agentVersion: a.agentVersion ?? b.agentVersion,
    bytesSent: a.bytesSent + b.bytesSent,
    bytesReceived: a.bytesReceived + b.bytesReceived,
    lastSendMs: greatest(a.lastSendMs, b.lastSendMs),
    lastReceiveMs: greatest(a.lastReceiveMs, b.lastReceiveMs),
    pingMs: a.pingMs ?? b.pingMs,
  };
}

function least(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}

function greatest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);
}
