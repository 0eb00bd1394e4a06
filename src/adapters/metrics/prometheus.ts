// Metrics on prom-client. Children are looked up once for each set of label values: a hot counter costs one addition.
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
    let counter = this.counters.get(name);
    if (counter === undefined) {
      counter = cachedCounter(
        new PromCounter({ name, help, labelNames: [...labelNames], registers: [this.registry] }),
        labelNames,
      );
      this.counters.set(name, counter);
    }
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

function cachedCounter(counter: PromCounter, labelNames: readonly string[]): Counter {
  const children = new Map<string, { inc(amount: number): void }>();
  return {
    add(amount = 1, labels) {
      let key = '';
      for (const name of labelNames) key += `${labels?.[name] ?? ''}\u0000`;
      let child = children.get(key);
      if (child === undefined) {
        child = counter.labels(Object.fromEntries(labelNames.map((name) => [name, labels?.[name] ?? ''])));
        children.set(key, child);
      }
      child.inc(amount);
    },
  };
}
