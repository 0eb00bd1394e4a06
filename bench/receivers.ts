// What is measured: a bare Go receiver, which verifies and counts, and our server with three kinds of consumers, and
// with signatures verified on threads.
import { spawn } from 'node:child_process';
import { Consumer } from '@platformatic/kafka';
import { messageBus } from '../test/support/bus-network.ts';
import { endWithTests, temporaryFolder } from '../test/support/cleanup.ts';
import { GoBus } from '../test/support/go-bus.ts';
import { GoPeer } from '../test/support/go-peer.ts';
import { GoWsClients } from '../test/support/go-ws.ts';
import { collectLines, type OutputLines } from '../test/support/json-lines.ts';
import { KafkaBroker } from '../test/support/kafka-broker.ts';
import { allTopics, kafkaSettings, PSK, privateNetwork } from '../test/support/network.ts';
import { COMPILE_CACHE, REPO } from '../test/support/repo.ts';
import { ServerProcess } from '../test/support/server-process.ts';
import { waitFor } from '../test/support/wait.ts';
import { Arrivals } from './arrivals.ts';
import {
  type Receiver,
  type ReceiverOptions,
  type Summary,
  subtreeTopic,
  type Usage,
  type Wire,
} from './receiver-port.ts';

/** Signatures verified beside the event loop: what that brings depends on the cores that the publisher leaves. */
const THREAD_ROWS = [
  ['ours, memory, 1 thread', 1],
  ['ours, memory, 2 threads', 2],
] as const;

function withThreads(threads: number) {
  return (options: ReceiverOptions) => memoryReceiver(options, { p2p_verify_threads: String(threads) });
}

/** Whether a receiver verifies on threads, which only the native addon does. */
export function hasThreads(receiver: string): boolean {
  return THREAD_ROWS.some(([name]) => name === receiver);
}

export const RECEIVERS: Readonly<Record<string, (options: ReceiverOptions) => Promise<Receiver>>> = {
  go: ({ wire }) => goReceiver(wire),
  'ours, memory': (options) => memoryReceiver(options),
  ...Object.fromEntries(THREAD_ROWS.map(([name, threads]) => [name, withThreads(threads)])),
  'ours, kafka': kafkaReceiver,
  'ours, websocket': webSocketReceiver,
};

/** As Teranode's nodes of each wire are, with the queues of the library. It delivers each message once. */
async function goReceiver(wire: Wire): Promise<Receiver> {
  const topic = subtreeTopic(wire);
  const peer =
    wire === 'message-bus'
      ? await GoBus.start({ network: 'regtest', discard: true, queues: 0 })
      : await GoPeer.start({ psk: PSK, topics: allTopics('regtest'), discard: true, validateQueue: 32 });
  const received = async () => (await peer.counts())[topic] ?? 0;
  return {
    peerId: peer.peerId,
    address: peer.addresses[0] ?? '',
    verifier: 'go',
    usage: async () => {
      const [count, { cpuMicros, rssBytes }] = await Promise.all([received(), peer.rusage()]);
      return { received: count, cpuMicros, rssBytes };
    },
    summary: async () => {
      const [unique, { p50Ms, p99Ms, p999Ms }] = await Promise.all([received(), peer.stats()]);
      return { unique, p50Ms, p99Ms, p999Ms };
    },
    forget: () => peer.forgetLatencies(),
    stop: () => peer.stop(),
  };
}

/** As `npm start` gives them to Node. */
export const NODE_OPTIONS = ['--max-semi-space-size=16'];

/** As shipped, apart from the rate limit of one author. */
export function serverSettings({ wire, verifier }: ReceiverOptions): Record<string, string> {
  const network = wire === 'message-bus' ? messageBus('regtest') : privateNetwork('regtest');
  return { ...network, p2p_verifier: verifier, p2p_author_rate: '0', logLevel: 'INFO' };
}

/** What verifies, by the log. */
export function verifierOfLog(output: OutputLines): string {
  return String(output.json.find((line) => line.verifier !== undefined)?.verifier);
}

/** The server and a consumer in one process. */
async function memoryReceiver(
  options: ReceiverOptions,
  more: Readonly<Record<string, string>> = {},
): Promise<Receiver> {
  const env = {
    PATH: process.env.PATH ?? '',
    dataFolder: temporaryFolder('bench'),
    p2p_port: '0',
    p2p_http_listen_address: '127.0.0.1:0',
    p2p_grpc_listen_address: '127.0.0.1:0',
    embedded_chain_lone_mine_interval: '',
    ...COMPILE_CACHE,
    ...serverSettings(options),
    ...more,
  };
  const stdio: ['pipe', 'pipe', 'inherit'] = ['pipe', 'pipe', 'inherit'];
  const child = spawn(process.execPath, [...NODE_OPTIONS, 'bench/receiver.ts'], { cwd: REPO, env, stdio });
  endWithTests(child);
  const output = collectLines(child.stdout);
  const ready = await waitFor(() => output.json.find((line) => line.event === 'ready'), {
    timeoutMs: 20_000,
    what: 'the receiver',
  });
  let asked = 0;
  const ask = async (what: 'usage' | 'summary' | 'forget') => {
    asked += 1;
    const number = asked;
    child.stdin.write(`${what}\n`);
    return await waitFor(() => output.json.find((line) => line.answer === number), { what: 'an answer' });
  };
  return {
    peerId: String(ready.peerId),
    address: (ready.listenAddresses as string[])[0] ?? '',
    verifier: verifierOfLog(output),
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

/** Its consumer is in this process, so that what it costs is not counted as the server's. */
async function kafkaReceiver(options: ReceiverOptions): Promise<Receiver> {
  const broker = await KafkaBroker.start();
  const settings = { ...serverSettings(options), ...kafkaSettings(broker.address) };
  const server = await ServerProcess.start({ settings });
  await waitFor(async () => (await server.get('/health/ready')).status === 200, { what: 'readiness' });
  const names = { clientId: 'bench', groupId: 'bench' };
  const consumer = new Consumer({ ...names, bootstrapBrokers: [broker.address], retries: true });
  const topic = { topics: ['subtrees'], mode: 'earliest', autocommit: false, maxWaitTime: 20 } as const;
  const stream = await waitFor(() => consumer.consume({ ...topic, topics: [...topic.topics] }), { what: 'the topic' });
  const arrivals = new Arrivals();
  stream.on('data', ({ value }) => arrivals.add(value as unknown as Buffer));
  return {
    peerId: server.peerId,
    address: server.address,
    verifier: verifierOfLog(server.output),
    usage: async () => ({
      received: arrivals.received,
      cpuMicros: server.cpuMicros(),
      rssBytes: server.memoryBytes(),
    }),
    summary: async () => arrivals.summary(),
    forget: async () => arrivals.forget(),
    stop: async () => {
      await stream.close();
      await consumer.close(true);
      await server.stop();
      await broker.stop();
    },
  };
}

/** Its client is a Go program, so that what it costs is not counted as the server's. */
async function webSocketReceiver(options: ReceiverOptions): Promise<Receiver> {
  const server = await ServerProcess.start({ settings: serverSettings(options) });
  const clients = new GoWsClients();
  const group = 'bench';
  await clients.open({ group, url: `ws://${server.ready.httpAddress}/p2p-ws`, clients: 1, measures: true });
  return {
    peerId: server.peerId,
    address: server.address,
    verifier: verifierOfLog(server.output),
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
