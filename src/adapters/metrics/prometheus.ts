// Metrics on prom-client. Counters add up in plain numbers and are handed over at each scrape: a hot one costs a look-up and an addition.
import { collectDefaultMetrics, Gauge, Counter as PromCounter, Registry } from 'prom-client';
import type { Counter, Labels, Metrics } from '../../ports/metrics.ts';

export class PrometheusMetrics implements Metrics {
  private readonly registry = new Registry();
  private readonly counters = new Map<string, Counter>();
  private readonly gauges = new Map<
    string,
    { gauge: Gauge; reads: Map<string, { labels: Labels; read: () => number }> }
  >();

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    const known = this.counters.get(name);
    if (known !== undefined) return known;
    const counter = lazyCounter(labelNames);
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
    const known = this.gauges.get(name);
    if (known !== undefined) {
      known.reads.set(key, { labels, read });
      return;
    }
    const reads = new Map([[key, { labels, read }]]);
    const gauge = new Gauge({
      name,
      help,
      labelNames: Object.keys(labels),
      registers: [this.registry],
      collect() {
        for (const each of reads.values()) this.set({ ...each.labels }, each.read());
      },
    });
    this.gauges.set(name, { gauge, reads });
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
  const all = new Map<string, Series>();
  return {
    add(amount = 1, labels) {
      let key = '';
      for (const name of labelNames) key += `${labels?.[name] ?? ''}\u0000`;
      let series = all.get(key);
      if (series === undefined) {
        series = { labels: Object.fromEntries(labelNames.map((name) => [name, labels?.[name] ?? ''])), fresh: 0 };
        all.set(key, series);
      }
      series.fresh += amount;
    },
    handOver(to) {
      for (const series of all.values()) {
        to.inc(series.labels, series.fresh);
        series.fresh = 0;
      }
    },
  };
}
