// Wakes the clients of the feed when there are new events: in slices between which the event loop does other work, and
// within a budget of socket writes. What comes meanwhile is read in one piece.
import type { EventFeed } from '../../../domain/event-feed.ts';
import { WriteBudget } from '../websocket/write-budget.ts';

/** A client of the feed. */
export interface FeedClient {
  /** Takes what the feed has, unless it is blocked; must not throw. */
  pull(): void;
}

/** Clients without a pause: about two milliseconds. */
const SLICE = 100;

export class EventPump {
  private readonly now: () => number;
  private readonly budget = new WriteBudget();
  private readonly clients = new Set<FeedClient>();
  /** Whose turn it is in the round under way. */
  private turns: FeedClient[] = [];
  private hasNews = false;
  private cancel: (() => void) | undefined;
  private readonly unsubscribe: () => void;

  /** `now`: monotonic ms. */
  constructor(deps: { readonly feed: Pick<EventFeed, 'subscribe'>; readonly now: () => number }) {
    this.now = deps.now;
    this.unsubscribe = deps.feed.subscribe(() => {
      if (this.clients.size === 0) return;
      this.hasNews = true;
      this.schedule();
    });
  }

  /** Adds a client until the returned function is called. */
  join(client: FeedClient): () => void {
    this.clients.add(client);
    client.pull();
    return () => this.clients.delete(client);
  }

  stop(): void {
    this.unsubscribe();
    this.cancel?.();
    this.clients.clear();
  }

  private schedule(): void {
    if (this.cancel !== undefined) return;
    const delayMs = this.budget.delayMs(this.now());
    if (delayMs > 0) {
      const timer = setTimeout(() => this.slice(), Math.ceil(delayMs));
      this.cancel = () => clearTimeout(timer);
    } else {
      const immediate = setImmediate(() => this.slice());
      this.cancel = () => clearImmediate(immediate);
    }
  }

  private slice(): void {
    this.cancel = undefined;
    if (this.turns.length === 0) {
      this.hasNews = false;
      this.turns = [...this.clients];
    }
    const clients = this.turns.splice(0, SLICE);
    for (const client of clients) if (this.clients.has(client)) client.pull();
    this.budget.charge(clients.length, this.clients.size, this.now());
    if (this.hasNews || this.turns.length > 0) this.schedule();
  }
}
