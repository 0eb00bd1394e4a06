// Producers and consumers on a real Apache Kafka broker: the same promises as in memory, topics as their URLs say,
// outages, TLS.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Admin } from '@platformatic/kafka';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kafkaTls } from '../../src/adapters/kafka/tls.ts';
import { brokerConformance } from '../support/broker-conformance.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { partsFor, signal } from '../support/kafka-parts.ts';
import { readRecords, readTopic } from '../support/kafka-reader.ts';
import { textOf } from '../support/text-codec.ts';
import { requireTool } from '../support/tools.ts';
import { waitFor } from '../support/wait.ts';

describe('kafka:// with a real broker', () => {
  let broker: KafkaBroker;

  beforeAll(async () => {
    broker = await KafkaBroker.start();
  });

  afterAll(async () => {
    await broker?.stop();
  });

  brokerConformance(() => partsFor(broker.address));

  test('20,000 messages arrive, none lost and none twice', async () => {
    const { producer: make } = partsFor(broker.address);
    const producer = make('many');
    await producer.start(signal);
    for (let i = 0; i < 20_000; i += 1) producer.publish(`${i}`);
    await producer.stop(20_000);
    const values = (await readTopic(broker.address, 'many', (count) => count >= 20_000)).map(String);
    expect(values).toHaveLength(20_000);
    expect(new Set(values).size).toBe(20_000);
  });

  test('records carry the key that their producer gives them, else none', async () => {
    const { producer: make } = partsFor(broker.address);
    const query = 'partitions=4';
    const keyed = make('keyed', undefined, query, { keyOf: (text) => `key of ${text}` });
    const plain = make('plain', undefined, query);
    const texts = Array.from({ length: 100 }, (_each, i) => `${i}`);
    for (const producer of [keyed, plain]) {
      await producer.start(signal);
      for (const text of texts) producer.publish(text);
      await producer.stop(20_000);
    }
    const pairs = async (topic: string) =>
      (await readRecords(broker.address, topic, (count) => count >= 100)).map(({ key, value }) => `${key}: ${value}`);
    expect((await pairs('keyed')).sort()).toEqual(texts.map((text) => `key of ${text}: ${text}`).sort());
    expect((await pairs('plain')).sort()).toEqual(texts.map((text) => `: ${text}`).sort());
  });

  test('a topic is created as its URL says, and an existing topic is reconfigured', async () => {
    const { producer: make } = partsFor(broker.address);
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: [broker.address] });
    const configuration = async () => {
      const [described] = await admin.describeConfigs({ resources: [{ resourceType: 2, resourceName: 'configured' }] });
      return Object.fromEntries((described?.configs ?? []).map(({ name, value }) => [name, value]));
    };
    const run = async (query: string) => {
      const producer = make('configured', undefined, query);
      await producer.start(signal);
      producer.publish('x');
      await waitFor(() => producer.pending() === 0, { timeoutMs: 20_000, what: 'the record' });
      await producer.stop();
    };
    await run('partitions=3&retention=60000&segment_bytes=33554432');
    expect(await configuration()).toMatchObject({
      'retention.ms': '60000',
      'delete.retention.ms': '60000',
      'segment.ms': '60000',
      'segment.bytes': '33554432',
    });
    const metadata = await admin.metadata({ topics: ['configured'] });
    expect(metadata.topics.get('configured')?.partitionsCount).toBe(3);
    await run('partitions=3&retention=120000&segment_bytes=1048576');
    expect(await configuration()).toMatchObject({
      'retention.ms': '120000',
      'segment.ms': '120000',
      'segment.bytes': '1048576',
    });
    await admin.close();
  });

  test('during an outage start resolves and publish does not block; when the broker is back everything arrives once', async () => {
    const { producer: make, log } = partsFor(broker.address);
    const producer = make('outage');
    await producer.start(signal);
    producer.publish('first');
    await waitFor(() => producer.pending() === 0, { timeoutMs: 20_000, what: 'the first record' });
    await broker.kill();
    const late = make('outage');
    await late.start(signal);
    for (let i = 0; i < 3000; i += 1) producer.publish(`a${i}`);
    for (let i = 0; i < 3000; i += 1) late.publish(`b${i}`);
    expect(await late.probe(1000)).toMatchObject({ ok: false });
    await waitFor(() => log.lines.some(({ event }) => event === 'Kafka unavailable'), {
      timeoutMs: 20_000,
      what: 'a warning',
    });
    await broker.up();
    await waitFor(() => producer.pending() + late.pending() === 0, { timeoutMs: 60_000, what: 'the queues to empty' });
    await Promise.all([producer.stop(), late.stop()]);
    const values = (await readTopic(broker.address, 'outage', (count) => count > 6001)).map(String);
    expect(values.length).toBe(6001);
    expect(new Set(values).size).toBe(6001);
    expect(log.lines.filter(({ level }) => level === 'warn').length).toBeLessThanOrEqual(3);
  });

  test('a consumer survives the broker’s restart', async () => {
    const { producer: make, consumer: read } = partsFor(broker.address);
    const producer = make('restart');
    const consumer = read('restart', 'g');
    const got = new Set<string>();
    await producer.start(signal);
    await consumer.start((message) => {
      got.add(textOf(message));
    }, signal);
    producer.publish('before');
    await waitFor(() => got.has('before'), { timeoutMs: 20_000, what: 'the first record' });
    await broker.kill();
    await broker.up();
    producer.publish('after');
    await waitFor(() => got.has('after'), { timeoutMs: 60_000, what: 'the record after the restart' });
    await Promise.all([producer.stop(), consumer.stop()]);
  });
});

