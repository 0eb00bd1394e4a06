// Keeps the peer cache up to date while peers come and go. A peer's addresses are read from the peer store when they
// changed, and the file is written at most every 5 s, when there is something new.
import type { PeerId } from '../../../domain/ids.ts';
import { type Repeating, repeating } from '../../../lib/repeating.ts';
import type { Logger } from '../../../ports/log.ts';
import type { PeerRecord } from '../../../ports/p2p-node.ts';
import type { CachedPeer, PeerCache } from './peer-cache.ts';

export const SAVE_INTERVAL_MS = 5000;

export interface CachedPeersDependencies {
  readonly cache: Pick<PeerCache, 'load' | 'seen' | 'disconnected' | 'save' | 'saveLast'>;
  readonly log: Logger;
  /** undefined while the peer is not connected. */
  readonly connectedRecord: (peerId: PeerId) => PeerRecord | undefined;
  /** Addresses that the peer listens on: one that dialled us did so from a temporary port. */
  readonly listenAddresses: (peerId: PeerId) => Promise<readonly string[]>;
}

export class CachedPeers {
  private readonly deps: CachedPeersDependencies;
  /** Connected peers whose addresses may have changed since they were read. */
  private readonly changed = new Set<PeerId>();
  private loop: Repeating | undefined;

  constructor(deps: CachedPeersDependencies) {
    this.deps = deps;
  }

  load(): Promise<readonly CachedPeer[]> {
    return this.deps.cache.load();
  }

  start(): void {
    const failed = (error: unknown) => this.deps.log.warn({ err: error }, 'failed to update the peer cache');
    const times = { firstMs: SAVE_INTERVAL_MS, nextMs: () => SAVE_INTERVAL_MS };
    this.loop ??= repeating(() => this.save(), times, failed);
  }

  async stop(): Promise<void> {
    this.loop?.stop();
    await this.readChanged();
    await this.deps.cache.saveLast();
  }

  /** The peer connected, or libp2p learned something new about it. */
  peerChanged(peerId: PeerId): void {
    if (this.deps.connectedRecord(peerId) !== undefined) this.changed.add(peerId);
  }

  peerDisconnected(peerId: PeerId): void {
    this.changed.delete(peerId);
    this.deps.cache.disconnected(peerId);
  }

  async save(): Promise<void> {
    await this.readChanged();
    await this.deps.cache.save();
  }

  private async readChanged(): Promise<void> {
    const changed = [...this.changed];
    this.changed.clear();
    for (const peerId of changed) {
      const listening = await this.deps.listenAddresses(peerId);
      const peer = this.deps.connectedRecord(peerId);
      if (peer === undefined) continue;
      const dialled = peer.direction === 'outbound' ? peer.addresses : [];
      this.deps.cache.seen(peerId, [...new Set([...dialled, ...listening])]);
    }
  }
}
