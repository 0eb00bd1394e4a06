// Peers that this node was connected to, kept across restarts, so that it rejoins the network without its bootstrap
// nodes. Peers choose their addresses, so each is checked when it is learned and again when it is read: one bad entry
// never costs the others. The file is written when something changed, and rarely otherwise, to keep the times of
// connected peers recent. It has a form of its own, or that of go-p2p-message-bus; both are read.
import { readFile } from 'node:fs/promises';
import { writePrivateFile } from '../../../lib/private-file.ts';
import type { Logger } from '../../../ports/log.ts';
import { parsePeerId } from '../../../wire/peer-id.ts';
import { withPeerId } from '../addresses.ts';
import type { PeerCacheOptions } from '../node-options.ts';
import type { CacheEntry } from './peer-cache-form.ts';

/** Files that are written stay below it, so that they can always be read. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const MAX_PEERS = 10_000;
const MAX_ADDRESSES = 8;
const MAX_NAME_CHARS = 128;

export interface CachedPeer {
  readonly id: string;
  /** What it calls itself; kept as it was read. */
  readonly name?: string;
  /** 1 to 8 multiaddrs of this peer, of at most 512 characters. */
  readonly addresses: readonly string[];
  /** Unix ms. */
  readonly lastSeenMs: number;
}

/**
 * How long the file may be out of date about when a connected peer was last seen: a tenth of what makes it expire, at
 * most this long.
 */
const MAX_REFRESH_MS = 3_600_000;

export class PeerCache {
  private readonly log: Logger;
  private readonly nowMs: () => number;
  private readonly options: PeerCacheOptions;
  private readonly peers = new Map<string, CachedPeer>();
  /** Peers that are connected now: as good as seen at this moment. */
  private readonly connected = new Set<string>();
  private isChanged = false;
  private savedAtMs: number;

  constructor(deps: { log: Logger; nowMs: () => number }, options: PeerCacheOptions) {
    this.log = deps.log;
    this.nowMs = deps.nowMs;
    this.options = options;
    this.savedAtMs = deps.nowMs();
  }

  /** Reads the file. A missing file is empty; a damaged one is logged and ignored, and so is a single bad entry. */
  async load(): Promise<readonly CachedPeer[]> {
    let text: Buffer;
    try {
      text = await readFile(this.options.file);
    } catch {
      return [];
    }
    try {
      if (text.length > MAX_FILE_BYTES) throw new Error(`the file has ${text.length} bytes, at most ${MAX_FILE_BYTES}`);
      // Its library is loaded by nodes that have such a file.
      const { entriesOf, peerOf } = await import('./peer-cache-form.ts');
      this.take(entriesOf(JSON.parse(text.toString('utf8'))).map(peerOf));
    } catch (error) {
      this.log.warn({ file: this.options.file, err: error }, 'failed to read the peer cache');
    }
    this.prune();
    return [...this.peers.values()];
  }

  private take(entries: readonly (CacheEntry | undefined)[]): void {
    let dropped = Math.max(0, entries.length - MAX_PEERS);
    for (const entry of entries.slice(0, MAX_PEERS)) {
      const peer = this.checked(entry);
      if (peer === undefined) dropped += 1;
      else this.peers.set(peer.id, peer);
    }
    if (dropped > 0) this.log.warn({ file: this.options.file, dropped }, 'ignored entries of the peer cache');
  }

  private checked(parsed: CacheEntry | undefined): CachedPeer | undefined {
    if (parsed === undefined) return undefined;
    const { id, name, addresses, lastSeenMs } = parsed;
    const texts = addresses.filter((address) => typeof address === 'string');
    // A clock that was ahead must not keep a peer forever.
    return cachedPeer({ id, name }, texts, Math.min(lastSeenMs, this.nowMs()));
  }

  /** The peer is connected, until `disconnected`, and has these addresses; invalid ones are ignored. */
  seen(id: string, addresses: readonly string[]): void {
    const before = this.peers.get(id);
    const peer = cachedPeer({ id, name: before?.name }, addresses, this.nowMs());
    if (peer === undefined) return;
    const known = before?.addresses ?? [];
    const isSame = known.length === peer.addresses.length && known.every((each, i) => each === peer.addresses[i]);
    if (!isSame || !this.connected.has(id)) this.isChanged = true;
    this.peers.set(id, peer);
    this.connected.add(id);
    this.prune();
  }

