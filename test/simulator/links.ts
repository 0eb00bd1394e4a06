// The network between simulated nodes: connections, latency, loss, partitions, gossip messages and direct streams.
import type { PeerId } from '../../src/domain/ids.ts';
import type { Random } from './random.ts';
import type { GossipHost, SignedMessage } from './simulated-node.ts';
import type { Trace } from './trace.ts';
import type { VirtualTime } from './virtual-time.ts';

interface Path {
  readonly latencyMs: number;
  readonly loss: number;
}

/** How often a node dials the peers of its list that it has no connection to. */
const REDIAL_MS = 4000;
/** Gossipsub offers a message to peers that miss it at this many heartbeats. */
const OFFERS = 3;
const HEARTBEAT_MS = 1000;
/** A connection across a cut link is noticed after this. */
const NOTICED_MS = 3000;

export interface LinkOptions {
  readonly maxLatencyMs: number;
  readonly maxLoss: number;
}

export class Links {
  private readonly time: VirtualTime;
  private readonly random: Random;
  private readonly trace: Trace;
  private readonly options: LinkOptions;
  private readonly hosts = new Map<PeerId, GossipHost>();
  private readonly paths = new Map<string, Path>();
  private readonly connected = new Set<string>();
  /** Side of each host while the network is partitioned. */
  private sides = new Map<PeerId, number>();

  constructor(
    deps: { readonly time: VirtualTime; readonly random: Random; readonly trace: Trace },
    options: LinkOptions,
  ) {
    this.time = deps.time;
    this.random = deps.random;
    this.trace = deps.trace;
    this.options = options;
  }

  /** A host with a new process under the same ID takes the place of the old one. */
  add(host: GossipHost): void {
    this.hosts.set(host.id, host);
    const dial = () => {
      if (this.hosts.get(host.id) !== host || !host.isUp) return;
      this.dialAll(host);
      this.time.after(REDIAL_MS, dial);
    };
    this.time.after(this.random.between(10, 500), dial);
  }

  dialAll(host: GossipHost): void {
    for (const id of host.dials) this.connect(host, id);
  }

  remove(host: GossipHost): void {
    for (const other of this.hosts.values()) if (other !== host) this.disconnect(host.id, other.id);
  }

  /** Hosts of different sides do not reach each other until `heal`. */
  partition(sides: ReadonlyMap<PeerId, number>): void {
    this.sides = new Map(sides);
    this.time.after(NOTICED_MS, () => {
      for (const key of [...this.connected]) {
        const [a, b] = key.split(' ') as [PeerId, PeerId];
        if (!this.isOpenPath(a, b)) this.disconnect(a, b);
      }
    });
  }

  heal(): void {
    this.sides.clear();
  }

  get isPartitioned(): boolean {
    return this.sides.size > 0;
  }

  isOpenPath(a: PeerId, b: PeerId): boolean {
    return (this.sides.get(a) ?? 0) === (this.sides.get(b) ?? 0);
  }

  latencyMs(a: PeerId, b: PeerId): number {
    return this.pathOf(a, b).latencyMs;
  }

  /** Sends a gossip message to a neighbour. What the link loses is offered again at the next heartbeats. */
  send(from: GossipHost, to: PeerId, message: SignedMessage, offer = 0): void {
    const { latencyMs, loss } = this.pathOf(from.id, to);
    if (this.random.chance(loss)) {
      if (offer < OFFERS)
        this.time.after(HEARTBEAT_MS, () => {
          if (this.isConnected(from.id, to)) this.send(from, to, message, offer + 1);
        });
      return;
    }
    this.time.after(latencyMs + this.random.next(), () => {
      if (!this.isConnected(from.id, to) || !this.isOpenPath(from.id, to)) return;
      this.hosts.get(to)?.receive(message, from.id);
    });
  }

  /** False when the peer is not connected. */
  sendDirectly(from: GossipHost, to: PeerId, bytes: Uint8Array): boolean {
    const host = this.hosts.get(to);
    if (host === undefined || !this.isConnected(from.id, to) || !this.isOpenPath(from.id, to)) return false;
    this.time.after(this.latencyMs(from.id, to), () => {
      if (this.isConnected(from.id, to)) host.receiveDirectly(from.id, bytes);
    });
    return true;
  }

  disconnect(a: PeerId, b: PeerId): void {
    if (!this.connected.delete(keyOf(a, b))) return;
    this.trace.note(`. disconnected ${this.nameOf(a)} ${this.nameOf(b)}`);
    this.hosts.get(a)?.closed(b);
    this.hosts.get(b)?.closed(a);
  }

  nameOf(id: PeerId): string {
    return this.hosts.get(id)?.name ?? id;
  }

  private isConnected(a: PeerId, b: PeerId): boolean {
    return this.connected.has(keyOf(a, b));
  }

  private connect(from: GossipHost, id: PeerId): void {
    const to = this.hosts.get(id);
    if (to === undefined || !to.isUp || this.isConnected(from.id, id) || !this.isOpenPath(from.id, id)) return;
    if (!from.mayConnect(to) || !to.mayConnect(from)) return;
    this.connected.add(keyOf(from.id, id));
    this.trace.note(`. connected ${from.name} ${to.name}`);
    from.opened(to, 'outbound');
    to.opened(from, 'inbound');
  }

  private pathOf(a: PeerId, b: PeerId): Path {
    const key = keyOf(a, b);
    let path = this.paths.get(key);
    if (path === undefined) {
      const { maxLatencyMs, maxLoss } = this.options;
      path = { latencyMs: this.random.between(1, maxLatencyMs), loss: this.random.next() * maxLoss };
      this.paths.set(key, path);
    }
    return path;
  }
}

function keyOf(a: PeerId, b: PeerId): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
