// Memory after many messages. Nothing in the measured process consumes what it announces: the embedded broker drops its
// oldest records, as it does for every operator who runs without Kafka.
import { ServerProcess } from '../test/support/server-process.ts';
import { allOrQuiet, meet, publishAll, type Row, round } from './measure.ts';
import { type PublisherKind, startPublisher } from './publishers.ts';
import { type Receiver, type ReceiverOptions, subtreeTopic, type Wire } from './receiver-port.ts';
import { RECEIVERS, serverSettings, verifierOfLog } from './receivers.ts';

const PARTS = 10;

export interface ManyMessages {
  readonly wire: Wire;
  readonly receiver: 'go' | 'ours';
  readonly verifier: string;
  readonly ratePerSecond: number;
  readonly messages: number;
  readonly received: number;
  readonly droppedByPublisher: Row['droppedByPublisher'];
  readonly publishedPerSecond: number;
  readonly cpuMicrosPerMessage: number;
  readonly memoryBeforeMiB: number;
  /** After each tenth of the messages; the last is that after all. */
  readonly memoryMiB: readonly number[];
}

interface ManyMessagesLoad {
  readonly messages: number;
  readonly ratePerSecond: number;
  readonly publisher: PublisherKind;
}

type Measured = Pick<Receiver, 'peerId' | 'address' | 'verifier' | 'usage' | 'stop'>;

export async function measureManyMessages(
  receiver: 'go' | 'ours',
  options: ReceiverOptions,
  { messages, ratePerSecond, publisher: kind }: ManyMessagesLoad,
): Promise<ManyMessages> {
  const measured = receiver === 'go' ? await RECEIVERS.go?.(options) : await plainServer(options);
  if (measured === undefined) throw new Error('no Go receiver');
  const publisher = await startPublisher(options.wire, kind);
  try {
    await meet(publisher, measured);
    const before = await measured.usage();
    const memoryMiB: number[] = [];
    const count = Math.ceil(messages / PARTS);
    let [after, tookMs] = [before, 0];
    for (let part = 0; part < PARTS; part += 1) {
      tookMs += await publishAll(publisher, { first: part * count, count, ratePerSecond });
      after = await measured.usage();
      memoryMiB.push(mebibytes(after.rssBytes));
    }
    await allOrQuiet(async () => (await measured.usage()).received, before.received + PARTS * count);
    after = await measured.usage();
    const received = after.received - before.received;
    return {
      wire: options.wire,
      receiver,
      verifier: measured.verifier,
      ratePerSecond,
      messages: PARTS * count,
      received,
      droppedByPublisher: await publisher.dropped(measured.peerId),
      publishedPerSecond: Math.round((PARTS * count) / (tookMs / 1000)),
      cpuMicrosPerMessage: round((after.cpuMicros - before.cpuMicros) / Math.max(1, received)),
      memoryBeforeMiB: mebibytes(before.rssBytes),
      memoryMiB,
    };
  } finally {
    await publisher.stop();
    await measured.stop();
  }
}

async function plainServer(options: ReceiverOptions): Promise<Measured> {
  const server = await ServerProcess.start({ settings: serverSettings(options) });
  const topic = `topic="${subtreeTopic(options.wire).replace(/^.*-/, '')}"`;
  return {
    peerId: server.peerId,
    address: server.address,
    verifier: verifierOfLog(server.output),
    usage: async () => ({
      received: await server.metric('teranode_p2p_gossip_messages_total', topic),
      cpuMicros: server.cpuMicros(),
      rssBytes: server.memoryBytes(),
    }),
    stop: async () => {
      await server.stop();
    },
  };
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 1048576);
}
