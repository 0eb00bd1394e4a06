// Metrics on prom-client. Counters are plain numbers that each scrape hands over to prom-client, so counting costs a
// look-up and an addition.
import { collectDefaultMetrics, Gauge, Counter as PromCounter, Registry } from 'prom-client';
import type { Counter, Histogram, Labels, Metrics } from '../../ports/metrics.ts';
import { TalliedHistogram } from './histogram.ts';
import { SeriesMap } from './series.ts';

/** What a metric says of itself. */
export interface MetricDescription {
  readonly name: string;
  readonly type: string;
  readonly labelNames: readonly string[];
  readonly help: string;
}

export class PrometheusMetrics implements Metrics {
  private readonly registry = new Registry();
  private readonly counters = new Map<string, Counter>();
  private readonly histograms = new Map<string, Histogram>();
  private readonly singles = new Map<string, Map<string, { labels: Labels; read: () => number }>>();
  private readonly families = new Map<string, (() => ReadonlyMap<string, number>)[]>();

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    const known = this.counters.get(name);
    if (known !== undefined) return known;
    const counter = lazyCounter(labelNames);
    // There from the first scrape on, so that the first event is an increase.
    if (labelNames.length === 0) counter.add(0);
    this.counters.set(name, counter);
    new PromCounter({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.registry],
      collect() {
        counter.handOver(this);
      },
    });
    return counter;
  }

  gauge(name: string, help: string, read: () => number, labels: Labels = {}): void {
    const key = Object.values(labels).join('\u0000');
    const known = this.singles.get(name);
    if (known !== undefined) {
      known.set(key, { labels, read });
      return;
    }
    const reads = new Map([[key, { labels, read }]]);
    this.singles.set(name, reads);
    new Gauge({
      name,
      help,
      labelNames: Object.keys(labels),
      registers: [this.registry],
      collect() {
        for (const each of reads.values()) this.set({ ...each.labels }, each.read());
      },
    });
  }

  gauges(name: string, help: string, label: string, read: () => ReadonlyMap<string, number>): void {
    const known = this.families.get(name);
    if (known !== undefined) {
      known.push(read);
      return;
    }
    const reads = [read];
    this.families.set(name, reads);
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const each of reads) for (const [value, number] of each()) this.set({ [label]: value }, number);
      },
    });
  }

  histogram(name: string, help: string, buckets: readonly number[], labelNames: readonly string[] = []): Histogram {
    const known = this.histograms.get(name);
    if (known !== undefined) return known;
    const { tally } = new TalliedHistogram({
      name,
      help,
      buckets: [...buckets],
      labelNames: [...labelNames],
      registers: [this.registry],
    });
    this.histograms.set(name, tally);
    return tally;
  }

  /** Every metric that a scrape names, those of the process too. */
  describe(): readonly MetricDescription[] {
    return this.registry.getMetricsAsArray().map((each) => ({
      name: each.name,
      // Declared as a number, but it is a word.
      type: String(each.type),
      labelNames: 'labelNames' in each && Array.isArray(each.labelNames) ? each.labelNames.map(String) : [],
      help: each.help,
    }));
  }

  /** Text exposition format, with its content type. */
  async scrape(): Promise<{ contentType: string; body: string }> {
    return { contentType: this.registry.contentType, body: await this.registry.metrics() };
  }
}

interface Series {
  readonly labels: Record<string, string>;
  /** Counted since the last scrape. */
  fresh: number;
}

/** `collect` of the prom-client counter calls `handOver`. */
function lazyCounter(labelNames: readonly string[]): Counter & { handOver(to: PromCounter): void } {
  const all = new SeriesMap<Series>(labelNames, (labels) => ({ labels, fresh: 0 }));
  return {
    add(amount = 1, labels) {
      all.of(labels).fresh += amount;
    },
    handOver(to) {
      for (const series of all.values()) {
        to.inc(series.labels, series.fresh);
        series.fresh = 0;
      }
    },
  };
}
