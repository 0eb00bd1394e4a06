// The latest events of each type, so that a flood of one type leaves the others visible.
import type { FeedEvent } from './api-types.ts';

export interface FeedRow {
  /** Rises with each row; the key of its table row. */
  readonly order: number;
  readonly event: FeedEvent;
}

export interface FeedFilter {
  /** Empty: all types. */
  readonly types: ReadonlySet<string>;
  /** Part of the author's peer ID or client name; empty: all authors. */
  readonly author: string;
}

export class FeedWindow {
  private readonly maxPerType: number;
  private readonly byType = new Map<string, FeedRow[]>();
  private order = 0;
  private oldest = 0;

  constructor(maxPerType: number) {
    this.maxPerType = maxPerType;
  }

  add(event: FeedEvent): void {
    const rows = this.byType.get(event.type) ?? [];
    this.byType.set(event.type, rows);
    this.order += 1;
    rows.push({ order: this.order, event });
    // In steps, so that a full window does not move all its rows for each event.
    if (rows.length >= this.maxPerType * 2) rows.splice(0, rows.length - this.maxPerType);
  }

  /** Puts earlier events, latest first, below what is there. Those that came over the stream meanwhile are left out. */
  addEarlier(events: readonly FeedEvent[]): void {
    const known = new Set([...this.byType.values()].flat().map(({ event }) => sameness(event)));
    for (const event of events) {
      const rows = this.byType.get(event.type) ?? [];
      this.byType.set(event.type, rows);
      if (known.has(sameness(event)) || rows.length >= this.maxPerType) continue;
      this.oldest -= 1;
      rows.unshift({ order: this.oldest, event });
    }
  }

  /** The newest first, at most `max`. */
  rows(filter: FeedFilter, max: number): FeedRow[] {
    const author = filter.author.trim().toLowerCase();
    const kept = [...this.byType].flatMap(([type, rows]) =>
      filter.types.size === 0 || filter.types.has(type) || type === 'lost' ? rows.slice(-this.maxPerType) : [],
    );
    return kept
      .filter(({ event }) => author === '' || isBy(event, author))
      .sort((a, b) => b.order - a.order)
      .slice(0, max);
  }
}

function sameness({ type, hash, peerId, atMs }: FeedEvent): string {
  return `${type} ${hash ?? ''} ${peerId ?? ''} ${atMs ?? ''}`;
}

function isBy({ peerId, clientName }: FeedEvent, author: string): boolean {
  return [peerId, clientName].some((text) => text?.toLowerCase().includes(author) === true);
}