  disconnected(id: string): void {
    const peer = this.peers.get(id);
    if (!this.connected.delete(id) || peer === undefined) return;
    this.peers.set(id, { ...peer, lastSeenMs: this.nowMs() });
    this.isChanged = true;
  }

  size(): number {
    return this.peers.size;
  }

  /**
   * Writes the file as a whole and swaps it in, if something changed or its times are out of date. Failures are logged.
   */
  async save(): Promise<void> {
    if (!this.isChanged && !this.isOutOfDate()) return;
    await this.write();
  }

  /** Before a stop: as `save`, and with the times of now for peers that are connected. */
  async saveLast(): Promise<void> {
    if (this.isChanged || this.connected.size > 0) await this.write();
  }

  private isOutOfDate(): boolean {
    const refreshMs = Math.min(MAX_REFRESH_MS, this.options.ttlMs / 10);
    return this.connected.size > 0 && this.nowMs() - this.savedAtMs >= refreshMs;
  }

  private async write(): Promise<void> {
    this.isChanged = false;
    this.savedAtMs = this.nowMs();
    this.prune();
    try {
      await writePrivateFile(this.options.file, this.text(), { isDurable: false });
    } catch (error) {
      this.isChanged = true;
      this.log.warn({ file: this.options.file, err: error }, 'failed to write the peer cache');
    }
  }

  /** Peers seen last, as many as a file may hold. */
  private text(): string {
    const isBus = this.options.format === 'message-bus';
    const [head, tail] = isBus ? ['[', ']\n'] : ['{"version":1,"peers":[', ']}\n'];
    const kept: string[] = [];
    let bytes = head.length + tail.length;
    for (const peer of [...this.peers.values()].sort((a, b) => this.byLastSeen(b, a))) {
      const lastSeenMs = this.connected.has(peer.id) ? this.nowMs() : peer.lastSeenMs;
      const entry = JSON.stringify(isBus ? busEntry(peer, lastSeenMs) : { ...peer, lastSeenMs });
      bytes += Buffer.byteLength(entry) + 1;
      if (bytes > MAX_FILE_BYTES) break;
      kept.push(entry);
    }
    return `${head}${kept.join(',')}${tail}`;
  }

  private prune(): void {
    const oldestMs = this.nowMs() - this.options.ttlMs;
    for (const [id, peer] of this.peers)
      if (peer.lastSeenMs < oldestMs && !this.connected.has(id)) this.peers.delete(id);
    if (this.peers.size <= this.options.maxPeers) return;
    const oldestFirst = [...this.peers.values()].sort((a, b) => this.byLastSeen(a, b));
    for (const peer of oldestFirst.slice(0, this.peers.size - this.options.maxPeers)) this.peers.delete(peer.id);
  }

  private byLastSeen(a: CachedPeer, b: CachedPeer): number {
    return Number(this.connected.has(a.id)) - Number(this.connected.has(b.id)) || a.lastSeenMs - b.lastSeenMs;
  }
}

/** In the order of fields, and with the times, of Go. */
function busEntry({ id, name, addresses }: CachedPeer, lastSeenMs: number) {
  return { id, ...(name && { name }), addrs: addresses, last_seen: new Date(lastSeenMs).toISOString() };
}

/** undefined when the ID is invalid, or none of the addresses is one of this peer. */
function cachedPeer(
  { id, name }: { readonly id: string; readonly name: string | undefined },
  addresses: readonly string[],
  lastSeenMs: number,
): CachedPeer | undefined {
  if (parsePeerId(id) === undefined) return undefined;
  const good: string[] = [];
  for (const address of addresses) {
    if (good.length === MAX_ADDRESSES) break;
    if (withPeerId(address, id) !== undefined) good.push(address);
  }
  if (good.length === 0) return undefined;
  return { id, ...(name && { name: name.slice(0, MAX_NAME_CHARS) }), addresses: good, lastSeenMs };
}
