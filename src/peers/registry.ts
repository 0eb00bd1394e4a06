// What peers say of themselves and what of it is proven, by peer id (spec: peerBlockHashes and the registry of Teranode). One writer: the
// effects of the pipeline and of the handshake. Connected peers and gossiped strangers are kept apart, so that nobody is pushed out by names.

import type { BlockHash, PeerId } from '../domain/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';

/** A point of the chain that a peer stands at. */
export interface ChainPoint {
  /** uint32. */
  readonly height: number;
  readonly hash: BlockHash | undefined;
  /** Unix ms at which it was said or proven. */
  readonly atMs: number;
}

export interface RegisteredPeer {
  readonly id: PeerId;
  readonly isConnected: boolean;
  /** Unix ms; undefined for strangers. */
  readonly connectedAtMs: number | undefined;
  /** Unix ms of its last message that passed. */
  readonly lastMessageMs: number | undefined;
  /** As the peer says; expires (see `CLAIM_KEEP_MS`). */
  readonly claimed: ChainPoint | undefined;
  /** First claim since it connected. */
  readonly startingHeight: number | undefined;
  /** Highest point at which it announced a header that we checked against our own chain. */
  readonly proven: ChainPoint | undefined;
  /** Where it serves blocks; only URLs that may be used. */
  readonly dataHubUrl: string | undefined;
  /** As its handshake on this connection says; for strangers, as they said last. */
  readonly userAgent: string | undefined;
  /** Bitmap, uint64: 1 is a full node. As `userAgent`. */
  readonly services: bigint | undefined;
  readonly clientName: string | undefined;
}

/** What is newly known of a peer; absent fields stay. */
export interface PeerPatch {
  readonly claimed?: { readonly height: number; readonly hash: BlockHash | undefined };
  readonly proven?: { readonly height: number; readonly hash: BlockHash | undefined };
  readonly dataHubUrl?: string | undefined;
  readonly userAgent?: string;
  readonly services?: bigint;
  readonly clientName?: string;
}

type Entry = { -readonly [K in keyof RegisteredPeer]: RegisteredPeer[K] } & { heardMs: number };

/** A claim not repeated for this long says nothing of today: ten times the interval of a node status, and more than a block's. */
export const CLAIM_KEEP_MS = 30 * 60_000;
/** Strangers: gossiped authors that we are not connected to. */
export const MAX_STRANGERS = 2000;
const STRANGER_KEEP_MS = 10 * 60_000;
const MAX_TEXT = 256;

export class PeerRegistry {
  private readonly clock: Clock;
  private readonly evicted: Counter;
  private readonly connectedPeers = new Map<PeerId, Entry>();
  /** Heard of longest ago first. */
  private readonly strangers = new Map<PeerId, Entry>();
  private readonly leavers = new Set<(peerId: PeerId) => void>();

  constructor(deps: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.clock = deps.clock;
    const { metrics } = deps;
    this.evicted = metrics.counter('teranode_p2p_registry_evicted_total', 'Strangers forgotten', ['reason']);
    const size = (of: Map<PeerId, Entry>) => () => of.size;
    metrics.gauge('teranode_p2p_registry_peers', 'Peers in the registry', size(this.connectedPeers), {
      kind: 'connected',
    });
    metrics.gauge('teranode_p2p_registry_peers', 'Peers in the registry', size(this.strangers), { kind: 'stranger' });
    metrics.gauge('teranode_p2p_registry_strangers_bound', 'Strangers in the registry at most', () => MAX_STRANGERS);
  }

  connected(peerId: PeerId): void {
    const entry = this.strangers.get(peerId) ?? this.connectedPeers.get(peerId) ?? newEntry(peerId);
    this.strangers.delete(peerId);
    this.connectedPeers.set(peerId, entry);
    entry.isConnected = true;
    entry.connectedAtMs = this.clock.now();
    entry.startingHeight = undefined;
    entry.userAgent = undefined;
    entry.services = undefined;
  }

  /** The peer becomes a stranger, and expires as one. */
  disconnected(peerId: PeerId): void {
    const entry = this.connectedPeers.get(peerId);
    if (entry === undefined) return;
    this.connectedPeers.delete(peerId);
    entry.isConnected = false;
    entry.connectedAtMs = undefined;
    entry.startingHeight = undefined;
    this.keepStranger(entry);
    for (const leaver of this.leavers) leaver(peerId);
  }

  /** A message of the peer passed. */
  heard(peerId: PeerId, patch: PeerPatch): void {
    const entry = this.connectedPeers.get(peerId) ?? this.strangers.get(peerId) ?? newEntry(peerId);
    const atMs = this.clock.now();
    entry.lastMessageMs = atMs;
    if (patch.claimed !== undefined) {
      entry.claimed = { ...patch.claimed, atMs };
      if (entry.isConnected) entry.startingHeight ??= patch.claimed.height;
    }
    if (patch.proven !== undefined && patch.proven.height >= (entry.proven?.height ?? 0))
      entry.proven = { ...patch.proven, atMs };
    if ('dataHubUrl' in patch) entry.dataHubUrl = patch.dataHubUrl;
    if (patch.userAgent !== undefined) entry.userAgent = patch.userAgent.slice(0, MAX_TEXT);
    if (patch.services !== undefined) entry.services = patch.services;
    if (patch.clientName !== undefined) entry.clientName = patch.clientName.slice(0, MAX_TEXT);
    if (!entry.isConnected) this.keepStranger(entry);
  }

  get(peerId: PeerId): RegisteredPeer | undefined {
    const entry = this.connectedPeers.get(peerId) ?? this.strangers.get(peerId);
    return entry === undefined ? undefined : this.view(entry);
  }

  /** Exactly the connected ones. */
  connectedList(): RegisteredPeer[] {
    return [...this.connectedPeers.values()].map((entry) => this.view(entry));
  }

  /** Strangers, heard of longest ago first. */
  strangerList(): RegisteredPeer[] {
    return [...this.strangers.values()].map((entry) => this.view(entry));
  }

  /** Called for each peer that is no longer connected, until the returned function is called; must not throw. */
  onLeave(leaver: (peerId: PeerId) => void): () => void {
    this.leavers.add(leaver);
    return () => this.leavers.delete(leaver);
  }

  /** Forgets strangers not heard of for ten minutes; called each minute. */
  purge(): void {
    const oldestMs = this.clock.monotonic() - STRANGER_KEEP_MS;
    for (const [peerId, entry] of this.strangers) {
      if (entry.heardMs >= oldestMs) return;
      this.strangers.delete(peerId);
      this.evicted.add(1, { reason: 'expired' });
    }
  }

  private keepStranger(entry: Entry): void {
    entry.heardMs = this.clock.monotonic();
    this.strangers.delete(entry.id);
    this.strangers.set(entry.id, entry);
    if (this.strangers.size <= MAX_STRANGERS) return;
    const oldest = this.strangers.keys().next();
    if (!oldest.done) this.strangers.delete(oldest.value);
    this.evicted.add(1, { reason: 'full' });
  }

  /** A copy, with a claim that is too old left out. */
  private view({ heardMs: _heardMs, ...entry }: Entry): RegisteredPeer {
    const isOld = entry.claimed !== undefined && this.clock.now() - entry.claimed.atMs > CLAIM_KEEP_MS;
    return isOld ? { ...entry, claimed: undefined } : entry;
  }
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
    heardMs: 0,
  };
}
