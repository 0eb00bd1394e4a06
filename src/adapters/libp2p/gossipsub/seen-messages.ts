// IDs of the messages seen within the last two minutes; they reveal a duplicate before its signature is verified. Kept
// in generations, so that forgetting costs nothing, and bounded in number, so that a flood cannot fill memory. Of an ID
// 16 bytes are kept: 64 bits of a keyed hash, and its last 8 bytes, the sequence number. Beside it stands when it was
// first delivered, where that counts for the league of neighbours.
import { CompactMap } from '../../../lib/compact-map.ts';
import { KeyedHash } from '../../../lib/keyed-hash.ts';
import type { Clock } from '../../../ports/clock.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';

export interface SeenMessagesOptions {
  /** An ID is kept at least this long, and at most a third longer, unless there are too many. */
  readonly keepMs: number;
  /** Maximum number of IDs; beyond it the oldest generation is forgotten early. */
  readonly maxIds: number;
}

/** The current generation and the three before it. */
const GENERATIONS = 4;
const SEQNO_BYTES = 8;
const KEY_WORDS = 4;
const NONE = -1;
/** When the message was first delivered, in ms, and in the lowest bit whether by its author. */
const VALUE_WORDS = 1;
/** The longest ID that options.ts makes. */
const MAX_ID_BYTES = 128;
/** A generation that used less than this share of its memory begins small when it is used again. */
const KEPT_SHARE = 1 / 8;

export class SeenMessages {
  private readonly clock: Clock;
  private readonly options: SeenMessagesOptions;
  private readonly evicted: Counter;
  private readonly hash = new KeyedHash();
  /** Newest first. */
  private generations: CompactMap[];
  private bornAtMs: number;
  /** The ID that is looked up, as bytes and as words; 0 behind its end. */
  private readonly id = new Uint8Array(MAX_ID_BYTES + SEQNO_BYTES);
  private readonly idWords = new Int32Array(this.id.buffer);
  private readonly idView = new DataView(this.id.buffer);
  private idBytes = 0;
  /** Its text, when it was read as one: the same ID is often looked up and then remembered. */
  private idText: string | undefined;
  private readonly key = new Int32Array(KEY_WORDS);
  /** Its sequence number, when it was read in parts: the same ID is often remembered and then noted. */
  private idSeqno: Uint8Array | undefined;
  /** Where the ID that was looked up or remembered last stands. */
  private foundIn: CompactMap | undefined;
  private foundRow = 0;

  constructor(deps: { readonly clock: Clock; readonly metrics: Metrics }, options: SeenMessagesOptions) {
    this.clock = deps.clock;
    this.options = options;
    this.generations = [this.emptyGeneration()];
    this.bornAtMs = deps.clock.monotonic();
    this.evicted = deps.metrics.counter(
      'teranode_p2p_seen_evicted_total',
      'Message IDs forgotten early because there were too many',
    );
    gaugeWithBound(
      deps.metrics,
      { name: 'teranode_p2p_seen_entries', boundName: 'teranode_p2p_seen_bound', help: 'Message IDs remembered' },
      () => this.size,
      options.maxIds,
    );
  }

  get size(): number {
    return this.generations.reduce((sum, generation) => sum + generation.size, 0);
  }

  /** `id`: one character per byte (latin1), as gossipsub gets it from options.ts. */
  has(id: string): boolean {
    this.readText(id);
    return this.isKnown();
  }

  /** The same for the ID of a message in its parts: the author's multihash, and 8 bytes of sequence number. */
  hasId(author: Uint8Array, seqno: Uint8Array): boolean {
    this.readParts(author, seqno);
    return this.isKnown();
  }

  put(id: string): void {
    this.readText(id);
    this.remember();
  }

  putId(author: Uint8Array, seqno: Uint8Array): void {
    this.readParts(author, seqno);
    this.remember();
  }

  /** Notes that this remembered message, delivered just now, counts as a first delivery; `isByAuthor`: of its author. */
  noteDelivery(author: Uint8Array, seqno: Uint8Array, isByAuthor: boolean): void {
    // The author's bytes are those of the same message.
    if (this.idSeqno !== seqno && !this.hasId(author, seqno)) return;
    // 0 stands for a message that does not count.
    const value = (Math.round(this.clock.monotonic()) << 1) | (isByAuthor ? 1 : 0);
    this.foundIn?.setValue(this.foundRow, 0, value || 2);
  }

