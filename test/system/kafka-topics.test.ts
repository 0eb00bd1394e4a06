// What others do to the topics that a server uses: narrow them, delete them, widen them, read them in the same group;
// and brokers that are none.
import { Admin } from '@platformatic/kafka';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KafkaProducer } from '../../src/adapters/kafka/producer.ts';
import { topicChanged } from '../../src/adapters/kafka/topic-watch.ts';
import type { ConsumedMessage } from '../../src/ports/consumer.ts';
import { parseKafkaUrl } from '../../src/settings/kafka-url.ts';
import { countingProxy } from '../support/counting-proxy.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { partsFor, signal } from '../support/kafka-parts.ts';
import { readTopic } from '../support/kafka-reader.ts';
import { silentBroker } from '../support/silent-broker.ts';
import { textOf } from '../support/text-codec.ts';
import { waitFor } from '../support/wait.ts';

describe('topics that change while they are used', () => {
  let broker: KafkaBroker;
  let admin: Admin;

  beforeAll(async () => {
    broker = await KafkaBroker.start();
    admin = new Admin({ clientId: 'test', bootstrapBrokers: [broker.address], retries: 5 });
  });

  afterAll(async () => {
    await admin?.close();
    await broker?.stop();
  });

  const publish = (producer: KafkaProducer<string>, texts: readonly string[]) => {
    for (const text of texts) producer.publish(text);
  };
  /**
   * The broker goes on with a topic for some time after it has said that it is deleted; readers may make it again at
   * once.
   */
  const gone = (topics: readonly string[]) =>
    waitFor(
      async () => {
        const left = await admin.listTopics();
        return topics.every((each) => !left.includes(each));
      },
      { timeoutMs: 3000, what: 'the deletion' },
    ).catch(() => undefined);
  const collector = (got: string[]) => (message: ConsumedMessage<string>) => {
    got.push(textOf(message));
  };

  test('a message that is too large for the broker is dropped and counted, and later messages arrive', async () => {
    const configs = [{ name: 'max.message.bytes', value: '1000' }];
    await admin.createTopics({ topics: ['narrow'], partitions: 1, replicas: 1, configs });
    const { producer: make, metrics } = partsFor(broker.address);
    const producer = make('narrow');
    const small = Array.from({ length: 50 }, (_each, i) => `${i}`.padStart(100, '0'));
    publish(producer, [...small.slice(0, 25), 'x'.repeat(5000), ...small.slice(25)]);
    await producer.start(signal);
    await waitFor(() => producer.pending() === 0, { what: 'all messages' });
    await producer.stop();
    expect(metrics.count('teranode_p2p_kafka_dropped_total', { reason: 'too_large' })).toBe(1);
    expect((await readTopic(broker.address, 'narrow', (count) => count >= 50)).map(String)).toEqual(small);
  });

  test('a topic that may not be configured is used as it is', async () => {
    await admin.createTopics({ topics: ['theirs'], partitions: 1, replicas: 1 });
    const { producer: make, consumer: read, log } = partsFor(broker.address);
    // Kafka 4 takes no segments below 1 MiB.
    const producer = make('theirs', undefined, 'segment_bytes=1000');
    const consumer = read('theirs', 'g', { query: 'segment_bytes=1000' });
    const got: string[] = [];
    await producer.start(signal);
    await consumer.start(collector(got), signal);
    publish(producer, ['x']);
    await waitFor(() => got.length === 1, { what: 'the record' });
    expect(log.lines.map(({ event }) => event)).toContain('cannot configure Kafka topic, using it as it is');
    await Promise.all([producer.stop(), consumer.stop()]);
  });

  test('a topic that is deleted while we produce to it is created again and loses no later message', async () => {
    const { producer: make } = partsFor(broker.address);
    const producer = make('gone');
    await producer.start(signal);
    publish(producer, ['before']);
    await waitFor(() => producer.pending() === 0, { what: 'the first record' });
    await admin.deleteTopics({ topics: ['gone'] });
    await gone(['gone']);
    publish(producer, ['after', 'later']);
    await waitFor(() => producer.pending() === 0, { what: 'the records after the deletion' });
    await producer.stop();
    expect((await readTopic(broker.address, 'gone', (count) => count >= 2)).map(String)).toEqual(['after', 'later']);
  });

  test('topics of one group that are deleted while we read them are created again and read', async () => {
    const { producer: make, consumer: read } = partsFor(broker.address);
    const got: string[] = [];
    const topics = ['lost-a', 'lost-b'];
    const consumers = topics.map((topic) => read(topic, '', { group: 'lost' }));
    const producers = topics.map((topic) => make(topic));
    for (const consumer of consumers) await consumer.start(collector(got), signal);
    for (const producer of producers) await producer.start(signal);
    for (const [i, producer] of producers.entries()) publish(producer, [`before ${i}`]);
    await waitFor(() => got.length === 2, { what: 'the first records' });
    await admin.deleteTopics({ topics });
    await gone(topics);
    for (const [i, producer] of producers.entries()) publish(producer, [`after ${i}`]);
    await waitFor(() => got.length === 4, { timeoutMs: 60_000, what: 'the records after the deletion' });
    expect(got.slice(2).sort()).toEqual(['after 0', 'after 1']);
    await Promise.all([...producers, ...consumers].map((each) => each.stop()));
  });

  test('partitions that are added while we read are read too', async () => {
    const { producer: make, consumer: read } = partsFor(broker.address);
    const got: string[] = [];
    const consumer = read('wider', 'g');
    await consumer.start(collector(got), signal);
    const producer = make('wider');
    await producer.start(signal);
    publish(producer, ['one']);
    await waitFor(() => got.length === 1, { what: 'the first record' });
    await producer.stop();
    await admin.createPartitions({ topics: [{ name: 'wider', count: 4, assignments: null as never }] });
    const wide = make('wider');
    await wide.start(signal);
    const texts = Array.from({ length: 20 }, (_each, i) => `${i}`);
    publish(wide, texts);
    await waitFor(() => got.length === 21, { timeoutMs: 60_000, what: 'the records of all partitions' });
    expect(new Set(got.slice(1))).toEqual(new Set(texts));
    await Promise.all([wide.stop(), consumer.stop()]);
  });

  test('handled records of every partition are committed', async () => {
    await admin.createTopics({ topics: ['several'], partitions: 3, replicas: 1 });
    const { producer: make, consumer: read } = partsFor(broker.address);
    const producer = make('several');
    await producer.start(signal);
    publish(
      producer,
      Array.from({ length: 60 }, (_each, i) => `${i}`),
    );
    await waitFor(() => producer.pending() === 0, { what: 'the records' });
    const got: string[] = [];
    const first = read('several', 'g');
    await first.start(collector(got), signal);
    await waitFor(() => got.length >= 60, { what: 'all of them' });
    await first.stop();
    const second = read('several', 'g');
    await second.start(collector(got), signal);
    publish(producer, ['x', 'y', 'z']);
    await waitFor(() => ['x', 'y', 'z'].every((each) => got.includes(each)), { what: 'the records after it' });
    expect(got).toHaveLength(63);
    await Promise.all([producer.stop(), second.stop()]);
  });

  test('three consumers that watch topics of the same brokers share one connection, which they keep', async () => {
    const topics = ['watched-a', 'watched-b', 'watched-c'];
    for (const topic of topics) await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 });
    const proxy = await countingProxy(broker.address);
    const stop = new AbortController();
    const connection = (topic: string) => ({
      url: parseKafkaUrl(`kafka://${proxy.address}/${topic}`),
      clientId: 'test',
      tls: undefined,
    });
    const watches = topics.map((topic) => topicChanged(connection(topic), stop.signal, { intervalMs: 50 }));
    await waitFor(() => proxy.requests() >= 60, { timeoutMs: 30_000, what: 'ten checks of each topic' });
    expect(proxy.accepted()).toBe(1);
    stop.abort();
    await Promise.all(watches);
    await waitFor(() => proxy.open() === 0, { timeoutMs: 2000, what: 'the end of the connection' });
    await proxy.stop();
  });

  test('consumers that join and leave a group make no other consumer handle a record twice', async () => {
    const { producer: make, consumer: read } = partsFor(broker.address);
    const seen: string[] = [];
    const producer = make('calm');
    const steady = read('calm', 'g');
    await producer.start(signal);
    await steady.start(async (message) => {
      seen.push(textOf(message));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }, signal);
    let sent = 0;
    const more = () => {
      publish(producer, [`${sent}`]);
      sent += 1;
    };
    const feed = setInterval(() => Array.from({ length: 10 }, more), 20);
    try {
      for (let round = 0; round < 3; round += 1) {
        const visitor = read(`visited-${round}`, '', { group: 'calm-g' });
        const visits = make(`visited-${round}`);
        const heard: string[] = [];
        await visits.start(signal);
        publish(visits, ['here']);
        await visitor.start(collector(heard), signal);
        await waitFor(() => heard.length > 0, { timeoutMs: 30_000, what: 'the visitor to be a member' });
        await Promise.all([visitor.stop(), visits.stop()]);
      }
    } finally {
      clearInterval(feed);
    }
    await waitFor(() => new Set(seen).size === sent, { timeoutMs: 60_000, what: 'all records' });
    expect(seen).toHaveLength(sent);
    await Promise.all([producer.stop(), steady.stop()]);
  });
});

describe('a first broker in the URL', () => {
  let broker: KafkaBroker;

  beforeAll(async () => {
    broker = await KafkaBroker.start();
  });

  afterAll(async () => {
    await broker?.stop();
  });

  test.each(['never answers', 'drops what it is told'])('that accepts connections and %s is skipped', async (what) => {
    const first = await silentBroker({ drops: what.startsWith('drops') });
    const { producer: make, consumer: read } = partsFor(`${first.address},${broker.address}`);
    const topic = what.replaceAll(' ', '-');
    const [producer, consumer] = [make(topic), read(topic, 'g')];
    const got: string[] = [];
    await producer.start(signal);
    await consumer.start((message) => {
      got.push(textOf(message));
    }, signal);
    producer.publish('x');
    await waitFor(() => got.length === 1, { timeoutMs: 60_000, what: 'the record' });
    await waitFor(async () => (await producer.probe(2000)).ok, { timeoutMs: 30_000, what: 'the probe' });
    await Promise.all([producer.stop(), consumer.stop()]);
    await first.stop();
  });
});
