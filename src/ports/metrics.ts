// Counters, gauges and histograms for the core. The server implements them with Prometheus; tests read an in-memory
// implementation.

export type Labels = Readonly<Record<string, string>>;

/** A number that only grows. */
export interface Counter {
  /** An amount of 0 creates the series before its first event, so that alerts see the first event as an increase. */
  add(amount?: number, labels?: Labels): void;
}

/** A distribution of values. */
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

/**
 * Names follow Prometheus conventions: `teranode_p2p_<what>_<unit>[_total]`. Label values come from closed sets, never
 * from a peer.
 */
export interface Metrics {
  counter(name: string, help: string, labelNames?: readonly string[]): Counter;
  /** A value, read at each scrape. */
  gauge(name: string, help: string, read: () => number, labels?: Labels): void;
  /** Values by the value of one label, read at each scrape; a label value that is missing disappears. */
  gauges(name: string, help: string, label: string, read: () => ReadonlyMap<string, number>): void;
  /** `buckets`: ascending upper bounds in the unit of the name; values above the last are counted too. */
  histogram(name: string, help: string, buckets: readonly number[], labelNames?: readonly string[]): Histogram;
}

export interface BoundedGauge {
  readonly name: string;
  /** A noun phrase with its unit, such as `Peers remembered after they disconnected`. */
  readonly help: string;
  /** Default: `name` without `_length`, and `_bound`. */
  readonly boundName?: string;
  readonly labels?: Labels;
}

/** A size and its bound as two gauges, so that dashboards can show how full something is. */
export function gaugeWithBound(metrics: Metrics, gauge: BoundedGauge, read: () => number, bound: number): void {
  const { name, help, labels, boundName = `${name.replace(/_length$/, '')}_bound` } = gauge;
  metrics.gauge(name, help, read, labels);
  metrics.gauge(boundName, `Upper bound of ${name}`, () => bound, labels);
}
