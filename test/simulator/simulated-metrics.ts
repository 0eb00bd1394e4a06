// Metrics that cost little and can be compared with their bounds.
import type { Counter, Histogram, Labels, Metrics } from '../../src/ports/metrics.ts';

interface Gauge {
  readonly name: string;
  readonly labels: string;
  readonly read: () => number;
}

const HISTOGRAM: Histogram = { observe: () => {} };

export class SimulatedMetrics implements Metrics {
  private readonly gaugeList: Gauge[] = [];
  private readonly handlerFailures = { count: 0 };

  counter(name: string): Counter {
    if (name !== 'teranode_p2p_gossip_messages_total') return { add: () => {} };
    const { handlerFailures } = this;
    return {
      add: (amount = 1, labels = {}) => {
        if (labels.reason === 'handler_failed') handlerFailures.count += amount;
      },
    };
  }

  gauge(name: string, _help: string, read: () => number, labels: Labels = {}): void {
    this.gaugeList.push({ name, labels: JSON.stringify(labels), read });
  }

  gauges(): void {}

  histogram(): Histogram {
    return HISTOGRAM;
  }

  /** Sizes above their bounds, as text. */
  exceeded(): string[] {
    const bounds = this.gaugeList.filter(({ name }) => name.endsWith('_bound'));
    return bounds.flatMap(({ name, labels, read }) => {
      const bound = read();
      const stem = name.slice(0, -'_bound'.length);
      const isOfBound = (each: Gauge) =>
        each.labels === labels && [stem, `${stem}_length`, `${stem}_entries`].includes(each.name);
      return this.gaugeList
        .filter((each) => isOfBound(each) && each.read() > bound)
        .map((each) => `${each.name}${labels} is ${each.read()}, its bound ${bound}`);
    });
  }

  /** Messages at which our own handler threw. */
  failures(): number {
    return this.handlerFailures.count;
  }
}
