// What was published, what the server said that it accepted, and what reached Kafka, message by message.

export type Kind = 'block' | 'subtree';

export interface Published {
  readonly kind: Kind;
  readonly publisher: string;
  readonly atMs: number;
}

interface Entry extends Published {
  acceptedMs?: number;
  isOnWebSocket?: boolean;
  records: number;
}

export interface Interval {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Balance {
  readonly published: number;
  /** Of those, told by the server as an event. */
  readonly accepted: number;
  /** Accepted and not in Kafka; hashes, 20 at most. */
  readonly lost: readonly string[];
  readonly lostCount: number;
  /** In Kafka and never told as an event. */
  readonly untold: number;
  /** Accepted and not sent over the WebSocket. */
  readonly missingOnWebSocket: number;
  /** Records beyond the first of a message: near a fault of the broker, which at-least-once delivery allows, or not. */
  readonly doublesAllowed: number;
  readonly doublesUnexplained: number;
  /** Not accepted: published while the publisher had no connection, or just before or after that, or not. */
  readonly unheard: number;
  readonly unheardUnexplained: number;
  /** Records of messages that were not published by number, such as those of the warm-up. */
  readonly otherRecords: number;
}

/** How long after a fault of the broker a message may be delivered once more. */
const REDELIVERY_MS = 60_000;
const MAX_NAMED = 20;

/** One entry for each message published: 72,000 in an hour at 20 messages per second. */
export class Ledger {
  private readonly entries = new Map<string, Entry>();
  private others = 0;

  publish(hash: string, published: Published): void {
    this.entries.set(hash, { ...published, records: 0 });
  }

  /** False for a hash that was not published by number. */
  accept(hash: string, atMs: number): boolean {
    const entry = this.entries.get(hash);
    if (entry === undefined) return false;
    entry.acceptedMs ??= atMs;
    return true;
  }

  onWebSocket(hash: string): void {
    const entry = this.entries.get(hash);
    if (entry !== undefined) entry.isOnWebSocket = true;
  }

  inKafka(hash: string): void {
    const entry = this.entries.get(hash);
    if (entry === undefined) this.others += 1;
    else entry.records += 1;
  }

  /** `outages`: when a publisher was not connected; `brokerFaults`: when the broker or the way to it was disturbed. */
  balance(outages: ReadonlyMap<string, readonly Interval[]>, brokerFaults: readonly Interval[]): Balance {
    const all = [...this.entries];
    const accepted = all.filter(([, { acceptedMs }]) => acceptedMs !== undefined);
    const lost = accepted.filter(([, { records }]) => records === 0).map(([hash]) => hash);
    const doubled = all.filter(([, { records }]) => records > 1);
    const allowed = doubled.filter(([, { atMs, acceptedMs = atMs }]) =>
      brokerFaults.some(
        ({ fromMs, toMs }) => acceptedMs >= fromMs - REDELIVERY_MS && acceptedMs <= toMs + REDELIVERY_MS,
      ),
    );
    const unheard = all.filter(([, { acceptedMs, records }]) => acceptedMs === undefined && records === 0);
    const explained = unheard.filter(([, { publisher, atMs }]) =>
      outages.get(publisher)?.some(({ fromMs, toMs }) => atMs >= fromMs && atMs <= toMs),
    );
    return {
      published: all.length,
      accepted: accepted.length,
      lost: lost.slice(0, MAX_NAMED),
      lostCount: lost.length,
      untold: all.filter(([, { acceptedMs, records }]) => acceptedMs === undefined && records > 0).length,
      missingOnWebSocket: accepted.filter(([, { isOnWebSocket }]) => isOnWebSocket !== true).length,
      doublesAllowed: extra(allowed),
      doublesUnexplained: extra(doubled) - extra(allowed),
      unheard: unheard.length,
      unheardUnexplained: unheard.length - explained.length,
      otherRecords: this.others,
    };
  }
}

function extra(entries: readonly (readonly [string, Entry])[]): number {
  return entries.reduce((sum, [, { records }]) => sum + records - 1, 0);
}
