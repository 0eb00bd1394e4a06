// A histogram that counts in a plain array and is written out at each scrape. prom-client's own histogram hashes labels
// at each observation.
import { type HistogramConfiguration, Histogram as PromHistogram } from 'prom-client';
import type { Histogram, Labels } from '../../ports/metrics.ts';
import { SeriesMap } from './series.ts';

interface Series {
  readonly labels: Record<string, string>;
  /** Per bucket; the last one counts values above all bounds. */
  readonly counts: number[];
  sum: number;
}

export class TalliedHistogram extends PromHistogram {
  readonly tally: Histogram;
  private readonly bounds: readonly number[];
  private readonly title: { readonly name: string; readonly help: string };
  private readonly series: SeriesMap<Series>;

  constructor(config: HistogramConfiguration<string> & { readonly buckets: number[] }) {
    super(config);
    const { name, help, buckets, labelNames = [] } = config;
    this.title = { name, help };
    this.bounds = [...buckets];
    const bounds = this.bounds;
    const series = new SeriesMap<Series>(labelNames, (labels) => ({
      labels,
      counts: Array<number>(bounds.length + 1).fill(0),
      sum: 0,
    }));
    this.series = series;
    this.tally = {
      observe(value: number, labels?: Labels) {
        const one = series.of(labels);
        let bucket = 0;
        while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket += 1;
        one.counts[bucket] = (one.counts[bucket] ?? 0) + 1;
        one.sum += value;
      },
    };
    if (labelNames.length === 0) series.of(undefined);
  }

  /** Called by the registry when it writes text. Missing in prom-client's types. */
  async getForPromString() {
    const { name } = this.title;
    const values = [...this.series.values()].flatMap(({ labels: sharedLabels, counts, sum }) => {
      let total = 0;
      const buckets = counts.map((count, i) => {
        total += count;
        return { metricName: `${name}_bucket`, labels: { le: this.bounds[i] ?? '+Inf' }, sharedLabels, value: total };
      });
      return [
        ...buckets,
        { metricName: `${name}_sum`, labels: {}, sharedLabels, value: sum },
        { metricName: `${name}_count`, labels: {}, sharedLabels, value: total },
      ];
    });
    return { ...this.title, type: 'histogram', values, aggregator: 'sum' };
  }
}
