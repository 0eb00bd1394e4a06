// What we hand to the node's other services, beside what the schema's own encoder writes.
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeKafkaBlock,
  decodeKafkaInvalidBlock,
  decodeKafkaInvalidSubtree,
  decodeKafkaRejectedTx,
  decodeKafkaSubtree,
  encodeKafkaBlock,
  encodeKafkaInvalidBlock,
  encodeKafkaInvalidSubtree,
  encodeKafkaRejectedTx,
  encodeKafkaSubtree,
} from '../../../src/adapters/kafka/codec.ts';
import type { Hash } from '../../../src/domain/ids.ts';
import { KafkaBlockTopicMessageSchema, KafkaSubtreeTopicMessageSchema } from '../../../src/gen/kafkamessage_pb.js';

const TOPICS = [
  ['block', KafkaBlockTopicMessageSchema, encodeKafkaBlock, decodeKafkaBlock],
  ['subtree', KafkaSubtreeTopicMessageSchema, encodeKafkaSubtree, decodeKafkaSubtree],
] as const;

const hashes = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex') as Hash);
// Any text, also what no UTF-8 can hold and what needs a longer length before it.
const texts = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.string({ maxLength: 20 }), fc.constant(''));

describe.each(TOPICS)('announcement of a %s', (_name, schema, encode, decode) => {
  test('is byte by byte what the schema’s encoder writes', () => {
    fc.assert(
      fc.property(fc.oneof(hashes, fc.constant('' as Hash)), texts, texts, (hash, url, peerId) => {
        expect(Buffer.from(encode({ hash, url, peerId }))).toEqual(
          Buffer.from(toBinary(schema, create(schema, { hash, URL: url, peerId }))),
        );
      }),
    );
  });

  test('that cannot be encoded leaves nothing in front of the next one', () => {
    const announcement = { hash: 'a1'.repeat(32) as Hash, url: 'https://hub.example/api', peerId: 'first' };
    const expected = encode(announcement);
    // No text fails; the encoder has written the hash and the tag of the URL when this one throws.
    const broken = { ...announcement, url: Object.create(null) as string };
    expect(() => encode(broken)).toThrow(TypeError);
    expect(encode(announcement)).toEqual(expected);
  });

  test('stays as it was when the next one is written', () => {
    const first = { hash: 'a1'.repeat(32) as Hash, url: 'https://first.example/api', peerId: 'first' };
    const second = { hash: 'b2'.repeat(32) as Hash, url: 'https://second.example/api', peerId: 'second' };
    const bytes = [encode(first), encode(second)];
    expect(bytes.map((each) => decode(each))).toEqual([
      { ok: true, message: first },
      { ok: true, message: second },
    ]);
  });
});

describe.each([
  ['an invalid block', encodeKafkaInvalidBlock, decodeKafkaInvalidBlock],
  ['an invalid subtree', encodeKafkaInvalidSubtree, decodeKafkaInvalidSubtree],
  ['a rejected transaction', encodeKafkaRejectedTx, decodeKafkaRejectedTx],
] as const)('report of %s', (_name, encode, decode) => {
  const hash = 'a1'.repeat(32) as Hash;
  const bytes = encode({ hash, txId: hash, peerUrl: 'https://hub.example', reason: 'r', peerId: '' });

  test('is read as it was written', () => {
    expect(decode(bytes)).toMatchObject({ ok: true, message: { reason: 'r', peerId: '' } });
    const named = encode({ hash, txId: hash, peerUrl: 'u', reason: 'r', peerId: '12D3Koo' });
    expect(decode(named)).toMatchObject({ ok: true, message: { reason: 'r', peerId: '12D3Koo' } });
  });

  test('is a fault when its bytes are something else', () => {
    const junk = ['', 'junk', '{"hash":"x"}', '\xff\xff\xff', '\x0a\x03abc', 'x'.repeat(70_000)];
    for (const text of junk) expect(decode(Buffer.from(text, 'latin1')).ok).toBe(false);
  });

  test('is a fault when it ends within its hash', () => {
    for (let cut = 1; cut < 66; cut += 1) expect(decode(bytes.subarray(0, cut)).ok).toBe(false);
  });
});

describe('reports as services of 2026 write them', () => {
  const hash = 'a1'.repeat(32) as Hash;
  const [fields, url, peerId] = [`0a40${Buffer.from(hash).toString('hex')}`, '7572', '3132'];

  test('an invalid block: reason, peer ID and URL are fields 2, 3 and 4', () => {
    const bytes = Buffer.from(`${fields}120172 1a02${peerId} 2202${url}`.replaceAll(' ', ''), 'hex');
    const report = { hash, reason: 'r', peerId: '12', peerUrl: 'ur' };
    expect(decodeKafkaInvalidBlock(bytes)).toEqual({ ok: true, message: report });
    expect(Buffer.from(encodeKafkaInvalidBlock(report))).toEqual(bytes);
  });

  test('an invalid subtree: URL, reason and peer ID are fields 2, 3 and 4', () => {
    const bytes = Buffer.from(`${fields}1202${url} 1a0172 2202${peerId}`.replaceAll(' ', ''), 'hex');
    const report = { hash, reason: 'r', peerId: '12', peerUrl: 'ur' };
    expect(decodeKafkaInvalidSubtree(bytes)).toEqual({ ok: true, message: report });
    expect(Buffer.from(encodeKafkaInvalidSubtree(report))).toEqual(bytes);
  });
});
