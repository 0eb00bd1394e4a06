// What producers and consumers promise, whatever stands behind the URL. Run for memory:// and for a real Kafka broker.
import { afterEach, expect, test } from 'vitest';
import type { Consumer } from '../../src/ports/consumer.ts';
import type { Producer } from '../../src/ports/producer.ts';
import type { RecordedMetrics } from '../fakes/recorders.ts';
import { textOf } from './text-codec.ts';
import { waitFor } from './wait.ts';

export interface BrokerUnderTest {
  readonly metrics: RecordedMetrics;
  producer(topic: string, bounds?: { maxMessages: number }): Producer<string>;
  consumer(topic: string, groupId: string, options?: { replay?: boolean }): Consumer<string>;
}

const signal = new AbortController().signal;
let topics = 0;

function freshTopic(): string {
  topics += 1;
  return `conformance-${process.pid}-${topics}`;
}

export function brokerConformance(setUp: () => BrokerUnderTest): void {
  const started: (Producer<string> | Consumer<string>)[] = [];

  afterEach(async () => {
    await Promise.all(started.splice(0).map((each) => each.stop()));
  });

  async function producing(broker: BrokerUnderTest, topic: string): Promise<Producer<string>> {
    const producer = broker.producer(topic);
    started.push(producer);
    await producer.start(signal);
    return producer;
  }

  async function consuming(
    broker: BrokerUnderTest,
    topic: string,
    groupId: string,
    options?: { replay?: boolean },
  ): Promise<string[]> {
    const got: string[] = [];
    const consumer = broker.consumer(topic, groupId, options);
    started.push(consumer);
    await consumer.start((message) => {
      got.push(textOf(message));
    }, signal);
    return got;
  }

  const texts = (count: number, name = 'm') => Array.from({ length: count }, (_each, i) => `${name}${i}`);
  const publish = (producer: Pick<Producer<string>, 'publish'>, all: readonly string[]) => {
    for (const text of all) producer.publish(text);
  };

  test('published messages arrive in order and once', async () => {
    const broker = setUp();
    const topic = freshTopic();
    const producer = await producing(broker, topic);
    publish(producer, texts(1000));
    const got = await consuming(broker, topic, 'g');
    await waitFor(() => got.length >= 1000, { timeoutMs: 30_000, what: '1,000 records' });
    expect(got).toEqual(texts(1000));
  });

  test('the broker’s acknowledgement of each message is reported once, and no drop', async () => {
    const producer = await producing(setUp(), freshTopic());
    const [delivered, dropped] = [[] as string[], [] as string[]];
    for (const text of texts(100))
      producer.publish(
        text,
        () => dropped.push(text),
        () => delivered.push(text),
      );
    await waitFor(() => delivered.length >= 100, { timeoutMs: 30_000, what: '100 acknowledgements' });
    await producer.stop();
    expect(delivered).toEqual(texts(100));
    expect(dropped).toEqual([]);
  });

  test('each group reads all records; the consumers of a group share them', async () => {
    const broker = setUp();
    const topic = freshTopic();
    const producer = await producing(broker, topic);
    const [one, two] = [await consuming(broker, topic, 'one'), await consuming(broker, topic, 'two')];
    const sharing = [await consuming(broker, topic, 'shared'), await consuming(broker, topic, 'shared')];
    publish(producer, texts(100));
    await waitFor(() => one.length >= 100 && two.length >= 100 && sharing.flat().length >= 100, {
      timeoutMs: 40_000,
      what: 'three groups',
    });
    expect([one, two]).toEqual([texts(100), texts(100)]);
    expect(sharing.flat().sort()).toEqual(texts(100).sort());
  });

  test('consumers of one group may read different topics, each all records of its own', async () => {
    const broker = setUp();
    const names = [freshTopic(), freshTopic(), freshTopic()];
    const producers = await Promise.all(names.map((topic) => producing(broker, topic)));
    const got = await Promise.all(names.map((topic) => consuming(broker, topic, 'mixed')));
    for (const [i, producer] of producers.entries()) publish(producer, texts(20, `t${i}-`));
    await waitFor(() => got.every((each) => each.length >= 20), { timeoutMs: 40_000, what: 'three topics' });
    expect(got).toEqual(names.map((_topic, i) => texts(20, `t${i}-`)));
  });

  test('a new group begins at the oldest record with replay, and after the newest without', async () => {
    const broker = setUp();
    const topic = freshTopic();
    const producer = await producing(broker, topic);
    publish(producer, texts(10, 'old'));
    const all = await consuming(broker, topic, 'all');
    await waitFor(() => all.length >= 10, { timeoutMs: 30_000, what: 'the old records' });
    const late = await consuming(broker, topic, 'late', { replay: false });
    // Published until the late group hears one: joining takes its time.
    let sent = 0;
    await waitFor(
      () => {
        publish(producer, [`new${sent}`]);
        sent += 1;
        return late.length > 0;
      },
      { timeoutMs: 30_000, what: 'a new record' },
    );
    expect(late.every((text) => text.startsWith('new'))).toBe(true);
  });

  test('a group continues where it stopped', async () => {
    const broker = setUp();
    const topic = freshTopic();
    const producer = await producing(broker, topic);
    publish(producer, texts(50, 'a'));
    const first: string[] = [];
    const consumer = broker.consumer(topic, 'g');
    await consumer.start((message) => {
      first.push(textOf(message));
    }, signal);
    await waitFor(() => first.length >= 50, { timeoutMs: 30_000, what: 'the first half' });
    await consumer.stop();
    publish(producer, texts(50, 'b'));
    const second = await consuming(broker, topic, 'g');
    await waitFor(() => second.length >= 50, { timeoutMs: 30_000, what: 'the second half' });
    expect(second.filter((text) => text.startsWith('b'))).toEqual(texts(50, 'b'));
    expect(second.filter((text) => text.startsWith('a')).length).toBeLessThanOrEqual(1);
  });

  test('a failing handler is counted, and the next record follows', async () => {
    const broker = setUp();
    const topic = freshTopic();
    const producer = await producing(broker, topic);
    publish(producer, texts(20));
    const seen: string[] = [];
    const consumer = broker.consumer(topic, 'g');
    started.push(consumer);
    await consumer.start((message) => {
      seen.push(textOf(message));
      if (seen.length % 2 === 0) throw new Error('no');
    }, signal);
    await waitFor(() => seen.length >= 20, { timeoutMs: 30_000, what: 'all records' });
    expect(seen).toEqual(texts(20));
    await waitFor(
      () => broker.metrics.count('teranode_p2p_kafka_consumed_total', { topic, outcome: 'failed' }) === 10,
      { what: 'ten failures' },
    );
  });

  test('a record that cannot be decoded reaches its handler as a fault, and the next one follows', async () => {
    const broker = setUp();
    const topic = freshTopic();
    const producer = await producing(broker, topic);
    publish(producer, ['before', 'undecodable', 'after']);
    const got = await consuming(broker, topic, 'g');
    await waitFor(() => got.length >= 3, { timeoutMs: 30_000, what: 'three records' });
    expect(got).toEqual(['before', 'not_protobuf', 'after']);
    await waitFor(
      () => broker.metrics.count('teranode_p2p_kafka_consumed_total', { topic, outcome: 'handled' }) === 3,
      { what: 'three handled records' },
    );
  });

  test('stop flushes accepted messages; later ones are dropped and counted', async () => {
    const broker = setUp();
    const topic = freshTopic();
    const producer = await producing(broker, topic);
    publish(producer, texts(500));
    await producer.stop();
    await producer.stop();
    publish(producer, ['late']);
    expect(broker.metrics.count('teranode_p2p_kafka_dropped_total', { topic, reason: 'stopped' })).toBe(1);
    const got = await consuming(broker, topic, 'g');
    await waitFor(() => got.length >= 500, { timeoutMs: 30_000, what: 'the flushed records' });
    expect(got).toEqual(texts(500));
  });

  test('the probe answers within its deadline', async () => {
    const broker = setUp();
    const topic = freshTopic();
    const producer = await producing(broker, topic);
    expect(await producer.probe(5000)).toMatchObject({ ok: true });
    expect(await broker.consumer(topic, 'g').probe(5000)).toMatchObject({ ok: true });
  });

  test('a full queue drops the oldest message', async () => {
    const broker = setUp();
    const topic = freshTopic();
    const producer = broker.producer(topic, { maxMessages: 10 });
    started.push(producer);
    // Not started: nothing leaves the queue yet.
    publish(producer, texts(25));
    await producer.start(signal);
    const got = await consuming(broker, topic, 'g');
    await waitFor(() => got.length >= 10, { timeoutMs: 30_000, what: 'the newest ten' });
    expect(got).toEqual(texts(25).slice(15));
  });
}
