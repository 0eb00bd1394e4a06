// What peers say about themselves and what of it is proven, by peer id (spec: peerBlockHashes and the registry of
// Teranode). One writer: the effects of the pipeline and of the handshake. Connected peers and unconnected authors are
// kept apart, so that authors cannot evict peers.

import type { BlockHash, PeerId } from '../domain/ids.ts';
import type { NodeStatusMessage } from '../domain/node-status.ts';
import { BoundedMap } from '../lib/bounded-map.ts';
import { shownText } from '../lib/shown-text.ts';
import type { Clock } from '../ports/clock.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import type { WireName } from '../wire/format.ts';
import { MAX_NAME_CHARS } from '../wire/shown-name.ts';

/** A block that a peer has reached. */
export interface ChainPoint {
  /** uint32. */
  readonly height: number;
  readonly hash: BlockHash | undefined;
  /** Unix ms of the claim or proof. */
  readonly atMs: number;
}

const STATUS_FACTS = [
  'version',
  'storage',
  'propagationUrl',
  'minMiningTxFee',
  'feePolicy',
  'txCount',
  'subtreeCount',
  'connectedPeersCount',
] as const satisfies readonly (keyof NodeStatusMessage)[];

/**
 * What a peer said of itself in its last node status; undefined where it said nothing. Only message-bus has more than
 * the version.
 */
type StatusFacts = { readonly [K in (typeof STATUS_FACTS)[number]]: NodeStatusMessage[K] | undefined };

export interface RegisteredPeer extends StatusFacts {
  readonly id: PeerId;
  readonly isConnected: boolean;
  /** Unix ms; undefined for unconnected authors. */
  readonly connectedAtMs: number | undefined;
  /** Unix ms of its last valid message. */
  readonly lastMessageMs: number | undefined;
  /** The peer's latest claim; expires (see `CLAIM_KEEP_MS`). */
  readonly claimed: ChainPoint | undefined;
  /** Its first claim on this connection. */
  readonly startingHeight: number | undefined;
  /** The highest block whose header it announced and we checked against our own chain. */
  readonly proven: ChainPoint | undefined;
  /** Where it serves blocks; only URLs that the rules allow. */
  readonly dataHubUrl: string | undefined;
  /** From its handshake on this connection; for unconnected authors, from their last message. */
  readonly userAgent: string | undefined;
  /** Bitmap, uint64: 1 is a full node. As `userAgent`. */
  readonly services: bigint | undefined;
  readonly clientName: string | undefined;
  /** The wires on which its messages came. */
  readonly wires: readonly WireName[];
}

/** New facts about a peer; absent fields keep their value. */
export interface PeerPatch extends Partial<StatusFacts> {
  readonly claimed?: { readonly height: number; readonly hash: BlockHash | undefined };
  readonly proven?: { readonly height: number; readonly hash: BlockHash | undefined };
  readonly dataHubUrl?: string | undefined;
  readonly userAgent?: string;
  readonly services?: bigint;
  readonly clientName?: string;
  /** The wire on which it was heard. */
  readonly wire?: WireName;
}

type Entry = { -readonly [K in keyof RegisteredPeer]: RegisteredPeer[K] } & { heardMs: number };

/** A claim that is not repeated for this long has expired. It is longer than most intervals between blocks. */
export const CLAIM_KEEP_MS = 30 * 60_000;
/** Maximum number of unconnected authors: peers whose gossip we receive without a connection to them. */
export const MAX_UNCONNECTED = 2000;
const UNCONNECTED_KEEP_MS = 10 * 60_000;
const MAX_AGENT_CHARS = 256;

export class PeerRegistry {
  private readonly clock: Clock;
  private readonly evicted: Counter;
  private readonly connectedPeers = new Map<PeerId, Entry>();
  /** Unconnected authors, least recently heard first. */
  private readonly unconnected: BoundedMap<PeerId, Entry>;
  private readonly disconnectListeners = new Set<(peerId: PeerId) => void>();

  constructor(deps: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.clock = deps.clock;
    const { metrics } = deps;
    this.evicted = metrics.counter(
      'teranode_p2p_registry_evicted_total',
      'Unconnected authors evicted from the registry',
      ['reason'],
    );
    this.unconnected = new BoundedMap({ max: MAX_UNCONNECTED, onEvict: () => this.evicted.add(1, { reason: 'full' }) });
    const size = (of: { readonly size: number }) => () => of.size;
    metrics.gauge(
      'teranode_p2p_registry_peers',
      'Peers in the registry: connected, or authors without a connection',
      size(this.connectedPeers),
      {
        kind: 'connected',
      },
    );
    metrics.gauge(
      'teranode_p2p_registry_peers',
      'Peers in the registry: connected, or authors without a connection',
      size(this.unconnected),
      { kind: 'stranger' },
    );
    metrics.gauge(
      'teranode_p2p_registry_strangers_bound',
      'Maximum number of unconnected authors in the registry',
      () => MAX_UNCONNECTED,
    );
  }

