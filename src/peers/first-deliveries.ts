// The league of neighbours by first delivery: who brings us valid blocks and subtrees before all others, and how far
// behind the others are. Numbers in arrays by neighbour, and no object per message. What counts is the first
// announcement of a hash, by an author other than the neighbour itself: an announcement of its own always comes from it
// first. How announcements spread (`Propagation`) has those too.
import type { PeerId } from '../domain/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { DeliveryRecord, DeliveryStanding, LeagueRow } from '../ports/deliveries.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../ports/metrics.ts';
import type { FirstAnnouncement } from '../ports/propagation.ts';
import type { Propagation } from './propagation.ts';

export interface FirstDeliveriesDependencies {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Whether the neighbour has a ban score: it is then never preferred. */
  readonly isPenalized: (neighbour: PeerId) => boolean;
  readonly propagation: Pick<Propagation, 'announced' | 'identified' | 'repeated'>;
}

/** Several times the connections that a node keeps; then the one with the fewest deliveries is forgotten. */
export const MAX_NEIGHBOURS = 1024;
/** A delivery counts half after this time. */
export const HALF_LIFE_MS = 3_600_000;
/** A later delivery than this says nothing of the way that it took. */
export const MAX_DELAY_MS = 10_000;
/** First deliveries (decayed) before anybody is preferred: fewer are chance. */
export const MIN_EVIDENCE = 20;
/** A smaller share is not preferred, so at most 20 neighbours are. */
export const MIN_SHARE = 0.05;
/** The weight of a delivery is computed again after this time. */
const WEIGHT_MS = 1000;
/** Half-lives after which all sums are scaled down, long before they lose digits. */
const MAX_HALF_LIVES = 32;

export class FirstDeliveries implements DeliveryRecord {
  counted = 0;
  wasByAuthor = false;
  private readonly deps: FirstDeliveriesDependencies;
  private readonly counters: { readonly first: Counter; readonly later: Counter; readonly delays: Counter };
  private readonly evicted: Counter;
  private readonly rows = new Map<PeerId, number>();
  private readonly free: number[] = [];
  /** Sums by row. Instead of the sums shrinking with time, each delivery weighs more than the one before. */
  private readonly firsts = new Float64Array(MAX_NEIGHBOURS);
  private readonly laters = new Float64Array(MAX_NEIGHBOURS);
  private readonly delays = new Float64Array(MAX_NEIGHBOURS);
  private allFirsts = 0;
  private weight = 1;
  private weighedAtMs: number;
  private beganAtMs: number;

  constructor(deps: FirstDeliveriesDependencies) {
    const { clock, metrics } = deps;
    this.deps = deps;
    this.beganAtMs = clock.monotonic();
    this.weighedAtMs = this.beganAtMs;
    this.counters = {
      first: metrics.counter(
        'teranode_p2p_first_deliveries_total',
        'Valid blocks and subtrees that a neighbour other than their author was the first to deliver',
      ),
      later: metrics.counter(
        'teranode_p2p_later_deliveries_total',
        'Repeated deliveries of such announcements by other neighbours',
      ),
      delays: metrics.counter(
        'teranode_p2p_later_delivery_delay_seconds_total',
        'Sum of the delays of repeated deliveries behind the first, in seconds; at most 10 s each',
      ),
    };
    this.evicted = metrics.counter(
      'teranode_p2p_delivering_neighbours_evicted_total',
      'Neighbours whose deliveries were forgotten because there were too many',
    );
    const gauge = { name: 'teranode_p2p_delivering_neighbours', help: 'Neighbours whose deliveries are remembered' };
    gaugeWithBound(metrics, gauge, () => this.rows.size, MAX_NEIGHBOURS);
  }

  /** Called with the first valid announcement of a hash. */
  deliveredFirst(announcement: FirstAnnouncement): void {
    const { author, receivedFrom: neighbour } = announcement;
    this.deps.propagation.announced(announcement);
    this.counted += 1;
    this.wasByAuthor = neighbour === author;
    if (this.wasByAuthor) return;
    const weight = this.weightNow();
    const row = this.rowOf(neighbour);
    this.firsts[row] = (this.firsts[row] as number) + weight;
    this.allFirsts += weight;
    this.counters.first.add();
  }

  identified(low: number, high: number): void {
    this.deps.propagation.identified(low, high);
  }

