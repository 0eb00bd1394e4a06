// A receiver for the benchmark: the composed server with the in-process broker, and a consumer behind it that takes the
// latency of each announcement from the time in its URL. Answers each line on stdin with one JSON line.
import { createInterface } from 'node:readline';
import { decodeKafkaSubtree } from '../src/adapters/kafka/codec.ts';
import { MemoryConsumer } from '../src/adapters/memory/broker.ts';
import { compose } from '../src/app/compose.ts';
import { loadSettings } from '../src/settings/load.ts';

const loaded = loadSettings({ folder: process.cwd(), env: process.env });
const app = await compose(loaded.settings, { logFormat: 'json' });
/** Kept as they come and read when asked, so that measuring costs the measured process little. */
const records: { readonly value: Uint8Array; readonly atMs: number }[] = [];

const counter = { add: () => {} };
const metrics = { counter: () => counter, gauge: () => {}, gauges: () => {}, histogram: () => ({ observe: () => {} }) };
const consumer = new MemoryConsumer(
  { broker: app.memoryBroker, log: app.log, metrics },
  {
    topic: 'subtrees',
    groupId: 'bench',
    replay: true,
    decode: (bytes: Uint8Array) => ({ ok: true, message: bytes }) as const,
  },
);
await consumer.start(({ value }) => {
  if (value.ok) records.push({ value: value.message, atMs: performance.now() });
}, new AbortController().signal);

const ready = await app.start(new AbortController().signal);
process.stdout.write(`${JSON.stringify({ event: 'ready', ...ready })}\n`);

/** From here on latencies count. */
let from = 0;

/** `usage` is cheap and asked while messages come; `summary` reads everything and is asked before and after. */
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'forget') from = records.length;
  const answer = line === 'summary' ? summary() : usage();
  process.stdout.write(`${JSON.stringify({ event: 'answer', ...answer })}\n`);
}

function usage() {
  const { user, system } = process.cpuUsage();
  return { received: records.length, cpuMicros: user + system, rssBytes: process.memoryUsage.rss() };
}

function summary() {
  const hashes = new Set<string>();
  const latenciesMs = records.map(({ value, atMs }) => {
    const decoded = decodeKafkaSubtree(value);
    if (!decoded.ok) throw new Error(decoded.fault.detail);
    hashes.add(decoded.message.hash);
    const sentNs = Number(decoded.message.url.slice(decoded.message.url.indexOf('/t=') + 3));
    return performance.timeOrigin + atMs - sentNs / 1e6;
  });
  latenciesMs.splice(0, from);
  latenciesMs.sort((x, y) => x - y);
  const quantile = (q: number) =>
    latenciesMs[Math.min(latenciesMs.length - 1, Math.floor(q * latenciesMs.length))] ?? 0;
  return { unique: hashes.size, p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
}

await app.stop();
process.exit(0);