  connected(peerId: PeerId): void {
    const entry = this.unconnected.get(peerId) ?? this.connectedPeers.get(peerId) ?? newEntry(peerId);
    this.unconnected.delete(peerId);
    this.connectedPeers.set(peerId, entry);
    entry.isConnected = true;
    entry.connectedAtMs = this.clock.now();
    entry.startingHeight = undefined;
    entry.userAgent = undefined;
    entry.services = undefined;
  }

  /** The peer becomes an unconnected author, and expires as one. */
  disconnected(peerId: PeerId): void {
    const entry = this.connectedPeers.get(peerId);
    if (entry === undefined) return;
    this.connectedPeers.delete(peerId);
    entry.isConnected = false;
    entry.connectedAtMs = undefined;
    entry.startingHeight = undefined;
    this.keepUnconnected(entry);
    for (const listener of this.disconnectListeners) listener(peerId);
  }

  /** Records a valid message of the peer. */
  heard(peerId: PeerId, patch: PeerPatch): void {
    const entry = this.connectedPeers.get(peerId) ?? this.unconnected.get(peerId) ?? newEntry(peerId);
    const atMs = this.clock.now();
    entry.lastMessageMs = atMs;
    if (patch.claimed !== undefined) {
      entry.claimed = { ...patch.claimed, atMs };
      if (entry.isConnected) entry.startingHeight ??= patch.claimed.height;
    }
    if (patch.proven !== undefined && patch.proven.height >= (entry.proven?.height ?? 0))
      entry.proven = { ...patch.proven, atMs };
    if ('dataHubUrl' in patch) entry.dataHubUrl = patch.dataHubUrl;
    if (patch.userAgent !== undefined) entry.userAgent = shownText(patch.userAgent, MAX_AGENT_CHARS);
    if (patch.services !== undefined) entry.services = patch.services;
    if (patch.clientName !== undefined) entry.clientName = shownText(patch.clientName, MAX_NAME_CHARS);
    if (patch.wire !== undefined && !entry.wires.includes(patch.wire)) entry.wires = [...entry.wires, patch.wire];
    patchStatus(entry, patch);
    if (!entry.isConnected) this.keepUnconnected(entry);
  }

  get(peerId: PeerId): RegisteredPeer | undefined {
    const entry = this.connectedPeers.get(peerId) ?? this.unconnected.get(peerId);
    return entry === undefined ? undefined : this.view(entry);
  }

  /** Exactly the connected peers. */
  connectedList(): RegisteredPeer[] {
    return [...this.connectedPeers.values()].map((entry) => this.view(entry));
  }

  /** The connected peers, then unconnected authors. */
  list(): RegisteredPeer[] {
    const unconnected = [...this.unconnected.oldestFirst()].map(([, entry]) => this.view(entry));
    return [...this.connectedList(), ...unconnected];
  }

  /**
   * Calls `listener` for each peer that disconnected, until the returned function is called. The listener must not
   * throw.
   */
  onDisconnected(listener: (peerId: PeerId) => void): () => void {
    this.disconnectListeners.add(listener);
    return () => this.disconnectListeners.delete(listener);
  }

  /** Evicts authors that were not heard for ten minutes; called every minute. */
  purge(): void {
    const oldestMs = this.clock.monotonic() - UNCONNECTED_KEEP_MS;
    for (const [peerId, entry] of this.unconnected.oldestFirst()) {
      if (entry.heardMs >= oldestMs) return;
      this.unconnected.delete(peerId);
      this.evicted.add(1, { reason: 'expired' });
    }
  }

  private keepUnconnected(entry: Entry): void {
    entry.heardMs = this.clock.monotonic();
    this.unconnected.set(entry.id, entry);
  }

  /** A copy without an expired claim. */
  private view({ heardMs: _heardMs, ...entry }: Entry): RegisteredPeer {
    const isOld = entry.claimed !== undefined && this.clock.now() - entry.claimed.atMs > CLAIM_KEEP_MS;
    return isOld ? { ...entry, claimed: undefined } : entry;
  }
}

function patchStatus(entry: Entry, patch: PeerPatch): void {
  const given = STATUS_FACTS.filter((key) => key in patch);
  if (given.length > 0) Object.assign(entry, Object.fromEntries(given.map((key) => [key, patch[key]])));
}

function newEntry(id: PeerId): Entry {
  return {
    id,
    isConnected: false,
    connectedAtMs: undefined,
    lastMessageMs: undefined,
    claimed: undefined,
    startingHeight: undefined,
    proven: undefined,
    dataHubUrl: undefined,
    userAgent: undefined,
    services: undefined,
    clientName: undefined,
    wires: [],
    version: undefined,
    storage: undefined,
    propagationUrl: undefined,
    minMiningTxFee: undefined,
    feePolicy: undefined,
    txCount: undefined,
    subtreeCount: undefined,
    connectedPeersCount: undefined,
    heardMs: 0,
  };
}
