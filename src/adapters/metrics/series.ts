// One set of numbers for each combination of label values. A hot one costs a look-up.
import type { Labels } from '../../ports/metrics.ts';

export class SeriesMap<T> {
  private readonly labelNames: readonly string[];
  private readonly create: (labels: Record<string, string>) => T;
  private readonly all = new Map<string, T>();

  constructor(labelNames: readonly string[], create: (labels: Record<string, string>) => T) {
    this.labelNames = labelNames;
    this.create = create;
  }

  of(labels: Labels | undefined): T {
    let key = '';
    for (const name of this.labelNames) key += `${labels?.[name] ?? ''}\u0000`;
    let series = this.all.get(key);
    if (series === undefined) {
      series = this.create(Object.fromEntries(this.labelNames.map((name) => [name, labels?.[name] ?? ''])));
      this.all.set(key, series);
    }
    return series;
  }

  values(): IterableIterator<T> {
    return this.all.values();
  }
}
