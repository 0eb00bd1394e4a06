// What the node knows about peers: all that are connected, and a limited number that were. Written by the node's
// connection events only.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../../../domain/ids.ts';
import { shownText } from '../../../lib/shown-text.ts';
import type { PeerRecord } from '../../../ports/p2p-node.ts';
import type { ConnectionMeter } from './connection-meter.ts';

/** Peers remembered after they disconnected; the least recently seen is evicted first. */
export const MAX_REMEMBERED_PEERS = 1000;
const MAX_AGENT_CHARS = 256;

interface OpenConnection {
  readonly address: string;
  /** Our end of it; undefined for relayed connections. */
  readonly localAddress: string | undefined;
  /** Who shares limits with it; undefined for relayed connections. */
  readonly group: string | undefined;
  readonly direction: 'inbound' | 'outbound';
  /** Unix ms. */
  readonly openedAtMs: number;
  /** The same moment in monotonic ms. */
  readonly sinceMs: number;
  readonly meter: ConnectionMeter;
  /** Last measured round trip in ms. */
  readonly pingMs: () => number | undefined;
}

interface Entry {
  readonly connections: Map<string, OpenConnection>;
  addresses: readonly string[];
  agentVersion: string | undefined;
  protocolVersion: string | undefined;
  height: number | undefined;
  startingHeight: number | undefined;
}

export class PeerBook {
  private readonly connected = new Map<PeerId, Entry>();
  private readonly remembered = new LRUCache<PeerId, Entry>({ max: MAX_REMEMBERED_PEERS });
  /** Open connections by group. */
  private readonly groups = new Map<string | undefined, number>();
  private openCount = 0;

  /** True when this is the peer's first open connection. */
  opened(peerId: PeerId, connectionId: string, connection: OpenConnection): boolean {
    let entry = this.connected.get(peerId);
    const isFirst = entry === undefined;
    entry ??= this.remembered.get(peerId) ?? {
      connections: new Map(),
      addresses: [],
      agentVersion: undefined,
      protocolVersion: undefined,
      height: undefined,
      startingHeight: undefined,
    };
    if (isFirst) entry.startingHeight = undefined;
    this.remembered.delete(peerId);
    this.connected.set(peerId, entry);
    entry.connections.set(connectionId, connection);
    this.count(connection.group, 1);
    entry.addresses = openAddresses(entry);
    return isFirst;
  }

  /** True when this was the peer's last open connection. */
  closed(peerId: PeerId, connectionId: string): boolean {
    const entry = this.connected.get(peerId);
    const connection = entry?.connections.get(connectionId);
    if (entry === undefined || connection === undefined) return false;
    entry.connections.delete(connectionId);
    this.count(connection.group, -1);
    if (entry.connections.size > 0) {
      entry.addresses = openAddresses(entry);
      return false;
    }
    this.connected.delete(peerId);
    this.remembered.set(peerId, entry);
    return true;
  }

  identified(peerId: PeerId, agentVersion: string | undefined, protocolVersion?: string): void {
    const entry = this.connected.get(peerId);
    if (entry === undefined) return;
    entry.agentVersion = agentVersion && shownText(agentVersion, MAX_AGENT_CHARS);
    entry.protocolVersion = protocolVersion && shownText(protocolVersion, MAX_AGENT_CHARS);
  }

  /** As identify told it; undefined before, and for a peer that is not connected. */
  protocolVersionOf(peerId: PeerId): string | undefined {
    return this.connected.get(peerId)?.protocolVersion;
  }

  setHeight(peerId: PeerId, height: number): void {
    const entry = this.connected.get(peerId) ?? this.remembered.get(peerId);
    if (entry === undefined) return;
    entry.height = height;
    entry.startingHeight ??= height;
  }

  isConnected(peerId: PeerId): boolean {
    return this.connected.has(peerId);
  }

  connectionCount(peerId: PeerId): number {
    return this.connected.get(peerId)?.connections.size ?? 0;
  }

  /**
   * Monotonic ms at which its newest open connection began: an older one may belong to a process that has restarted
   * since.
   */
  connectedSinceMs(peerId: PeerId): number | undefined {
    const newest = [...(this.connected.get(peerId)?.connections.values() ?? [])].at(-1);
    return newest?.sinceMs;
  }

  /** Open connections of all peers. */
  openConnections(): number {
    return this.openCount;
  }

  openConnectionsOf(group: string): number {
    return this.groups.get(group) ?? 0;
  }

  /** Address group of its first connection. */
  groupOf(peerId: PeerId): string | undefined {
    return this.connected.get(peerId)?.connections.values().next().value?.group;
  }

  rememberedCount(): number {
    return this.remembered.size;
  }

  connectedCount(): number {
    return this.connected.size;
  }

  private count(group: string | undefined, change: 1 | -1): void {
    this.openCount += change;
    const count = (this.groups.get(group) ?? 0) + change;
    if (count > 0) this.groups.set(group, count);
    else this.groups.delete(group);
  }

  /** undefined while the peer is not connected. */
  connectedRecord(peerId: PeerId): PeerRecord | undefined {
    const entry = this.connected.get(peerId);
    return entry && record(peerId, entry, true);
  }

  connectedRecords(): PeerRecord[] {
    return [...this.connected].map(([id, entry]) => record(id, entry, true));
  }

  allRecords(): PeerRecord[] {
    return [
      ...this.connectedRecords(),
      ...[...this.remembered.entries()].map(([id, entry]) => record(id, entry, false)),
    ];
  }
}

function record(id: PeerId, entry: Entry, connected: boolean): PeerRecord {
  const open = [...entry.connections.values()];
  const first = open[0];
  const latest = (times: (number | undefined)[]) =>
    times.reduce((max, each) => (each !== undefined && each > (max ?? 0) ? each : max), undefined);
  return {
    id,
    addresses: entry.addresses,
    localAddress: first?.localAddress,
    connected,
    direction: first?.direction,
    connectedAtMs: first?.openedAtMs,
    agentVersion: entry.agentVersion,
    height: entry.height,
    startingHeight: entry.startingHeight,
    bytesSent: open.reduce((sum, { meter }) => sum + meter.sentBytes, 0),
    bytesReceived: open.reduce((sum, { meter }) => sum + meter.receivedBytes, 0),
    lastSendMs: latest(open.map(({ meter }) => meter.lastSendMs)),
    lastReceiveMs: latest(open.map(({ meter }) => meter.lastReceiveMs)),
    pingMs: first?.pingMs(),
  };
}

function openAddresses({ connections }: Entry): readonly string[] {
  return [...new Set([...connections.values()].map(({ address }) => address))];
}
