// Which parts record which spans, and that nothing is done for a trace while tracing is off.
import { expect, test } from 'vitest';
import { deliveryHandlers } from '../../../src/adapters/grpc/peer-experiences.ts';
import { fetchRequests } from '../../../src/app/create-sync.ts';
import type { BlockHash, Hash } from '../../../src/domain/ids.ts';
import type { Effect } from '../../../src/gossip/effects.ts';
import { type ExecutorDependencies, executor } from '../../../src/gossip/executor.ts';
import type { TracedSpan, Traces } from '../../../src/ports/traces.ts';
import { FakeAdminApi } from '../../fakes/admin-api.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';

const HASH = 'ab'.repeat(32) as Hash;
const author = peer(1);

function recordingTraces(takes = true) {
  const spans: TracedSpan[] = [];
  const traces: Traces = { takes: () => takes, record: (span) => void spans.push(span) };
  return { traces, spans };
}

function handOn(traces: Traces | undefined) {
  const published: unknown[][] = [];
  const producer = { publish: (...args: unknown[]) => void published.push(args) };
  const deps = {
    seenHashes: { take: () => true, giveBack: () => {} },
    blockProducer: producer,
    subtreeProducer: producer,
    metrics: new RecordedMetrics(),
    traces,
  };
  const effect: Effect = { type: 'publish_block', hash: HASH, dataHubUrl: 'https://hub.example', author } as Effect;
  executor(deps as unknown as ExecutorDependencies)([effect]);
  return published[0] ?? [];
}

test('the span of the hand-over to Kafka ends when the broker acknowledges the message', () => {
  const { traces, spans } = recordingTraces();
  const [value, , onDelivered] = handOn(traces);
  expect(value).toMatchObject({ hash: HASH, peerId: author });
  expect(spans).toEqual([]);
  (onDelivered as () => void)();
  expect(spans).toMatchObject([{ name: 'hand to Kafka', hash: HASH, isFailed: false }]);
  expect(spans[0]?.attributes).toEqual({ author, outcome: 'acknowledged' });
});

test('a message that is dropped before Kafka has it is a failed span', () => {
  const { traces, spans } = recordingTraces();
  const [, onDropped] = handOn(traces);
  (onDropped as () => void)();
  expect(spans).toMatchObject([{ name: 'hand to Kafka', isFailed: true, attributes: { outcome: 'dropped' } }]);
});

test.each([
  ['while tracing is off', undefined],
  ['for a hash that is not sampled', recordingTraces(false).traces],
])('%s the producer gets no callback for a trace', (_when, traces) => {
  expect(handOn(traces)).toHaveLength(2);
});

test('reports of valid blocks and subtrees by our services are spans', async () => {
  const { traces, spans } = recordingTraces();
  const handlers = deliveryHandlers(new FakeAdminApi(), traces);
  const call = {} as Parameters<typeof handlers.reportValidBlock>[1];
  const block = { peerId: author, blockHash: HASH } as unknown as Parameters<typeof handlers.reportValidBlock>[0];
  const subtree = { peerId: author, subtreeHash: HASH } as unknown as Parameters<typeof handlers.reportValidSubtree>[0];
  await handlers.reportValidBlock(block, call);
  await handlers.reportValidSubtree(subtree, call);
  expect(spans).toMatchObject([
    { kind: 'block', name: 'report', hash: HASH, attributes: { result: 'valid', author } },
    { kind: 'subtree', name: 'report', hash: HASH, attributes: { result: 'valid', author } },
  ]);
});

test('a request to fetch a block from the sync peer is published, and is a span while tracing is on', () => {
  const { traces, spans } = recordingTraces();
  const published: unknown[] = [];
  const producer = { publish: (value: unknown) => void published.push(value) };
  const request = { hash: HASH as BlockHash, url: 'https://hub.example', peerId: author };
  fetchRequests(producer, traces)(request);
  fetchRequests(producer, undefined)(request);
  expect(published).toEqual([request, request]);
  expect(spans).toMatchObject([{ kind: 'block', name: 'request sync fetch', attributes: { sync_peer: author } }]);
});