describe('Kafka over TLS', () => {
  const folder = temporaryFolder('tls');
  const file = (name: string) => join(folder, name);
  let broker: KafkaBroker;

  /** An authority, and keys with certificates signed by it. */
  beforeAll(async () => {
    requireTool('openssl', ['version'], 'openssl');
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
      '-days',
      '2',
      '-subj',
      '/CN=test authority',
    );
    for (const name of ['broker', 'client']) {
      openssl(
        'req',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.csr`,
        '-subj',
        `/CN=${name}`,
      );
      writeFileSync(file(`${name}.ext`), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
      openssl(
        'x509',
        '-req',
        '-in',
        `${name}.csr`,
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
        '-CAcreateserial',
        '-days',
        '2',
        '-out',
        `${name}.pem`,
        '-extfile',
        `${name}.ext`,
      );
    }
    writeFileSync(
      file('store.pem'),
      Buffer.concat([readFileSync(file('broker.key')), readFileSync(file('broker.pem'))]),
    );
    broker = await KafkaBroker.start({
      tls: { keyStoreFile: file('store.pem'), trustStoreFile: file('ca.pem'), requiresClient: true },
    });
  });

  afterAll(async () => {
    await broker?.stop();
  });

  const client = {
    enabled: true,
    skipVerify: false,
    caFile: file('ca.pem'),
    certFile: file('client.pem'),
    keyFile: file('client.key'),
  };

  test('records pass with the right authority and client certificate', async () => {
    const { producer: make, consumer: read } = partsFor(broker.address, kafkaTls(client));
    const producer = make('secret');
    const consumer = read('secret', 'g');
    const got: string[] = [];
    await producer.start(signal);
    await consumer.start((message) => {
      got.push(textOf(message));
    }, signal);
    producer.publish('hello');
    await waitFor(() => got.length === 1, { timeoutMs: 30_000, what: 'the record' });
    expect(await producer.probe(5000)).toMatchObject({ ok: true });
    await Promise.all([producer.stop(), consumer.stop()]);
  });

  test("the broker's certificate is not verified when the setting says so", async () => {
    const { producer: make } = partsFor(broker.address, kafkaTls({ ...client, skipVerify: true, caFile: undefined }));
    expect(await make('secret').probe(5000)).toMatchObject({ ok: true });
  });

  test.each([
    ['without the authority', { ...client, caFile: undefined }],
    ['without a client certificate', { ...client, certFile: undefined, keyFile: undefined }],
    ['without TLS', { ...client, enabled: false }],
  ])('%s the probe fails and says why', async (_what, options) => {
    const { producer: make } = partsFor(broker.address, kafkaTls(options));
    const probe = await make('secret').probe(3000);
    expect(probe.ok).toBe(false);
    expect(probe.details).toContain(broker.address);
  });

  test('an unreadable file is refused with the name of its setting', () => {
    expect(() => kafkaTls({ ...client, caFile: file('nothing') })).toThrow(/KAFKA_TLS_CA_FILE/);
  });
});
