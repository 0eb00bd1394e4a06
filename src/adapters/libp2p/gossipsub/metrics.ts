// What gossipsub counts of itself, under its own names, on our metrics; without its scores, which are off.
import type { GossipsubOpts } from '@libp2p/gossipsub';
import type { Metrics } from '../../../ports/metrics.ts';
import { Family, labelledCounter, SECONDS, stopwatch } from '../library-metrics.ts';

/** What gossipsub knows only when asked is asked once a scrape, not for each of its metrics. */
const COLLECT_EVERY_MS = 100;
/** They tell of scores, which are off, or forget at each scrape what they told at the last. */
const LEFT_OUT = /score|scoring|penalty|backoff/;
const NOTHING = { inc() {}, set() {}, addCollect() {}, observe() {}, startTimer: () => () => {}, reset() {} };

type GossipRegister = NonNullable<GossipsubOpts['metricsRegister']>;
type GossipLabels = Readonly<Record<string, string | number>>;

interface GossipConfig {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
  readonly buckets?: number[];
}

/** The register that gossipsub's metrics are made with. All of its families have one label at most, but those of scores, which are left out. */
export function gossipMetrics(metrics: Metrics): GossipRegister {
  const collectors: (() => void)[] = [];
  let collectedMs = 0;
  const collect = () => {
    const nowMs = performance.now();
    if (nowMs - collectedMs < COLLECT_EVERY_MS) return;
    collectedMs = nowMs;
    for (const collector of collectors) collector();
  };
  const addCollect = (collector: (gauge: never) => void) => {
    collectors.push(() => collector(undefined as never));
  };
  const gauge = ({ name, help, labelNames: [label] = [] }: GossipConfig) => {
    if (LEFT_OUT.test(name)) return NOTHING;
    if (name.endsWith('_total')) {
      const counter = labelledCounter(metrics, name, help, label);
      return onOneLabel(label, { inc: counter, set() {} }, addCollect);
    }
    const family = new Family();
    const read = () => {
      collect();
      return family.values;
    };
    if (label === undefined) metrics.gauge(name, help, () => read().get('') ?? 0);
    else metrics.gauges(name, help, label, read);
    const set = (key: string, value: number) => family.set(key, value);
    return onOneLabel(label, { inc: (key, by) => family.add(key, by), set }, addCollect);
  };
  const histogram = ({ name, help, labelNames: [label] = [], buckets = SECONDS }: GossipConfig) => {
    if (LEFT_OUT.test(name)) return NOTHING;
    const tally = metrics.histogram(name, help, buckets, label === undefined ? [] : [label]);
    const observe =
      label === undefined
        ? (value: number) => tally.observe(value)
        : (labels: GossipLabels, value: number) => tally.observe(value, { [label]: String(labels[label]) });
    return { observe, startTimer: () => stopwatch((seconds) => tally.observe(seconds)), reset() {} };
  };
  const register = { gauge, histogram, avgMinMax: () => NOTHING };
  return register as unknown as GossipRegister;
}

/** Gossipsub's calls, `inc(labels, by)` or `inc(by)`, on numbers by the value of the only label. */
function onOneLabel(
  label: string | undefined,
  to: { inc(key: string, by: number): void; set(key: string, value: number): void },
  addCollect: unknown,
) {
  if (label === undefined) {
    return { inc: (by = 1) => to.inc('', by), set: (value: number) => to.set('', value), addCollect };
  }
  return {
    inc: (labels: GossipLabels, by = 1) => to.inc(String(labels[label]), by),
    set: (labels: GossipLabels, value: number) => to.set(String(labels[label]), value),
    addCollect,
  };
}