  /** Ms since the first delivery of the message that was found last; undefined when it does not count. */
  get deliveryAgeMs(): number | undefined {
    const deliveredAt = this.foundIn?.value(this.foundRow, 0) ?? 0;
    if (deliveredAt === 0) return undefined;
    return Math.max(0, (((Math.round(this.clock.monotonic()) << 1) - (deliveredAt & ~1)) | 0) >> 1);
  }

  /** Whether the author made the first delivery of the message that was found last. */
  get isByAuthor(): boolean {
    return ((this.foundIn?.value(this.foundRow, 0) ?? 0) & 1) === 1;
  }

  /** Two halves of a keyed hash of the ID that was looked up last. */
  get hashLow(): number {
    return this.key[0] as number;
  }

  get hashHigh(): number {
    return this.key[1] as number;
  }

  /** Called at each heartbeat of gossipsub: begins a new generation when it is time. */
  prune(): void {
    if (this.clock.monotonic() - this.bornAtMs >= this.options.keepMs / (GENERATIONS - 1)) this.beginGeneration('time');
  }

  clear(): void {
    this.generations = [this.emptyGeneration()];
    this.foundIn = undefined;
  }

  private readText(id: string): void {
    if (id === this.idText) return;
    const bytes = Math.min(id.length, MAX_ID_BYTES);
    for (let i = 0; i < bytes; i += 1) this.id[i] = id.charCodeAt(i);
    this.endId(bytes, id, undefined);
  }

  private readParts(author: Uint8Array, seqno: Uint8Array): void {
    const authorBytes = Math.min(author.length, MAX_ID_BYTES);
    const bytes = Math.min(authorBytes + seqno.length, MAX_ID_BYTES);
    for (let i = 0; i < authorBytes; i += 1) this.id[i] = author[i] as number;
    for (let i = authorBytes; i < bytes; i += 1) this.id[i] = seqno[i - authorBytes] as number;
    this.endId(bytes, undefined, seqno);
  }

  /** Makes the key of the ID that was read. */
  private endId(bytes: number, text: string | undefined, seqno: Uint8Array | undefined): void {
    this.idText = text;
    this.idSeqno = seqno;
    if (bytes < this.idBytes) this.id.fill(0, bytes, this.idBytes);
    this.idBytes = bytes;
    this.hash.update(this.idWords, 0, bytes);
    this.key[0] = this.hash.low;
    this.key[1] = this.hash.high;
    const at = Math.max(0, bytes - SEQNO_BYTES);
    this.key[2] = this.idView.getInt32(at);
    this.key[3] = this.idView.getInt32(at + 4);
  }

  private isKnown(): boolean {
    for (const generation of this.generations) {
      const row = generation.find(this.key);
      if (row < 0) continue;
      this.foundIn = generation;
      this.foundRow = row;
      return true;
    }
    return false;
  }

  private remember(): void {
    const [current] = this.generations;
    const known = current?.find(this.key) ?? NONE;
    if (known === NONE && (current === undefined || current.size >= this.maxOfGeneration)) this.beginGeneration('full');
    this.foundIn = this.generations[0];
    this.foundRow = known === NONE ? (this.foundIn?.add(this.key) ?? 0) : known;
  }

  private get maxOfGeneration(): number {
    return Math.max(1, Math.floor(this.options.maxIds / GENERATIONS));
  }

  private beginGeneration(reason: 'time' | 'full'): void {
    this.bornAtMs = this.clock.monotonic();
    this.foundIn = undefined;
    const oldest = this.generations.length === GENERATIONS ? this.generations.pop() : undefined;
    if (reason === 'full' && oldest !== undefined) this.evicted.add(oldest.size);
    this.generations.unshift(this.reused(oldest) ?? this.emptyGeneration());
  }

  /** The forgotten generation, emptied: steady traffic then needs no new memory. */
  private reused(oldest: CompactMap | undefined): CompactMap | undefined {
    if (oldest === undefined || oldest.size < oldest.rows.capacity * KEPT_SHARE) return undefined;
    oldest.clear();
    return oldest;
  }

  private emptyGeneration(): CompactMap {
    const options = { keyWords: KEY_WORDS, valueWords: VALUE_WORDS, hasHashedKeys: true };
    return new CompactMap({ ...options, maxEntries: this.maxOfGeneration });
  }
}
