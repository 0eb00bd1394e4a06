// js-libp2p's own metrics, under its names, in our registry. Its Prometheus package keeps one set per process and
// clears prom-client's default registry, so two nodes in one program could not have separate metrics.
import type { Metrics as Libp2pMetrics } from '@libp2p/interface';
import type { Metrics } from '../../ports/metrics.ts';

type Values = Partial<Record<string, number | true>>;

interface Options<T> {
  readonly label?: string;
  readonly help?: string;
  readonly buckets?: number[];
  readonly calculate?: () => T | Promise<T>;
}

/** Label values are topics, protocols, directions and error names: a few each. Further ones are counted as `other`. */
const MAX_LABEL_VALUES = 100;
/** Buckets in seconds, for histograms without buckets of their own. */
export const SECONDS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10];

/** Numbers by label value. */
export class Family {
  readonly values = new Map<string, number>();

  set(key: string, value: number): void {
    this.values.set(keyOf(key, this.values), value);
  }

  add(key: string, amount: number): void {
    const place = keyOf(key, this.values);
    this.values.set(place, (this.values.get(place) ?? 0) + amount);
  }
}

function keyOf(key: string, known: { has(key: string): boolean; readonly size: number }): string {
  return known.has(key) || known.size < MAX_LABEL_VALUES ? key : 'other';
}

/** The `metrics` component of js-libp2p. It does not wrap streams to count bytes, as the connection meter does that. */
export function libp2pMetrics(metrics: Metrics): Libp2pMetrics {
  const registerMetric = (name: string, { help, calculate }: Options<number> = {}) => {
    let value = 0;
    const update = (next: number) => {
      value = next;
    };
    metrics.gauge(name, help ?? helpOf(name), calculate === undefined ? () => value : latest(calculate, 0));
    return {
      update,
      increment: (by = 1) => update(value + by),
      decrement: (by = 1) => update(value - by),
      reset: () => update(0),
      timer: () => stopwatch(update),
    };
  };
  const registerMetricGroup = (
    name: string,
    { label = 'kind', help, calculate }: Options<Record<string, number>> = {},
  ) => {
    const family = new Family();
    const calculated = calculate && latest(calculate, {});
    metrics.gauges(name, help ?? helpOf(name), label, () =>
      calculated ? new Map(Object.entries(calculated()).slice(0, MAX_LABEL_VALUES)) : family.values,
    );
    return {
      update: (values: Values) => each(values, (key, value) => family.set(key, value)),
      increment: (values: Values) => each(values, (key, by) => family.add(key, by)),
      decrement: (values: Values) => each(values, (key, by) => family.add(key, -by)),
      reset: () => family.values.clear(),
      timer: (key: string) => stopwatch((seconds) => family.set(key, seconds)),
    };
  };
  const registerCounter = (name: string, { help, calculate }: Options<number> = {}) => {
    if (calculate !== undefined) return registerMetric(name, { calculate });
    const counter = metrics.counter(name, help ?? helpOf(name));
    return { increment: (by = 1) => counter.add(by), reset() {} };
  };
  const registerCounterGroup = (name: string, options: Options<Record<string, number>> = {}) => {
    const { label = 'kind', help, calculate } = options;
    if (calculate !== undefined) return registerMetricGroup(name, options);
    const counter = labelledCounter(metrics, name, help ?? helpOf(name), label);
    return { increment: (values: Values) => each(values, counter), reset() {} };
  };
  const registerHistogram = (name: string, { help, buckets = SECONDS }: Options<number> = {}) => {
    const histogram = metrics.histogram(name, help ?? helpOf(name), buckets);
    const observe = (value: number) => histogram.observe(value);
    return { observe, reset() {}, timer: () => stopwatch(observe) };
  };
  const registerHistogramGroup = (
    name: string,
    { label = 'kind', help, buckets = SECONDS }: Options<Record<string, number>> = {},
  ) => {
    const histogram = metrics.histogram(name, help ?? helpOf(name), buckets, [label]);
    const one = (key: string, value: number) => histogram.observe(value, { [label]: key });
    return {
      observe: (values: Values) => each(values, one),
      reset() {},
      timer: (key: string) => stopwatch((seconds) => one(key, seconds)),
    };
  };
  return {
    trackMultiaddrConnection() {},
    trackProtocolStream() {},
    registerMetric: registerMetric as Libp2pMetrics['registerMetric'],
    registerMetricGroup: registerMetricGroup as Libp2pMetrics['registerMetricGroup'],
    registerCounter: registerCounter as Libp2pMetrics['registerCounter'],
    registerCounterGroup: registerCounterGroup as Libp2pMetrics['registerCounterGroup'],
    registerHistogram: registerHistogram as Libp2pMetrics['registerHistogram'],
    registerHistogramGroup: registerHistogramGroup as Libp2pMetrics['registerHistogramGroup'],
    registerSummary: registerHistogram as Libp2pMetrics['registerSummary'],
    registerSummaryGroup: registerHistogramGroup as Libp2pMetrics['registerSummaryGroup'],
    createTrace() {},
    traceFunction: (_name: string, traced: never) => traced,
  };
}

export function labelledCounter(metrics: Metrics, name: string, help: string, label: string | undefined) {
  if (label === undefined) {
    const counter = metrics.counter(name, help);
    return (_key: string, by: number) => counter.add(by);
  }
  const counter = metrics.counter(name, help, [label]);
  const known = new Map<string, { readonly [label: string]: string }>();
  return (key: string, by: number) => {
    const place = keyOf(key, known);
    let labels = known.get(place);
    if (labels === undefined) {
      labels = { [label]: place };
      known.set(place, labels);
    }
    counter.add(by, labels);
  };
}

function each(values: Values, use: (key: string, value: number) => void): void {
  for (const [key, value] of Object.entries(values)) use(key, value === true ? 1 : (value ?? 0));
}

/** The value calculated last; libraries may calculate in a promise. */
function latest<T>(calculate: () => T | Promise<T>, first: T): () => T {
  let last = first;
  return () => {
    const now = calculate();
    if (!(now instanceof Promise)) last = now;
    else
      now.then(
        (value) => {
          last = value;
        },
        () => {},
      );
    return last;
  };
}

export function stopwatch(report: (seconds: number) => void): () => void {
  const startedMs = performance.now();
  return () => report((performance.now() - startedMs) / 1000);
}

function helpOf(name: string): string {
  return `js-libp2p: ${name.replace(/^libp2p_/, '').replaceAll('_', ' ')}`;
}
