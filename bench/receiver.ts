// A receiver for the benchmark: the composed server with the in-process broker, and a consumer behind it that takes the
// latency of each announcement from the time in its URL. Answers each line on stdin with one JSON line.
import { createInterface } from 'node:readline';
import { MemoryConsumer } from '../src/adapters/memory/broker.ts';
import { compose } from '../src/app/compose.ts';
import { limitHeapGrowth } from '../src/cli/heap-growth.ts';
import { loadSettings } from '../src/settings/load.ts';
import { Arrivals } from './arrivals.ts';

// As the command `start` does.
limitHeapGrowth();
const loaded = loadSettings({ folder: process.cwd(), env: process.env });
const app = await compose(loaded.settings, { logFormat: 'json' });
const arrivals = new Arrivals();

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
  if (value.ok) arrivals.add(value.message);
}, new AbortController().signal);

const ready = await app.start(new AbortController().signal);
process.stdout.write(`${JSON.stringify({ event: 'ready', ...ready })}\n`);

let answer = 0;
for await (const line of createInterface({ input: process.stdin })) {
  answer += 1;
  if (line === 'forget') arrivals.forget();
  // Usage is cheap and asked while messages come; the summary sorts and is asked before and after.
  const fields = line === 'summary' ? arrivals.summary() : usage();
  process.stdout.write(`${JSON.stringify({ answer, ...fields })}\n`);
}

function usage() {
  const { user, system } = process.cpuUsage();
  return { received: arrivals.received, cpuMicros: user + system, rssBytes: process.memoryUsage.rss() };
}

await app.stop();
process.exit(0);
