// Counters, gauges and histograms as the core sees them. Prometheus stands behind it in the server; tests read an in-memory one.

export type Labels = Readonly<Record<string, string>>;

/** Only grows. */
export interface Counter {
  /** An amount of 0 makes the series known before its first event, as whoever watches for an increase needs it. */
  add(amount?: number, labels?: Labels): void;
}

/** How often a quantity was how large. */
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

/** Names follow Prometheus conventions: `teranode_p2p_<what>_<unit>[_total]`. Label values come from closed sets, never from a peer. */
export interface Metrics {
  counter(name: string, help: string, labelNames?: readonly string[]): Counter;
  /** A value that is read at each scrape. */
  gauge(name: string, help: string, read: () => number, labels?: Labels): void;
  /** Values by the value of one label, read at each scrape; what is no longer among them is no longer told. */
  gauges(name: string, help: string, label: string, read: () => ReadonlyMap<string, number>): void;
  /** `buckets`: upper bounds, ascending, in the unit of the name; what is above the last is counted too. */
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

/** A size and its bound, read at each scrape: two gauges, so that dashboards can show how full something is. */
export function gaugeWithBound(metrics: Metrics, gauge: BoundedGauge, read: () => number, bound: number): void {
  const { name, help, labels, boundName = `${name.replace(/_length$/, '')}_bound` } = gauge;
  metrics.gauge(name, help, read, labels);
  metrics.gauge(boundName, `Upper bound of ${name}`, () => bound, labels);
}