  deliveredLater(neighbour: PeerId, delayMs: number, isByAuthor: boolean, low: number, high: number): void {
    this.deps.propagation.repeated(neighbour, delayMs, low, high);
    if (isByAuthor) return;
    const weight = this.weightNow();
    const row = this.rowOf(neighbour);
    const boundedMs = Math.min(Math.max(delayMs, 0), MAX_DELAY_MS);
    this.laters[row] = (this.laters[row] as number) + weight;
    this.delays[row] = (this.delays[row] as number) + weight * boundedMs;
    this.counters.later.add();
    this.counters.delays.add(boundedMs / 1000);
  }

  /** What it delivered first proved invalid: that was no service. */
  takeBack(neighbour: PeerId): void {
    const row = this.rows.get(neighbour);
    if (row === undefined) return;
    const amount = Math.min(this.weightNow(), this.firsts[row] as number);
    this.firsts[row] = (this.firsts[row] as number) - amount;
    this.allFirsts -= amount;
  }

  preferenceOf(neighbour: PeerId): number {
    const row = this.rows.get(neighbour);
    const weight = this.weightNow();
    if (row === undefined || this.allFirsts < MIN_EVIDENCE * weight) return 0;
    const share = this.shareOf(row);
    return share < MIN_SHARE || this.deps.isPenalized(neighbour) ? 0 : share;
  }

  /** undefined for a peer that has delivered nothing that counts. */
  standingOf(neighbour: PeerId): DeliveryStanding | undefined {
    const row = this.rows.get(neighbour);
    return row === undefined ? undefined : this.standing(row);
  }

  /** The greatest share first, then the shortest delay; also neighbours that left within the last hours. */
  table(): LeagueRow[] {
    const delayOf = ({ meanDelayMs }: LeagueRow) => meanDelayMs ?? Number.MAX_VALUE;
    return [...this.rows]
      .map(([peerId, row]) => ({ peerId, ...this.standing(row) }))
      .sort((a, b) => b.firstDeliveryShare - a.firstDeliveryShare || delayOf(a) - delayOf(b));
  }

  private standing(row: number): DeliveryStanding {
    const weight = this.weightNow();
    const later = this.laters[row] as number;
    return {
      firstDeliveries: (this.firsts[row] as number) / weight,
      laterDeliveries: later / weight,
      firstDeliveryShare: this.shareOf(row),
      meanDelayMs: later > 0 ? (this.delays[row] as number) / later : undefined,
    };
  }

  private shareOf(row: number): number {
    return this.allFirsts > 0 ? Math.min(1, (this.firsts[row] as number) / this.allFirsts) : 0;
  }

  private rowOf(neighbour: PeerId): number {
    const known = this.rows.get(neighbour);
    if (known !== undefined) return known;
    if (this.rows.size >= MAX_NEIGHBOURS) this.evict();
    const row = this.free.pop() ?? this.rows.size;
    this.rows.set(neighbour, row);
    return row;
  }

  private evict(): void {
    let least: PeerId | undefined;
    let fewest = Number.POSITIVE_INFINITY;
    for (const [neighbour, row] of this.rows) {
      const deliveries = (this.firsts[row] as number) + (this.laters[row] as number);
      if (deliveries >= fewest) continue;
      fewest = deliveries;
      least = neighbour;
    }
    if (least === undefined) return;
    const row = this.rows.get(least) as number;
    this.rows.delete(least);
    this.allFirsts -= this.firsts[row] as number;
    this.firsts[row] = 0;
    this.laters[row] = 0;
    this.delays[row] = 0;
    this.free.push(row);
    this.evicted.add();
  }

  /** What a delivery weighs now. */
  private weightNow(): number {
    const nowMs = this.deps.clock.monotonic();
    if (nowMs - this.weighedAtMs < WEIGHT_MS) return this.weight;
    this.weighedAtMs = nowMs;
    const halfLives = (nowMs - this.beganAtMs) / HALF_LIFE_MS;
    this.weight = 2 ** halfLives;
    if (halfLives >= MAX_HALF_LIVES) this.scaleDown(nowMs);
    return this.weight;
  }

  private scaleDown(nowMs: number): void {
    const factor = 1 / this.weight;
    this.allFirsts = 0;
    for (const sums of [this.firsts, this.laters, this.delays])
      for (const row of this.rows.values()) sums[row] = (sums[row] as number) * factor;
    for (const row of this.rows.values()) this.allFirsts += this.firsts[row] as number;
    this.beganAtMs = nowMs;
    this.weight = 1;
  }
}
