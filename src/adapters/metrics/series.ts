// One set of numbers per combination of label values. Finding one costs one look-up per label and builds no text.
import type { Labels } from '../../ports/metrics.ts';

/** The series that begin with the same label values. */
interface Branch<T> {
  readonly next: Map<string, Branch<T>>;
  series: T | undefined;
}

export class SeriesMap<T> {
  private readonly labelNames: readonly string[];
  private readonly create: (labels: Record<string, string>) => T;
  private readonly root: Branch<T> = { next: new Map(), series: undefined };
  private readonly all: T[] = [];

  constructor(labelNames: readonly string[], create: (labels: Record<string, string>) => T) {
    this.labelNames = labelNames;
    this.create = create;
  }

  of(labels: Labels | undefined): T {
    let branch = this.root;
    for (const name of this.labelNames) {
      const value = labels?.[name] ?? '';
      let next = branch.next.get(value);
      if (next === undefined) {
        next = { next: new Map(), series: undefined };
        branch.next.set(value, next);
      }
      branch = next;
    }
    branch.series ??= this.added(labels);
    return branch.series;
  }

  values(): Iterable<T> {
    return this.all;
  }

  private added(labels: Labels | undefined): T {
    const series = this.create(Object.fromEntries(this.labelNames.map((name) => [name, labels?.[name] ?? ''])));
    this.all.push(series);
    return series;
  }
}
