// Values that the page reads now and then, as the series of a chart.

export class Samples {
  private readonly max: number;
  private readonly columns: (number | null)[][];

  constructor(values: number, max: number) {
    this.max = max;
    this.columns = Array.from({ length: values + 1 }, () => []);
  }

  /** undefined leaves a gap. The oldest sample is dropped when there are too many. */
  add(atMs: number, ...values: readonly (number | undefined)[]): void {
    for (const [i, column] of this.columns.entries()) {
      column.push(i === 0 ? atMs / 1000 : (values[i - 1] ?? null));
      if (column.length > this.max) column.shift();
    }
  }

  /** Unix seconds, then the values. */
  series(): (number | null)[][] {
    return this.columns.map((column) => [...column]);
  }
}
