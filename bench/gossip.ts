// Side by side, in one run on one machine: a Go publisher of subtree announcements against (a) a Go receiver, (b) our
// server with the in-process broker, (c) our server with a real Kafka broker, (d) our server with a WebSocket client.
// Prints JSON: received, unique, lost, CPU a message, memory, ratio to Go's, and the latency from the publisher to what
// stands behind the receiver: a consumer of the topic, or the client. `--wire message-bus` measures that wire, with a
// bare client of go-p2p-message-bus as the Go receiver. `--rates 1000,3000` and `--seconds 10` change what is run;
// `--only a;b` leaves receivers out.
import { spawn } from 'node:child_process';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { Consumer } from '@platformatic/kafka';
import { busSubtree, messageBus } from '../test/support/bus-network.ts';
import { endWithTests, temporaryFolder } from '../test/support/cleanup.ts';
import { busTopics, GoBus } from '../test/support/go-bus.ts';
import { GoPeer, type GoPeerOptions } from '../test/support/go-peer.ts';
import { GoScored } from '../test/support/go-scored.ts';
import { GoWsClients } from '../test/support/go-ws.ts';
import { collectLines } from '../test/support/json-lines.ts';
import { KafkaBroker } from '../test/support/kafka-broker.ts';
import { allTopics, kafkaSettings, PSK, privateNetwork, protobufStrings, topicsOf } from '../test/support/network.ts';
import { REPO } from '../test/support/repo.ts';
import { ServerProcess } from '../test/support/server-process.ts';
import { waitFor } from '../test/support/wait.ts';

const { values } = parseArgs({
  options: {
    wire: { type: 'string', default: 'go-p2p' },
    rates: { type: 'string', default: '1000,3000,6000' },
    seconds: { type: 'string', default: '10' },
    only: { type: 'string' },
  },
});
const isBus = values.wire === 'message-bus';
const TOPIC = isBus ? busTopics('regtest').subtree : topicsOf('regtest').subtree;
/** How long a receiver may lag behind the publisher before what is missing counts as lost. */
const GRACE_MS = 5000;
/**
 * Go drops what its queue of 32 for a neighbour cannot hold. On two cores the publisher itself is often late by that
 * much, which says nothing of the receiver: the load generator gets a longer one, the same for all receivers.
 */
const PUBLISHER_QUEUE = 4096;

/** Cheap to ask, also while messages come. */
interface Usage {
  /** Messages, one that came twice counted twice. */
  readonly received: number;
  readonly cpuMicros: number;
  readonly rssBytes: number;
}

/** Reads everything. */
interface Summary {
  /** Different hashes, of all that was received since the start. */
  readonly unique: number;
  /** Of what was received since `forget`. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface Receiver {
  readonly peerId: string;
  readonly address: string;
  usage(): Promise<Usage>;
  summary(): Promise<Summary>;
  /** What was received until now is left out of the latencies. */
  forget(): Promise<unknown>;
  stop(): Promise<void>;
}

interface Result {
  readonly receiver: string;
  readonly ratePerSecond: number;
  readonly published: number;
  /** Messages, one that came twice counted twice. */
  readonly received: number;
  /** Different hashes. */
  readonly unique: number;
  /** Published hashes that were not received. */
  readonly lost: number;
  /** Messages that the publisher's own queue dropped, because the receiver or the machine was slow. */
  readonly droppedByPublisher: number;
  readonly cpuMicrosPerMessage: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly memoryMiB: number;
  ratioToGo?: number;
}

/** Publishes subtree announcements with the time in their URL. */
interface Publisher {
  connect(address: string): Promise<unknown>;
  hasInMesh(peerId: string): Promise<boolean>;
  publishMany(count: number, ratePerSecond: number): Promise<unknown>;
  published(): Promise<number>;
  /** RPCs that its queue for the receiver could not hold; one announcement each. */
  dropped(receiverId: string): Promise<number>;
  stop(): Promise<void>;
}

