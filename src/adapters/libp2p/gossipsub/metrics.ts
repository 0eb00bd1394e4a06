// The metrics of gossipsub itself, under its own names, on our metrics; without its scores, which are off.
import type { MetricsRegister } from '@libp2p/gossipsub/metrics';
import type { Metrics } from '../../../ports/metrics.ts';
import { Family, labelledCounter, SECONDS, stopwatch } from '../library-metrics.ts';

/** Some values are made by a function that serves several metrics: it runs once per scrape, not once per metric. */
const COLLECT_EVERY_MS = 100;
/** Metrics of scores, which are off, or metrics that are reset at each scrape. */
const LEFT_OUT = /score|scoring|penalty|backoff/;

type Labels = Record<string, string | number>;
type Collector = (gauge: never) => void;

interface GossipConfig {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
  readonly buckets?: number[];
}

/** Numbers by the value of the only label. */
interface Numbers {
  add(key: string, by: number): void;
  set(key: string, value: number): void;
}

/**
 * The register that gossipsub makes its metrics with. Each has one label at most, except those of scores, which are
 * left out.
 */
export function gossipMetrics(metrics: Metrics): MetricsRegister {
  const collectors: (() => void)[] = [];
  let collectedMs = 0;
  const collect = () => {
    const nowMs = performance.now();
    if (nowMs - collectedMs < COLLECT_EVERY_MS) return;
    collectedMs = nowMs;
    for (const collector of collectors) collector();
  };
  const addCollect = (collector: Collector) => {
    collectors.push(() => collector(undefined as never));
  };
  const numbersOf = ({ name, help, labelNames: [label] = [] }: GossipConfig): Numbers => {
    if (LEFT_OUT.test(name)) return { add() {}, set() {} };
    if (name.endsWith('_total')) return { add: labelledCounter(metrics, name, help, label), set() {} };
    const family = new Family();
    const read = () => {
      collect();
      return family.values;
    };
    if (label === undefined) metrics.gauge(name, help, () => read().get('') ?? 0);
    else metrics.gauges(name, help, label, read);
    return family;
  };
  const gauge = (config: GossipConfig) => ({
    ...callsOn(numbersOf(config), config.labelNames?.[0]),
    addCollect: LEFT_OUT.test(config.name) ? () => {} : addCollect,
  });
  const histogram = ({ name, help, labelNames: [label] = [], buckets = SECONDS }: GossipConfig) => {
    if (LEFT_OUT.test(name)) return { observe() {}, startTimer: () => () => {}, reset() {} };
    const ours = metrics.histogram(name, help, buckets, label === undefined ? [] : [label]);
    const observe =
      label === undefined
        ? (value: number) => ours.observe(value)
        : (labels: Labels, value: number) => ours.observe(value, { [label]: String(labels[label]) });
    return { observe, startTimer: () => stopwatch((seconds) => ours.observe(seconds)), reset() {} };
  };
  return {
    gauge: gauge as MetricsRegister['gauge'],
    histogram: histogram as MetricsRegister['histogram'],
    avgMinMax: () => ({ set() {} }),
  };
}

/** gossipsub calls `inc(labels, by)` where a metric has a label, and `inc(by)` where it has none. */
function callsOn(numbers: Numbers, label: string | undefined) {
  if (label === undefined)
    return { inc: (by = 1) => numbers.add('', by), set: (value: number) => numbers.set('', value) };
  return {
    inc: (labels: Labels, by = 1) => numbers.add(String(labels[label]), by),
    set: (labels: Labels, value: number) => numbers.set(String(labels[label]), value),
  };
}
