// Peers that we were connected to, kept across restarts, so that a node comes back into the network without its bootstrap nodes. Peers
// choose their addresses, so each is judged when it comes in and again when it is read: one bad entry never costs the others.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { Logger } from '../../../ports/log.ts';
import { parsePeerId } from '../../../wire/peer-id.ts';
import { withPeerId } from '../addresses.ts';

/** What is written stays below it, so that it can always be read again. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const MAX_PEERS = 10_000;
const MAX_ADDRESSES = 8;
/** A domain name, a relay's id and the peer's own fit in. */
const MAX_ADDRESS_CHARS = 512;

const fileSchema = z.object({ version: z.literal(1), peers: z.array(z.unknown()) });
const peerSchema = z.object({
  id: z.string(),
  addresses: z.array(z.unknown()),
  lastSeenMs: z.number().int().nonnegative(),
});

export interface CachedPeer {
  readonly id: string;
  /** 1 to 8 multiaddrs of at most 512 characters that are this peer's. */
  readonly addresses: readonly string[];
  /** Unix ms. */
  readonly lastSeenMs: number;
}

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

  /** Reads the file; one that is missing is empty, one that is damaged is reported and left out, as is a single bad entry. */
  async load(): Promise<readonly CachedPeer[]> {
    let text: Buffer;
    try {
      text = await readFile(this.options.file);
    } catch {
      return [];
    }
    try {
      if (text.length > MAX_FILE_BYTES) throw new Error('file too large');
      this.take(fileSchema.parse(JSON.parse(text.toString('utf8'))).peers);
    } catch (error) {
      this.log.warn({ file: this.options.file, err: error }, 'peer cache unreadable, starting without it');
    }
    this.prune();
    return [...this.peers.values()];
  }

  private take(entries: readonly unknown[]): void {
    let dropped = Math.max(0, entries.length - MAX_PEERS);
    for (const entry of entries.slice(0, MAX_PEERS)) {
      const peer = this.checked(entry);
      if (peer === undefined) dropped += 1;
      else this.peers.set(peer.id, peer);
    }
    if (dropped > 0) this.log.warn({ file: this.options.file, dropped }, 'entries of the peer cache left out');
  }

  private checked(entry: unknown): CachedPeer | undefined {
    const parsed = peerSchema.safeParse(entry);
    if (!parsed.success) return undefined;
    const { id, addresses, lastSeenMs } = parsed.data;
    const texts = addresses.filter((address) => typeof address === 'string');
    // A clock that was ahead must not keep a peer for ever.
    return cachedPeer(id, texts, Math.min(lastSeenMs, this.nowMs()));
  }

  /** Notes that the peer is connected now, at addresses that we or the peer store know; those that make no sense are left out. */
  seen(id: string, addresses: readonly string[]): void {
    const peer = cachedPeer(id, addresses, this.nowMs());
    if (peer === undefined) return;
    this.peers.set(id, peer);
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
      await writeFile(next, this.text(), { mode: 0o600 });
      await rename(next, this.options.file);
    } catch (error) {
      this.log.warn({ file: this.options.file, err: error }, 'peer cache not saved');
    }
  }

  /** Those seen last, as many as a file may hold. */
  private text(): string {
    const head = '{"version":1,"peers":[';
    const tail = ']}\n';
    const kept: string[] = [];
    let bytes = head.length + tail.length;
    for (const peer of [...this.peers.values()].sort((a, b) => b.lastSeenMs - a.lastSeenMs)) {
      const entry = JSON.stringify(peer);
      bytes += Buffer.byteLength(entry) + 1;
      if (bytes > MAX_FILE_BYTES) break;
      kept.push(entry);
    }
    return `${head}${kept.join(',')}${tail}`;
  }

  private prune(): void {
    const oldestMs = this.nowMs() - this.options.ttlMs;
    for (const [id, peer] of this.peers) if (peer.lastSeenMs < oldestMs) this.peers.delete(id);
    if (this.peers.size <= this.options.maxPeers) return;
    const byAge = [...this.peers.values()].sort((a, b) => a.lastSeenMs - b.lastSeenMs);
    for (const peer of byAge.slice(0, this.peers.size - this.options.maxPeers)) this.peers.delete(peer.id);
  }
}

/** undefined when the id is none, or no address is one of this peer's. */
function cachedPeer(id: string, addresses: readonly string[], lastSeenMs: number): CachedPeer | undefined {
  if (parsePeerId(id) === undefined) return undefined;
  const good: string[] = [];
  for (const address of addresses) {
    if (good.length === MAX_ADDRESSES) break;
    if (address.length <= MAX_ADDRESS_CHARS && withPeerId(address, id) !== undefined) good.push(address);
  }
  return good.length === 0 ? undefined : { id, addresses: good, lastSeenMs };
}
