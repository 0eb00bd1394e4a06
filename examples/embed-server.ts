// Runs the whole server within a program, and prints each block that it passes on: a node of its own, and a
// consumer behind it.
//
//   p2p_static_peers=/ip4/…/p2p/… node examples/embed-server.ts
//
// In a project of its own the import is from 'teranode-p2p'.
import { compose, decodeKafkaBlock, loadSettings, MemoryConsumer, parseKafkaUrl } from '../src/index.ts';

const { settings } = loadSettings({ folder: process.cwd(), env: process.env });
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
process.once('SIGTERM', () => stop.abort());

const app = await compose(settings);
const consumer = new MemoryConsumer(
  { broker: app.memoryBroker, log: app.log, metrics: app.metrics },
  {
    topic: parseKafkaUrl(settings.kafka_blocksConfig).topic,
    groupId: 'embed-server',
    replay: false,
    decode: decodeKafkaBlock,
  },
);
await consumer.start(({ value: block }) => {
  if (block.ok) console.log(`block ${block.message.hash} at ${block.message.url}, says ${block.message.peerId}`);
}, stop.signal);

await app.start(stop.signal);
await new Promise((resolve) => stop.signal.addEventListener('abort', resolve));
await app.stop();
await consumer.stop();
