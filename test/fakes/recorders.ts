// Small stand-ins for the ports that every part takes: a clock that is moved by hand, metrics and log lines that can be
// read back.
import type { Clock } from '../../src/ports/clock.ts';
import type { Logger } from '../../src/ports/log.ts';
import type { Counter, Histogram, Labels, Metrics } from '../../src/ports/metrics.ts';

export class FakeClock implements Clock {
  private ms = 1_700_000_000_000;

  now(): number {
    return this.ms;
  }

  monotonic(): number {
    return this.ms;
  }

  advance(ms: number): void {
    this.ms += ms;
  }
}

export class RecordedMetrics implements Metrics {
  private readonly counts = new Map<string, { labels: Labels; value: number }[]>();
  private readonly observations = new Map<string, { labels: Labels; value: number }[]>();
  private readonly reads = new Map<string, { labels: Labels; read: () => number }[]>();

  counter(name: string): Counter {
    const rows = this.counts.get(name) ?? [];
    this.counts.set(name, rows);
    return {
      add: (amount = 1, labels = {}) => {
        rows.push({ labels, value: amount });
      },
    };
  }

  gauge(name: string, _help: string, read: () => number, labels: Labels = {}): void {
    this.reads.set(name, [...(this.reads.get(name) ?? []), { labels, read }]);
  }

  gauges(): void {}

  histogram(name: string): Histogram {
    const rows = this.observations.get(name) ?? [];
    this.observations.set(name, rows);
    return {
      observe: (value, labels = {}) => {
        rows.push({ labels, value });
      },
    };
  }

  /** What a histogram was given, with all of these labels. */
  observed(name: string, labels: Labels = {}): readonly number[] {
    return (this.observations.get(name) ?? []).filter((row) => carries(row, labels)).map((row) => row.value);
  }

  /** Sum of a counter's additions that carry all of these labels. */
  count(name: string, labels: Labels = {}): number {
    const rows = (this.counts.get(name) ?? []).filter((row) => carries(row, labels));
    return rows.reduce((sum, row) => sum + row.value, 0);
  }

  /** Sum of a gauge's series that carry all of these labels. */
  gaugeValue(name: string, labels: Labels = {}): number {
    const rows = (this.reads.get(name) ?? []).filter((row) => carries(row, labels));
    return rows.reduce((sum, { read }) => sum + read(), 0);
  }
}

function carries(row: { readonly labels: Labels }, labels: Labels): boolean {
  return Object.entries(labels).every(([key, value]) => row.labels[key] === value);
}

export interface LoggedLine {
  readonly level: keyof Logger;
  readonly event: string;
  readonly fields: Record<string, unknown>;
}

export function recordingLogger(): Logger & { readonly lines: LoggedLine[] } {
  const lines: LoggedLine[] = [];
  const at = (level: keyof Logger) => (fields: Record<string, unknown>, event: string) => {
    lines.push({ level, event, fields });
  };
  return { lines, trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
