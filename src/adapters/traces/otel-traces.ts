// Traces by OpenTelemetry, over OTLP/HTTP. Loaded only while tracing is on. Nothing is registered globally, so that a
// program which holds this server keeps its own tracing.
import { ROOT_CONTEXT, type SpanContext, SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AlwaysOnSampler, type IdGenerator, RandomIdGenerator, TracerProvider } from '@opentelemetry/sdk-trace';
import { LRUCache } from 'lru-cache';
import type { Hash } from '../../domain/ids.ts';
import type { Logger } from '../../ports/log.ts';
import { gaugeWithBound, type Metrics } from '../../ports/metrics.ts';
import type { TracedKind, TracedSpan, Traces } from '../../ports/traces.ts';
import { EXPORT_MS, SpanQueue } from './span-queue.ts';
import { isSampled, traceIdOf } from './trace-ids.ts';

export interface OtelTracesOptions {
  /**
   * `tracing_collector_url`, with or without the path `/v1/traces`; undefined: `OTEL_EXPORTER_OTLP_ENDPOINT`, else
   * http://localhost:4318.
   */
  readonly collectorUrl: string | undefined;
  /** `tracing_SampleRate`: of subtrees, from 0 to 1. */
  readonly subtreeRate: number;
  readonly peerId: string;
  readonly clientName: string;
  readonly version: string;
}

const TRACES_PATH = 'v1/traces';
/** Blocks and subtrees whose first span here is remembered, as the parent of the later ones. */
const MAX_FIRST_SPANS = 2000;
const MAX_ATTRIBUTE_CHARS = 256;

/** The trace ID of the hash, and random span IDs. */
class HashIds implements IdGenerator {
  traceId = '';
  private readonly random = new RandomIdGenerator();

  generateTraceId(): string {
    return this.traceId;
  }

  generateSpanId(): string {
    return this.random.generateSpanId();
  }
}

export class OtelTraces implements Traces {
  private readonly subtreeRate: number;
  private readonly ids = new HashIds();
  private readonly provider: TracerProvider;
  private readonly tracer: Tracer;
  private readonly firstSpans = new LRUCache<Hash, SpanContext>({ max: MAX_FIRST_SPANS });

  constructor(deps: { readonly log: Logger; readonly metrics: Metrics }, options: OtelTracesOptions) {
    const { collectorUrl, peerId, clientName, version } = options;
    this.subtreeRate = options.subtreeRate;
    const exporter = new OTLPTraceExporter({
      ...(collectorUrl === undefined ? {} : { url: tracesUrl(collectorUrl) }),
      timeoutMillis: EXPORT_MS,
    });
    this.provider = new TracerProvider({
      idGenerator: this.ids,
      sampler: new AlwaysOnSampler(),
      spanLimits: { attributeValueLengthLimit: MAX_ATTRIBUTE_CHARS },
      resource: resourceFromAttributes({
        'service.name': 'teranode-p2p',
        'service.version': version,
        'service.instance.id': peerId,
        'teranode.client_name': clientName,
      }),
      spanProcessors: [new SpanQueue(deps, exporter)],
    });
    this.tracer = this.provider.getTracer('teranode-p2p', version);
    const gauge = { name: 'teranode_p2p_traced_hashes', help: 'Blocks and subtrees whose first span is remembered' };
    gaugeWithBound(deps.metrics, gauge, () => this.firstSpans.size, MAX_FIRST_SPANS);
  }

  takes(kind: TracedKind, hash: Hash): boolean {
    return isSampled(kind, hash, this.subtreeRate);
  }

  record({ kind, hash, name, startedMs, isFailed = false, attributes }: TracedSpan): void {
    const traceId = this.takes(kind, hash) ? traceIdOf(hash) : undefined;
    if (traceId === undefined) return;
    this.ids.traceId = traceId;
    const first = this.firstSpans.get(hash);
    // The system clock, which nodes keep in step; how long it lasted is measured.
    const endMs = Date.now();
    const lastedMs = startedMs === undefined ? 0 : performance.now() - startedMs;
    const span = this.tracer.startSpan(
      `${name} ${kind}`,
      {
        root: first === undefined,
        startTime: endMs - lastedMs,
        kind: name === 'receive' ? SpanKind.CONSUMER : SpanKind.INTERNAL,
        attributes: { 'teranode.kind': kind, 'teranode.hash': hash, ...withoutUndefined(attributes) },
      },
      first === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, first),
    );
    if (isFailed) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end(endMs);
    if (first === undefined) this.firstSpans.set(hash, span.spanContext());
  }

  /** Bounded in time. May be called twice. */
  async stop(): Promise<void> {
    await this.provider.shutdown();
  }
}

function tracesUrl(collectorUrl: string): string {
  const url = new URL(collectorUrl);
  if (!url.pathname.endsWith(TRACES_PATH)) url.pathname = `${url.pathname.replace(/\/+$/, '')}/${TRACES_PATH}`;
  return url.href;
}

function withoutUndefined(attributes: TracedSpan['attributes']): Record<string, string | number> {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([key, value]) => (value === undefined ? [] : [[`teranode.${key}`, value]])),
  );
}
