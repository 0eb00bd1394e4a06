// Peers that we were connected to, kept across restarts, so that a node comes back into the network without its bootstrap nodes.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { Logger } from '../../ports/log.ts';

const MAX_FILE_BYTES = 4 * 1024 * 1024;
const MAX_ADDRESSES = 8;

const cacheSchema = z.object({
  version: z.literal(1),
  peers: z
    .array(
      z.object({
        id: z.string().max(128),
        addresses: z.array(z.string().max(512)).max(MAX_ADDRESSES),
        lastSeenMs: z.number().int().nonnegative(),
      }),
    )
    .max(10_000),
});

export type CachedPeer = z.infer<typeof cacheSchema>['peers'][number];

export interface PeerCacheOptions {
  readonly file: string;
  /** `p2p_max_cached_peers`: those seen longest ago leave first. */
  readonly maxPeers: number;
  /** `p2p_peer_cache_ttl`. */
  readonly ttlMs: number;
}

export class PeerCache {
  private readonly log: Logger;
  private readonly nowMs: () => number;
  private readonly options: PeerCacheOptions;
  private readonly peers = new Map<string, CachedPeer>();
  private dirty = false;

  constructor(deps: { log: Logger; nowMs: () => number }, options: PeerCacheOptions) {
    this.log = deps.log;
    this.nowMs = deps.nowMs;
    this.options = options;
  }

  /** Reads the file; one that is missing is empty, one that is damaged is reported and left out. */
  async load(): Promise<readonly CachedPeer[]> {
    let text: Buffer;
    try {
      text = await readFile(this.options.file);
    } catch {
      return [];
    }
    try {
      if (text.length > MAX_FILE_BYTES) throw new Error('file too large');
      for (const peer of cacheSchema.parse(JSON.parse(text.toString('utf8'))).peers) this.peers.set(peer.id, peer);
    } catch (error) {
      this.log.warn({ file: this.options.file, err: error }, 'peer cache unreadable, starting without it');
    }
    this.prune();
    return [...this.peers.values()];
  }

  /** Notes that the peer is connected now, at addresses that we or the peer store know. */
  seen(id: string, addresses: readonly string[]): void {
    if (addresses.length === 0) return;
    this.peers.set(id, { id, addresses: addresses.slice(0, MAX_ADDRESSES), lastSeenMs: this.nowMs() });
    this.dirty = true;
    this.prune();
  }

  size(): number {
    return this.peers.size;
  }

  /** Writes the file whole and swaps it in; does nothing when nothing changed. Failures are logged. */
  async save(): Promise<void> {
    if (!this.dirty) return;
    this.dirty = false;
    this.prune();
    const next = `${this.options.file}.new`;
    try {
      await mkdir(dirname(this.options.file), { recursive: true });
      await writeFile(next, `${JSON.stringify({ version: 1, peers: [...this.peers.values()] })}\n`, { mode: 0o600 });
      await rename(next, this.options.file);
    } catch (error) {
      this.log.warn({ file: this.options.file, err: error }, 'peer cache not saved');
    }
  }

  private prune(): void {
    const oldestMs = this.nowMs() - this.options.ttlMs;
    for (const [id, peer] of this.peers) if (peer.lastSeenMs < oldestMs) this.peers.delete(id);
    if (this.peers.size <= this.options.maxPeers) return;
    const byAge = [...this.peers.values()].sort((a, b) => a.lastSeenMs - b.lastSeenMs);
    for (const peer of byAge.slice(0, this.peers.size - this.options.maxPeers)) this.peers.delete(peer.id);
  }
}
