import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { P2PError } from '../../../src/lib/errors.ts';
import { parseKafkaUrl } from '../../../src/settings/kafka-url.ts';

describe('Kafka URLs', () => {
  test('may have several brokers and every parameter', () => {
    const text =
      'kafka://a:9092,b.example:9093,[::1]:9094/blocks-x?partitions=8&replication=3&retention=60000&segment_bytes=33554432&flush_bytes=64&flush_messages=1&flush_frequency=1s&consumer_ratio=4&replay=0';
    expect(parseKafkaUrl(text)).toEqual({
      scheme: 'kafka',
      brokers: ['a:9092', 'b.example:9093', '[::1]:9094'],
      topic: 'blocks-x',
      partitions: 8,
      replication: 3,
      retentionMs: 60_000,
      segmentBytes: 33_554_432,
      flushBytes: 64,
      flushMessages: 1,
      flushIntervalMs: 1000,
      consumerRatio: 4,
      consumers: 2,
      replay: false,
    });
  });

  test('have defaults, with a flush interval of 2 ms', () => {
    expect(parseKafkaUrl('memory://host/t')).toMatchObject({
      scheme: 'memory',
      brokers: ['host:9092'],
      partitions: 1,
      replication: 1,
      retentionMs: 600_000,
      segmentBytes: 1_073_741_824,
      flushBytes: 1_048_576,
      flushMessages: 50_000,
      flushIntervalMs: 2,
      consumers: 1,
      replay: true,
    });
  });

  test('give at least one consumer', () => {
    expect(parseKafkaUrl('kafka://a/t?partitions=2&consumer_ratio=32').consumers).toBe(1);
  });

  test.each([
    'http://a/t',
    'kafka://a',
    'kafka:///t',
    'kafka://a/',
    'kafka://a,/t',
    'kafka://a:0/t',
    'kafka://a:99999/t',
    'kafka://a b/t',
    'kafka://a/t?partitions=0',
    'kafka://a/t?partitions=x',
    'kafka://a/t?replication=-1',
    'kafka://a/t?flush_frequency=soon',
    'kafka://a/t?replay=2',
    'kafka://a/t u',
  ])('that have %s are refused', (text) => {
    expect(() => parseKafkaUrl(text)).toThrow(P2PError);
  });

  test('parse from any text, or are refused with a code', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string().map((rest) => `kafka://a:1/t?${rest}`),
      fc.string().map((rest) => `kafka://${rest}/t`),
    );
    fc.assert(
      fc.property(text, (value) => {
        try {
          parseKafkaUrl(value);
        } catch (error) {
          expect(error).toMatchObject({ code: 'KAFKA_URL_INVALID' });
        }
      }),
    );
  });
});
