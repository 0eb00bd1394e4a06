// Metrics for parts of which there is one per node: a gauge that several nodes register is read as their sum, where
// plain metrics would show the node that came last.
import type { Labels, Metrics } from '../ports/metrics.ts';

export function summedMetrics(metrics: Metrics): Metrics {
  const gauges = new Map<string, (() => number)[]>();
  const families = new Map<string, (() => ReadonlyMap<string, number>)[]>();
  return {
    counter: (...given) => metrics.counter(...given),
    histogram: (...given) => metrics.histogram(...given),
    gauge: (name, help, read, labels: Labels = {}) => {
      const key = JSON.stringify([name, labels]);
      const reads = gauges.get(key);
      if (reads !== undefined) {
        reads.push(read);
        return;
      }
      const all = [read];
      gauges.set(key, all);
      metrics.gauge(name, help, () => all.reduce((sum, each) => sum + each(), 0), labels);
    },
    gauges: (name, help, label, read) => {
      const reads = families.get(name);
      if (reads !== undefined) {
        reads.push(read);
        return;
      }
      const all = [read];
      families.set(name, all);
      metrics.gauges(name, help, label, () => sumOf(all));
    },
  };
}

function sumOf(reads: readonly (() => ReadonlyMap<string, number>)[]): ReadonlyMap<string, number> {
  const [only, ...others] = reads;
  if (only !== undefined && others.length === 0) return only();
  const sums = new Map<string, number>();
  for (const read of reads) for (const [value, number] of read()) sums.set(value, (sums.get(value) ?? 0) + number);
  return sums;
}
