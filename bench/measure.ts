// One row: a publisher, a receiver, a rate.
import { waitFor } from '../test/support/wait.ts';
import { type Publisher, type PublisherKind, startPublisher } from './publishers.ts';
import type { Receiver, ReceiverOptions, Usage, Wire } from './receiver-port.ts';
import { RECEIVERS } from './receivers.ts';

/** How long a receiver may lag behind the publisher before what is missing counts as lost. */
const GRACE_MS = 5000;
/** The same warm-up for all, so that compilation is not counted: a server runs for days. */
const WARM_UP = { count: 30_000, ratePerSecond: 6000 };
/** Then at the rate that is measured. */
const SETTLE_SECONDS = 2;

export interface Row {
  readonly wire: Wire;
  readonly receiver: string;
  /** What verified signatures. */
  readonly verifier: string;
  readonly ratePerSecond: number;
  readonly publisher: PublisherKind;
  readonly published: number;
  /** What the publisher reached; below the rate, the publisher or the machine was too slow. */
  readonly publishedPerSecond: number;
  /** Times the rate, this is what the publisher needs of the machine's cores. */
  readonly publisherCpuMicrosPerMessage: number;
  /** Messages, one that came twice counted twice. */
  readonly received: number;
  /** Different announcements. */
  readonly unique: number;
  /** Published announcements that were not received. */
  readonly lost: number;
  /** Messages that the publisher's own queue dropped, because the receiver or the machine was slow. */
  readonly droppedByPublisher: number;
  /** Of the receiver, with what it does besides: at low rates that is most of it. */
  readonly cpuMicrosPerMessage: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly memoryMiB: number;
  readonly ratioToGo?: number;
}

export interface Load extends ReceiverOptions {
  readonly receiver: string;
  readonly ratePerSecond: number;
  readonly seconds: number;
  readonly publisher: PublisherKind;
}

export async function measure(load: Load): Promise<Row> {
  const { receiver: name, ratePerSecond, seconds, publisher: kind, ...options } = load;
  const startReceiver = RECEIVERS[name];
  if (startReceiver === undefined) throw new Error(`no receiver "${name}" (expected ${Object.keys(RECEIVERS)})`);
  const receiver = await startReceiver(options);
  const publisher = await startPublisher(options.wire, kind);
  try {
    await meet(publisher, receiver);
    await run(publisher, receiver, { first: 0, ...WARM_UP });
    const settle = SETTLE_SECONDS * ratePerSecond;
    await run(publisher, receiver, { first: WARM_UP.count, count: settle, ratePerSecond });
    const uniqueBefore = (await receiver.summary()).unique;
    await receiver.forget();
    const droppedBefore = await publisher.dropped(receiver.peerId);
    const before = await receiver.usage();
    const publisherBefore = await publisher.cpuMicros();
    const published = Math.round(seconds * ratePerSecond);
    const job = { first: WARM_UP.count + settle, count: published, ratePerSecond };
    const { usage: after, tookMs } = await run(publisher, receiver, job);
    const publisherMicros = (await publisher.cpuMicros()) - publisherBefore;
    const received = after.received - before.received;
    const droppedByPublisher = (await publisher.dropped(receiver.peerId)) - droppedBefore;
    // What came twice is in the place of something that may still come.
    await allOrQuiet(async () => (await receiver.summary()).unique, uniqueBefore + published);
    const summary = await receiver.summary();
    const unique = summary.unique - uniqueBefore;
    return {
      wire: options.wire,
      receiver: name,
      verifier: receiver.verifier,
      ratePerSecond,
      publisher: kind,
      published,
      publishedPerSecond: Math.round(published / (tookMs / 1000)),
      publisherCpuMicrosPerMessage: Math.round(publisherMicros / published),
      received,
      unique,
      lost: published - unique,
      droppedByPublisher,
      cpuMicrosPerMessage: Math.round((after.cpuMicros - before.cpuMicros) / Math.max(1, received)),
      p50Ms: round(summary.p50Ms),
      p99Ms: round(summary.p99Ms),
      p999Ms: round(summary.p999Ms),
      memoryMiB: Math.round(after.rssBytes / 1048576),
    };
  } finally {
    await publisher.stop();
    await receiver.stop();
  }
}

export async function meet(publisher: Publisher, { address, peerId }: Pick<Receiver, 'address' | 'peerId'>) {
  await publisher.connect(address);
  await waitFor(() => publisher.hasInMesh(peerId), { what: 'the mesh' });
}

interface Job {
  readonly first: number;
  readonly count: number;
  readonly ratePerSecond: number;
}

/** Publishes, then waits until all is received or nothing more comes. */
async function run(publisher: Publisher, receiver: Receiver, job: Job): Promise<{ usage: Usage; tookMs: number }> {
  const start = (await receiver.usage()).received;
  const tookMs = await publishAll(publisher, job);
  await allOrQuiet(async () => (await receiver.usage()).received, start + job.count);
  return { usage: await receiver.usage(), tookMs };
}

/** Resolves with the time that it took. */
export async function publishAll(publisher: Publisher, job: Job): Promise<number> {
  const already = (await publisher.status()).published;
  await publisher.publish(job);
  const timeoutMs = (job.count / job.ratePerSecond) * 3000 + 60_000;
  await waitFor(async () => (await publisher.status()).running === 0, { timeoutMs, what: 'publishing' });
  const { published, tookMs } = await publisher.status();
  if (published !== already + job.count) throw new Error(`${published - already} of ${job.count} messages published`);
  return tookMs;
}

/** Until so many have come, or nothing more comes. */
export async function allOrQuiet(count: () => Promise<number>, all: number): Promise<void> {
  let last = -1;
  let movedMs = performance.now();
  const ended = async () => {
    const now = await count();
    if (now !== last) [last, movedMs] = [now, performance.now()];
    return now >= all || performance.now() - movedMs > GRACE_MS;
  };
  await waitFor(ended, { timeoutMs: 300_000, what: 'the rest' });
}

export function round(value: number): number {
  return Math.round(value * 100) / 100;
}
