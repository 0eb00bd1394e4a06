// Ended spans on their way to the collector: a bounded queue, and one export at a time with a deadline. A collector that
// is down or slow costs the oldest spans and nothing else.
import type { ReadableSpan, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace';
import { BoundedQueue } from '../../lib/bounded-queue.ts';
import { orAfter } from '../../lib/deadline.ts';
import type { Logger } from '../../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../ports/metrics.ts';

/** About 2 KiB each. */
const MAX_SPANS = 2048;
const MAX_BATCH = 512;
const INTERVAL_MS = 1000;
/** One export with the exporter's own retries. */
export const EXPORT_MS = 5000;
/** Above it, in case the exporter does not keep its own. */
const EXPORT_DEADLINE_MS = EXPORT_MS + 1000;
const STOP_MS = 150;

type ExportResult = Parameters<Parameters<SpanExporter['export']>[1]>[0];

export class SpanQueue implements SpanProcessor {
  private readonly exporter: SpanExporter;
  private readonly log: Logger;
  private readonly spans: Counter;
  private readonly queue: BoundedQueue<ReadableSpan>;
  private timer: NodeJS.Timeout | undefined;
  private exporting: Promise<void> | undefined;
  private wasFailing = false;
  private isStopped = false;

  constructor(deps: { readonly log: Logger; readonly metrics: Metrics }, exporter: SpanExporter) {
    this.exporter = exporter;
    this.log = deps.log;
    this.spans = deps.metrics.counter(
      'teranode_p2p_trace_spans_total',
      'Spans of traces by what became of them: exported, failed (the collector did not take them), dropped (queue full)',
      ['outcome'],
    );
    for (const outcome of ['exported', 'failed', 'dropped']) this.spans.add(0, { outcome });
    this.queue = new BoundedQueue({ maxItems: MAX_SPANS, onDrop: () => this.spans.add(1, { outcome: 'dropped' }) });
    const gauge = { name: 'teranode_p2p_trace_queue_length', help: 'Spans that wait for their export' };
    gaugeWithBound(deps.metrics, gauge, () => this.queue.length, MAX_SPANS);
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    if (this.isStopped) return;
    this.queue.push(span);
    this.arm();
  }

  async forceFlush(): Promise<void> {
    await this.export();
  }

  /** Tries once to export what waits, and does not wait long for it. */
  async shutdown(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    clearTimeout(this.timer);
    const last = async () => {
      await this.exporting;
      await this.export();
      await this.exporter.shutdown();
    };
    await orAfter(last(), STOP_MS, undefined);
  }

  private arm(): void {
    if (this.timer !== undefined || this.exporting !== undefined) return;
    this.timer = setTimeout(() => void this.export(), INTERVAL_MS).unref();
  }

  private export(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.exporting ??= this.exportBatch().finally(() => {
      this.exporting = undefined;
      if (this.queue.length > 0 && !this.isStopped) this.arm();
    });
    return this.exporting;
  }

  /** Never rejects. */
  private async exportBatch(): Promise<void> {
    const batch: ReadableSpan[] = [];
    for (let span = this.queue.shift(); span !== undefined; span = this.queue.shift()) {
      batch.push(span);
      if (batch.length === MAX_BATCH) break;
    }
    if (batch.length === 0) return;
    const result = await orAfter(this.send(batch), EXPORT_DEADLINE_MS, 'late' as const);
    const isExported = result !== 'late' && result.code === 0;
    this.spans.add(batch.length, { outcome: isExported ? 'exported' : 'failed' });
    if (!isExported && !this.wasFailing)
      this.log.warn({ err: result === 'late' ? undefined : result.error }, 'failed to export traces');
    if (isExported && this.wasFailing) this.log.info({}, 'traces are exported again');
    this.wasFailing = !isExported;
  }

  private async send(batch: ReadableSpan[]): Promise<ExportResult> {
    const { promise, resolve } = Promise.withResolvers<ExportResult>();
    try {
      this.exporter.export(batch, resolve);
    } catch (error) {
      return { code: 1, error: error as Error };
    }
    return await promise;
  }
}
