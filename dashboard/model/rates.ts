// How many events of each type came per second in the last minutes, counted in slots of some seconds.

export class Rates {
  private readonly names: readonly string[];
  private readonly slotMs: number;
  private readonly slots: number;
  private readonly counts: Map<string, Float64Array>;
  private current: number;
  private first: number;

  /** Counts the events of `names`, in the last `slots` slots of `slotMs`. */
  constructor(names: readonly string[], options: { readonly slotMs: number; readonly slots: number; nowMs: number }) {
    this.names = names;
    this.slotMs = options.slotMs;
    this.slots = options.slots;
    this.counts = new Map(names.map((name) => [name, new Float64Array(options.slots)]));
    this.current = Math.floor(options.nowMs / options.slotMs);
    this.first = this.current;
  }

  /** Names that are not counted are ignored. */
  count(name: string, nowMs: number, events = 1): void {
    this.moveTo(nowMs);
    const counts = this.counts.get(name);
    if (counts !== undefined) counts[this.current % this.slots] = (counts[this.current % this.slots] ?? 0) + events;
  }

  /** Unix seconds, then per name events per second; complete slots only, oldest first. */
  series(nowMs: number): number[][] {
    this.moveTo(nowMs);
    const from = Math.max(this.first, this.current - this.slots + 1);
    const slots = Array.from({ length: this.current - from }, (_each, i) => from + i);
    const seconds = this.slotMs / 1000;
    return [
      slots.map((slot) => slot * seconds),
      ...this.names.map((name) => slots.map((slot) => (this.counts.get(name)?.[slot % this.slots] ?? 0) / seconds)),
    ];
  }

  private moveTo(nowMs: number): void {
    const target = Math.floor(nowMs / this.slotMs);
    if (target - this.current >= this.slots) this.first = Math.max(this.first, target - this.slots + 1);
    const from = Math.max(this.current + 1, target - this.slots + 1);
    for (let slot = from; slot <= target; slot += 1)
      for (const counts of this.counts.values()) counts[slot % this.slots] = 0;
    this.current = Math.max(this.current, target);
  }
}
