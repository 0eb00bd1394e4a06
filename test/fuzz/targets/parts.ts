// What the fuzzed parts need around them. It remembers nothing, as millions of inputs pass, and takes no error for
// granted.
import type { Logger } from '../../../src/ports/log.ts';
import type { Labels, Metrics } from '../../../src/ports/metrics.ts';

const nothing = () => {};

export const NO_METRICS: Metrics = {
  counter: () => ({ add: nothing }),
  gauge: nothing,
  gauges: nothing,
  histogram: () => ({ observe: nothing }),
};

/** An error that is logged is one that somebody caught: it throws. */
export function failingLogger(): Logger {
  const error = (fields: Record<string, unknown>, event: string) => {
    throw new Error(`logged an error: ${event}`, { cause: fields.err });
  };
  return { trace: nothing, debug: nothing, info: nothing, warn: nothing, error };
}

/** Gauges that can be read, and counters that count nothing. */
export function gauges(): Metrics & { value(name: string, labels?: Labels): number } {
  const reads: { readonly name: string; readonly read: () => number; readonly labels: Labels }[] = [];
  return {
    ...NO_METRICS,
    gauge: (name, _help, read, labels = {}) => void reads.push({ name, read, labels }),
    value: (name, labels = {}) => {
      const found = reads.filter(
        (each) => each.name === name && Object.entries(labels).every(([key, value]) => each.labels[key] === value),
      );
      if (found.length === 0) throw new Error(`there is no gauge ${name}`);
      return found.reduce((sum, { read }) => sum + read(), 0);
    },
  };
}
