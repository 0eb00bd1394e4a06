// Without a DHT a node learns where others are from its neighbours: it asks them for the addresses of authors whose
// messages reach it and who are not connected. Authors cost nothing to invent and answers are not proven, so all of it is
// bounded, and after the first attempt the neighbours that are asked are drawn at random.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../../../domain/ids.ts';
import { type Repeating, repeating } from '../../../lib/repeating.ts';
import type { Logger } from '../../../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';

/** The network has some hundred nodes. */
const MAX_AUTHORS = 1000;
export const LOOKUP_INTERVAL_MS = 15_000;
/** Until an author is asked for again that is still not connected. */
export const RETRY_MS = 5 * 60_000;
/** With the neighbours asked for each: a fifth of the 512 requests a minute that a peer allows, were it asked each time. */
const MAX_LOOKUPS = 32;
const MAX_ASKED = 4;

interface Author {
  /** The neighbour that handed over the last message. */
  receivedFrom: PeerId;
  nextAtMs: number;
  lookups: number;
}

export interface AddressLookupsDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  readonly random: () => number;
  /** False for this node itself, for connected peers, and when enough peers are connected. */
  readonly isWanted: (peerId: PeerId) => boolean;
  /** Connected peers that speak the protocol. */
  readonly neighbours: () => readonly PeerId[];
  /** Addresses of the wanted peer that may be dialled. Settles within its own deadline. */
  readonly ask: (neighbour: PeerId, wanted: PeerId, signal: AbortSignal) => Promise<readonly string[]>;
  readonly found: (peerId: PeerId, addresses: readonly string[]) => void;
}

export class AddressLookups {
  private readonly deps: AddressLookupsDependencies;
  private readonly outcomes: Counter;
  private readonly authors = new LRUCache<PeerId, Author>({ max: MAX_AUTHORS });
  private readonly underWay = new Set<PeerId>();
  private loop: Repeating | undefined;

  constructor(deps: AddressLookupsDependencies) {
    this.deps = deps;
    const { metrics } = deps;
    this.outcomes = metrics.counter(
      'teranode_p2p_address_lookups_total',
      'Authors whose addresses were asked for, by outcome',
      ['outcome'],
    );
    for (const outcome of ['found', 'unknown']) this.outcomes.add(0, { outcome });
    const authors = { name: 'teranode_p2p_heard_authors', help: 'Authors of recent messages' };
    gaugeWithBound(metrics, authors, () => this.authors.size, MAX_AUTHORS);
    const running = {
      name: 'teranode_p2p_address_lookups_running',
      help: 'Authors whose addresses are being asked for',
    };
    gaugeWithBound(metrics, running, () => this.underWay.size, MAX_LOOKUPS);
  }

  /** A valid message of the author arrived. */
  heard(peerId: PeerId, receivedFrom: PeerId): void {
    const author = this.authors.get(peerId);
    if (author === undefined) this.authors.set(peerId, { receivedFrom, nextAtMs: 0, lookups: 0 });
    else author.receivedFrom = receivedFrom;
  }

  start(): void {
    const times = { firstMs: LOOKUP_INTERVAL_MS, nextMs: () => LOOKUP_INTERVAL_MS };
    this.loop ??= repeating(
      async (signal) => this.lookUpDue(signal),
      times,
      (error) => this.deps.log.warn({ err: error }, 'failed to look up addresses of authors'),
    );
  }

  stop(): void {
    this.loop?.stop();
  }

  /** Begins look-ups and does not wait for them: a neighbour that does not answer delays nobody else. */
  private lookUpDue(signal: AbortSignal): void {
    const nowMs = this.deps.nowMs();
    for (const [peerId, author] of this.authors.entries()) {
      if (this.underWay.size >= MAX_LOOKUPS) return;
      if (author.nextAtMs > nowMs || this.underWay.has(peerId) || !this.deps.isWanted(peerId)) continue;
      author.nextAtMs = nowMs + RETRY_MS;
      this.underWay.add(peerId);
      void this.lookUp(peerId, author, signal).finally(() => this.underWay.delete(peerId));
    }
  }

  private async lookUp(peerId: PeerId, author: Author, signal: AbortSignal): Promise<void> {
    for (const neighbour of this.neighboursFor(peerId, author)) {
      const addresses = await this.ask(neighbour, peerId, signal);
      if (signal.aborted) return;
      if (addresses.length === 0) continue;
      this.outcomes.add(1, { outcome: 'found' });
      this.deps.found(peerId, addresses);
      return;
    }
    this.outcomes.add(1, { outcome: 'unknown' });
  }

  /** First the one that handed over the author's message, which may be connected to it; later anybody. */
  private neighboursFor(peerId: PeerId, author: Author): readonly PeerId[] {
    const { neighbours, random } = this.deps;
    const drawn = neighbours()
      .filter((id) => id !== peerId)
      .map((id) => ({ id, rank: author.lookups === 0 && id === author.receivedFrom ? -1 : random() }))
      .sort((a, b) => a.rank - b.rank);
    author.lookups += 1;
    return drawn.slice(0, MAX_ASKED).map(({ id }) => id);
  }

  private async ask(neighbour: PeerId, wanted: PeerId, signal: AbortSignal): Promise<readonly string[]> {
    try {
      return await this.deps.ask(neighbour, wanted, signal);
    } catch (error) {
      this.deps.log.debug({ err: error, neighbour, wanted }, 'failed to ask for addresses');
      return [];
    }
  }
}