async function goP2pPublisher(): Promise<Publisher> {
  const peer = await GoPeer.start({
    psk: PSK,
    topics: allTopics('regtest'),
    discard: true,
    outboundQueue: PUBLISHER_QUEUE,
  });
  return {
    connect: (address) => peer.connect(address),
    hasInMesh: async (peerId) => (await peer.mesh()).mesh[TOPIC]?.includes(peerId) === true,
    publishMany: (subtrees, ratePerSecond) => peer.publishMany({ topic: TOPIC, subtrees, ratePerSecond }),
    published: async () => (await peer.publishStatus()).published,
    dropped: async () => (await peer.mesh()).counts.dropRPC ?? 0,
    stop: () => peer.stop(),
  };
}

async function busPublisher(): Promise<Publisher> {
  const peer = await GoScored.start({ network: 'regtest', discard: true, outboundQueue: PUBLISHER_QUEUE });
  const message = {
    ...busSubtree('{PEER_ID}'),
    Hash: '{HASH}',
    DataHubURL: 'http://127.0.0.1:8090/api/v1/t={TIME_NS}',
  };
  const template = JSON.stringify(message);
  return {
    connect: (address) => peer.connect(address),
    hasInMesh: async (peerId) => (await peer.mesh()).mesh[TOPIC]?.includes(peerId) === true,
    publishMany: (count, ratePerSecond) => peer.publishMany({ topic: TOPIC, template, count, ratePerSecond }),
    published: async () => (await peer.publishStatus()).published,
    dropped: async (receiverId) => (await peer.rpcs(receiverId)).counts.dropRPC ?? 0,
    stop: () => peer.stop(),
  };
}

const RECEIVERS: Readonly<Record<string, () => Promise<Receiver>>> = {
  go: isBus ? busReceiver : goReceiver,
  'ours, memory': memoryReceiver,
  'ours, kafka': kafkaReceiver,
  'ours, websocket': webSocketReceiver,
};

/** As Teranode's nodes use it, with the queues of the library. */
async function busReceiver(): Promise<Receiver> {
  const peer = await GoBus.start({ network: 'regtest', discard: true, queues: 0 });
  return {
    peerId: peer.peerId,
    address: peer.address,
    usage: async () => {
      const [counts, usage] = await Promise.all([peer.counts(), peer.rusage()]);
      return { received: counts[TOPIC] ?? 0, cpuMicros: usage.cpuMicros, rssBytes: usage.rssBytes };
    },
    summary: async () => {
      const [counts, { p50Ms, p99Ms }] = await Promise.all([peer.counts(), peer.stats()]);
      // The client hands on each message once.
      return { unique: counts[TOPIC] ?? 0, p50Ms, p99Ms };
    },
    forget: () => peer.forgetLatencies(),
    stop: () => peer.stop(),
  };
}

async function goReceiver(): Promise<Receiver> {
  // It remembers what it saw, to count what is unique, but keeps no copies.
  const options: GoPeerOptions & { readonly keepMessages: number } = {
    psk: PSK,
    topics: allTopics('regtest'),
    keepMessages: 1,
    // The library's default.
    validateQueue: 32,
  };
  const peer = await GoPeer.start(options);
  return {
    peerId: peer.peerId,
    address: peer.addresses[0] ?? '',
    usage: async () => {
      const [counts, usage] = await Promise.all([peer.counts(), peer.rusage()]);
      return { received: counts[TOPIC] ?? 0, cpuMicros: usage.cpuMicros, rssBytes: usage.rssBytes };
    },
    summary: async () => {
      const { unique, p50Ms, p99Ms } = await peer.stats();
      return { unique: unique[TOPIC] ?? 0, p50Ms, p99Ms };
    },
    forget: () => peer.forgetLatencies(),
    stop: () => peer.stop(),
  };
}

/** As shipped, apart from the rate limit of one author. */
function settings(): Record<string, string> {
  const network = isBus ? messageBus('regtest') : privateNetwork('regtest');
  return { ...network, p2p_author_rate: '0', logLevel: 'INFO' };
}

