import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SpanQueue } from '../../../src/adapters/traces/span-queue.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const MAX_SPANS = 2048;

type Answer = Parameters<SpanExporter['export']>[1];

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function setUp(answer: (done: Answer) => void) {
  const [metrics, log] = [new RecordedMetrics(), recordingLogger()];
  const batches: number[] = [];
  const queue = new SpanQueue(
    { log, metrics },
    {
      export: (spans, done) => {
        batches.push(spans.length);
        answer(done);
      },
      shutdown: async () => {},
    },
  );
  const end = (count: number) => {
    for (let i = 0; i < count; i += 1) queue.onEnd({} as ReadableSpan);
  };
  const count = (outcome: string) => metrics.count('teranode_p2p_trace_spans_total', { outcome });
  return { queue, batches, log, end, count };
}

test('spans are exported together, a bounded number at a time', async () => {
  const { batches, end, count } = setUp((done) => done({ code: 0 }));
  end(1300);
  expect(batches).toEqual([]);
  await vi.advanceTimersByTimeAsync(5000);
  expect(batches).toEqual([512, 512, 276]);
  expect(count('exported')).toBe(1300);
});

test('while the collector does not answer a bounded number waits, and the oldest are dropped and counted', async () => {
  const { batches, end, count, log } = setUp(() => {});
  end(1);
  await vi.advanceTimersByTimeAsync(1000);
  end(MAX_SPANS + 300);
  expect(count('dropped')).toBe(300);
  expect(batches).toEqual([1]);
  await vi.advanceTimersByTimeAsync(6000);
  expect(count('failed')).toBe(1);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(log.lines.filter(({ event }) => event === 'failed to export traces')).toHaveLength(1);
});

test('an exporter that fails or throws costs the batch, and the log shows the end of the outage', async () => {
  const answers: ((done: Answer) => void)[] = [
    (done) => done({ code: 1, error: new Error('refused') }),
    () => {
      throw new Error('thrown');
    },
    (done) => done({ code: 0 }),
  ];
  const { end, count, log } = setUp((done) => answers.shift()?.(done));
  for (let i = 0; i < 3; i += 1) {
    end(2);
    await vi.advanceTimersByTimeAsync(2000);
  }
  expect([count('failed'), count('exported')]).toEqual([4, 2]);
  expect(log.lines.map(({ event }) => event)).toEqual(['failed to export traces', 'traces are exported again']);
});

test('a stop exports what waits, and does not wait for a collector that is silent', async () => {
  const quick = setUp((done) => done({ code: 0 }));
  quick.end(3);
  await quick.queue.shutdown();
  expect(quick.count('exported')).toBe(3);
  const silent = setUp(() => {});
  silent.end(3);
  const stopped = silent.queue.shutdown();
  await vi.advanceTimersByTimeAsync(200);
  await stopped;
  silent.end(1);
  expect(silent.batches).toEqual([3]);
});
