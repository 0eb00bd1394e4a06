// Headers of our own chain for operators. The blockchain service is asked for one header at a time, and for none that is
// remembered: however often operators ask, an answer costs it little.
import { LRUCache } from 'lru-cache';
import type { BlockHash } from '../domain/ids.ts';
import { withDeadline } from '../lib/deadline.ts';
import { P2PError } from '../lib/errors.ts';
import { MAX_HEADERS } from '../ports/admin-api.ts';
import type { BlockHeaderRecord } from '../ports/blockchain-client.ts';
import type { Metrics } from '../ports/metrics.ts';
import { parseHash } from '../wire/hash.ts';
import { parseHeader } from '../wire/header.ts';

export interface ChainHeaderSources {
  /** At most a second old. Throws what the service throws. */
  readonly bestHeader: () => Promise<BlockHeaderRecord>;
  readonly header: (hash: BlockHash) => Promise<BlockHeaderRecord | undefined>;
  readonly metrics: Pick<Metrics, 'gauge'>;
}

/** Twice what one answer has: two lists that begin at different blocks. */
const MAX_REMEMBERED = 2 * MAX_HEADERS;
/** A block may turn out invalid later. */
const REMEMBERED_MS = 60_000;
/** Of a whole answer; shorter than the deadline of a call. */
const DEADLINE_MS = 8000;

export class ChainHeaders {
  private readonly sources: ChainHeaderSources;
  private readonly known = new LRUCache<BlockHash, BlockHeaderRecord>({ max: MAX_REMEMBERED, ttl: REMEMBERED_MS });

  constructor(sources: ChainHeaderSources) {
    this.sources = sources;
    const help = 'Headers of our own chain that are remembered for operators';
    sources.metrics.gauge('teranode_p2p_shown_headers', help, () => this.known.size);
  }

  /** See `AdminApi.headers`. */
  async list(block: string, count: number): Promise<readonly BlockHeaderRecord[]> {
    const ended = new AbortController();
    try {
      return await withDeadline(this.newestFirst(block, count, ended.signal), DEADLINE_MS);
    } finally {
      ended.abort();
    }
  }

  private async newestFirst(block: string, count: number, signal: AbortSignal): Promise<BlockHeaderRecord[]> {
    const first = await this.find(block, signal);
    return first === undefined ? [] : await this.withParents(first, count, signal);
  }

  private async find(block: string, signal: AbortSignal): Promise<BlockHeaderRecord | undefined> {
    const hash = parseHash(block);
    if (hash !== undefined) return await this.read(hash as BlockHash);
    const height = block === '' ? undefined : heightOf(block);
    const best = await this.sources.bestHeader();
    const below = height === undefined ? 0 : best.height - height;
    if (below >= MAX_HEADERS) {
      const lowest = best.height - MAX_HEADERS + 1;
      throw new P2PError(
        'INPUT_INVALID',
        `block ${height} is too far below the tip (expected a height from ${lowest} to ${best.height}, or a hash)`,
      );
    }
    return below < 0 ? undefined : (await this.withParents(best, below + 1, signal))[below];
  }

  /** Fewer where a header is missing. */
  private async withParents(first: BlockHeaderRecord, count: number, signal: AbortSignal) {
    const headers = [first];
    for (let last = first; headers.length < count && last.height > 0 && !signal.aborted; ) {
      const previous = parseHeader(last.header)?.previousHash;
      const parent = previous === undefined ? undefined : await this.read(previous);
      if (parent === undefined) break;
      headers.push(parent);
      last = parent;
    }
    return headers;
  }

  private async read(hash: BlockHash): Promise<BlockHeaderRecord | undefined> {
    const record = this.known.get(hash) ?? (await this.sources.header(hash));
    if (record !== undefined) this.known.set(hash, record, { noUpdateTTL: true });
    return record;
  }
}

/** Throws INPUT_INVALID. */
function heightOf(text: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new P2PError(
    'INPUT_INVALID',
    `invalid block ${JSON.stringify(text.slice(0, 128))} (expected a hash of 64 hex digits, or a height)`,
  );
}
