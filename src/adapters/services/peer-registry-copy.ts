// The peers of the registry as last read. Reads overlap with writes: of two answers about a peer, that of the later
// request counts.
import type { PeerId } from '../../domain/ids.ts';
import { decayed } from '../../domain/score-decay.ts';
import { BoundedMap } from '../../lib/bounded-map.ts';
import type { Clock } from '../../ports/clock.ts';
import type { PeerRow } from './peer-registry-rows.ts';

/** As many as the registry of the service keeps. Of more, those that it lists last are left out. */
export const MAX_COPIED = 10_000;

interface Copied {
  readonly row: PeerRow;
  readonly turn: number;
}

interface ScoreAnswered {
  readonly score: number;
  readonly atMs: number;
  readonly turn: number;
}

export class PeersCopy {
  private readonly clock: Clock;
  private rows = new Map<PeerId, Copied>();
  /** Answers to offences, also of peers that the registry does not list. */
  private readonly scores = new BoundedMap<PeerId, ScoreAnswered>({ max: MAX_COPIED });
  private lastTurn = 0;
  private listed = 0;
  private isWhole = true;

  constructor({ clock }: { readonly clock: Clock }) {
    this.clock = clock;
  }

  get size(): number {
    return this.rows.size;
  }

  /** Turn of the request that the last list of all peers answered. */
  get listedTurn(): number {
    return this.listed;
  }

  /** False when the last list had more peers than are copied. */
  get isComplete(): boolean {
    return this.isWhole;
  }

  /** To be taken before a request is sent. */
  nextTurn(): number {
    this.lastTurn += 1;
    return this.lastTurn;
  }

  /** Takes a list of all peers. */
  replace(rows: readonly PeerRow[], turn: number): void {
    const fresh = new Map<PeerId, Copied>();
    for (const row of rows.slice(0, MAX_COPIED)) fresh.set(row.history.id, { row, turn });
    for (const [id, known] of this.rows)
      if (known.turn > turn && (fresh.has(id) || fresh.size < MAX_COPIED)) fresh.set(id, known);
    this.rows = fresh;
    this.listed = turn;
    this.isWhole = rows.length <= MAX_COPIED;
  }

  /** Takes the answer about one peer. */
  put(row: PeerRow, turn: number): void {
    const { id } = row.history;
    const known = this.rows.get(id);
    if (known === undefined ? this.rows.size < MAX_COPIED : known.turn <= turn) this.rows.set(id, { row, turn });
  }

  get(peerId: PeerId): PeerRow | undefined {
    return this.rows.get(peerId)?.row;
  }

  all(): PeerRow[] {
    return Array.from(this.rows.values(), ({ row }) => row);
  }

  /** Takes the answer to an offence. */
  scored(peerId: PeerId, score: number): void {
    this.scores.set(peerId, { score, atMs: this.clock.now(), turn: this.nextTurn() });
  }

  clearScores(): void {
    this.scores.clear();
    const turn = this.nextTurn();
    for (const [id, { row }] of this.rows) this.rows.set(id, { row: { ...row, score: 0 }, turn });
  }

  scoreOf(peerId: PeerId): number | undefined {
    const answered = this.scores.get(peerId);
    const copied = this.rows.get(peerId);
    if (answered === undefined || (copied !== undefined && copied.turn > answered.turn)) return copied?.row.score;
    return decayed(answered.score, answered.atMs, this.clock.now()).score;
  }
}