async function memoryReceiver(): Promise<Receiver> {
  const env = {
    PATH: process.env.PATH ?? '',
    dataFolder: temporaryFolder('bench'),
    p2p_port: '0',
    p2p_http_listen_address: '127.0.0.1:0',
    p2p_grpc_listen_address: '127.0.0.1:0',
    embedded_chain_mine_interval: '',
    ...settings(),
  };
  const child = spawn(process.execPath, [...process.execArgv, 'bench/receiver.ts'], {
    cwd: REPO,
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  endWithTests(child);
  const output = collectLines(child.stdout);
  const ready = await waitFor(() => output.json.find((line) => line.event === 'ready'), {
    timeoutMs: 20_000,
    what: 'the receiver',
  });
  let asked = 0;
  const ask = async (what: 'usage' | 'summary' | 'forget') => {
    asked += 1;
    child.stdin.write(`${what}\n`);
    return await waitFor(() => output.json.filter((line) => line.event === 'answer')[asked - 1], { what: 'an answer' });
  };
  return {
    peerId: String(ready.peerId),
    address: (ready.listenAddresses as string[])[0] ?? '',
    usage: async () => (await ask('usage')) as unknown as Usage,
    summary: async () => (await ask('summary')) as unknown as Summary,
    forget: () => ask('forget'),
    stop: async () => {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.stdin.end();
      await exited;
    },
  };
}

async function kafkaReceiver(): Promise<Receiver> {
  const broker = await KafkaBroker.start();
  const server = await ServerProcess.start({ settings: { ...settings(), ...kafkaSettings(broker.address) } });
  /** Kept as they come and read when asked, as the in-process receiver does. */
  const records: { readonly value: Buffer; readonly atMs: number }[] = [];
  let from = 0;
  await waitFor(async () => (await server.get('/health/ready')).status === 200, { what: 'readiness' });
  const consumer = new Consumer({
    clientId: 'bench',
    groupId: 'bench',
    bootstrapBrokers: [broker.address],
    retries: true,
  });
  const stream = await waitFor(
    () => consumer.consume({ topics: ['subtrees'], mode: 'earliest', autocommit: false, maxWaitTime: 20 }),
    {
      what: 'the topic',
    },
  );
  stream.on('data', ({ value }) => {
    records.push({ value: value as unknown as Buffer, atMs: performance.timeOrigin + performance.now() });
  });
  return {
    peerId: server.peerId,
    address: server.address,
    usage: async () => ({
      received: records.length,
      cpuMicros: server.cpuMicros(),
      rssBytes: server.memoryBytes(),
    }),
    summary: async () => {
      const hashes = new Set<string | undefined>();
      const latenciesMs = records.map(({ value, atMs }) => {
        const { 1: hash, 2: url } = protobufStrings(value);
        hashes.add(hash);
        return atMs - Number(url?.slice(url.indexOf('/t=') + 3)) / 1e6;
      });
      latenciesMs.splice(0, from);
      latenciesMs.sort((a, b) => a - b);
      const quantile = (q: number) => latenciesMs[Math.min(latenciesMs.length - 1, Math.floor(q * latenciesMs.length))];
      return { unique: hashes.size, p50Ms: quantile(0.5) ?? 0, p99Ms: quantile(0.99) ?? 0 };
    },
    forget: async () => {
      from = records.length;
    },
    stop: async () => {
      await stream.close();
      await consumer.close(true);
      await server.stop();
      await broker.stop();
    },
  };
}

/** Its client is a Go program, so that what it costs is not counted as the server's. */
async function webSocketReceiver(): Promise<Receiver> {
  const server = await ServerProcess.start({ settings: settings() });
  const clients = new GoWsClients();
  const group = 'bench';
  await clients.open({ group, url: `ws://${server.ready.httpAddress}/p2p-ws`, clients: 1, measures: true });
  return {
    peerId: server.peerId,
    address: server.address,
    usage: async () => ({
      received: (await clients.report(group)).types.subtree?.max ?? 0,
      cpuMicros: server.cpuMicros(),
      rssBytes: server.memoryBytes(),
    }),
    summary: () => clients.measured(group),
    forget: () => clients.measured(group, true),
    stop: async () => {
      await clients.stop();
      await server.stop();
    },
  };
}

async function measure(name: string, ratePerSecond: number, seconds: number): Promise<Result> {
  const startReceiver = RECEIVERS[name];
  if (startReceiver === undefined) throw new Error(`no receiver "${name}" (expected ${Object.keys(RECEIVERS)})`);
  const receiver = await startReceiver();
  const publisher = await (isBus ? busPublisher : goP2pPublisher)();
  try {
    await publisher.connect(receiver.address);
    await waitFor(() => publisher.hasInMesh(receiver.peerId), { what: 'the mesh' });
    // The same warm-up for all, so that compilation is not counted.
    await run(publisher, receiver, 2 * ratePerSecond, ratePerSecond);
    const uniqueBefore = (await receiver.summary()).unique;
    await receiver.forget();
    const droppedBefore = await publisher.dropped(receiver.peerId);
    const before = await receiver.usage();
    const published = seconds * ratePerSecond;
    const after = await run(publisher, receiver, published, ratePerSecond);
    const received = after.received - before.received;
    const droppedByPublisher = (await publisher.dropped(receiver.peerId)) - droppedBefore;
    // What came twice is in the place of something that may still come.
    await allOrQuiet(async () => (await receiver.summary()).unique, uniqueBefore + published);
    const summary = await receiver.summary();
    const unique = summary.unique - uniqueBefore;
    return {
      receiver: name,
      ratePerSecond,
      published,
      received,
      unique,
      lost: published - unique,
      droppedByPublisher,
      cpuMicrosPerMessage: Math.round((after.cpuMicros - before.cpuMicros) / Math.max(1, received)),
      p50Ms: round(summary.p50Ms),
      p99Ms: round(summary.p99Ms),
      memoryMiB: Math.round(after.rssBytes / 1048576),
    };
  } finally {
    await publisher.stop();
    await receiver.stop();
  }
}

/** Publishes, then waits until all is received or nothing more comes. */
async function run(publisher: Publisher, receiver: Receiver, count: number, ratePerSecond: number): Promise<Usage> {
  const start = (await receiver.usage()).received;
  const already = await publisher.published();
  await publisher.publishMany(count, ratePerSecond);
  const timeoutMs = (count / ratePerSecond) * 3000 + 60_000;
  await waitFor(async () => (await publisher.published()) === already + count, {
    timeoutMs,
    what: 'publishing',
  });
  await allOrQuiet(async () => (await receiver.usage()).received, start + count);
  return await receiver.usage();
}

/** Until so many have come, or nothing more comes. */
async function allOrQuiet(count: () => Promise<number>, all: number): Promise<void> {
  let last = -1;
  let movedMs = performance.now();
  const ended = async () => {
    const now = await count();
    if (now !== last) [last, movedMs] = [now, performance.now()];
    return now >= all || performance.now() - movedMs > GRACE_MS;
  };
  await waitFor(ended, { timeoutMs: 300_000, what: 'the rest' });
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}

const results: Result[] = [];
for (const ratePerSecond of values.rates.split(',').map(Number)) {
  let go: Result | undefined;
  for (const name of values.only?.split(';') ?? Object.keys(RECEIVERS)) {
    const result = await measure(name, ratePerSecond, Number(values.seconds));
    if (name === 'go') go = result;
    if (go !== undefined) result.ratioToGo = round(result.cpuMicrosPerMessage / go.cpuMicrosPerMessage);
    results.push(result);
    process.stderr.write(`${JSON.stringify(result)}\n`);
  }
}
process.stdout.write(
  `${JSON.stringify({ benchmark: 'gossip', wire: values.wire, cores: cpus().length, node: process.version, results }, null, 2)}\n`,
);
process.exit(0);
