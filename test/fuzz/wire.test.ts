// No input throws: every decoder answers with a message or a fault, and what it writes it reads again.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeKafkaBlock,
  decodeKafkaInvalidBlock,
  decodeKafkaInvalidSubtree,
  decodeKafkaRejectedTx,
  decodeKafkaSubtree,
} from '../../src/adapters/kafka/codec.ts';
import type { Hash } from '../../src/domain/ids.ts';
import { decodersOf } from '../../src/gossip/messages.ts';
import { decodeBestBlock } from '../../src/wire/best-block.ts';
import { decodeBlock, encodeBlock } from '../../src/wire/block.ts';
import { writeEnvelope } from '../../src/wire/envelope.ts';
import type { Decoded } from '../../src/wire/fault.ts';
import { MESSAGE_BUS } from '../../src/wire/format.ts';
import { decodeHandshake, encodeHandshake } from '../../src/wire/handshake.ts';
import { parseHash } from '../../src/wire/hash.ts';
import { checkProofOfWork, compactFromTarget, parseHeader, targetFromCompact } from '../../src/wire/header.ts';
import { decodeMiningOn, encodeMiningOn } from '../../src/wire/mining-on.ts';
import { decodeNodeStatus, encodeNodeStatus } from '../../src/wire/node-status.ts';
import { decodePeerDiscovery } from '../../src/wire/peer-discovery.ts';
import { parsePeerId, peerIdFromPublicKey } from '../../src/wire/peer-id.ts';
import { decodeRejectedTx } from '../../src/wire/rejected-tx.ts';
import { decodeSubtree, encodeSubtree } from '../../src/wire/subtree.ts';
import { recordedTexts } from '../support/recorded.ts';

const onBus = decodersOf(MESSAGE_BUS);
/** As the message inside an envelope of message-bus. */
const inEnvelope =
  <T>(decode: (bytes: Uint8Array) => Decoded<T>) =>
  (bytes: Uint8Array) =>
    decode(writeEnvelope('x', bytes));

const DECODERS = {
  busBlock: onBus.block,
  busStatus: onBus.node_status,
  envelopedBlock: inEnvelope(onBus.block),
  envelopedSubtree: inEnvelope(onBus.subtree),
  envelopedRejectedTx: inEnvelope(onBus.rejected_tx),
  envelopedStatus: inEnvelope(onBus.node_status),
  decodeBlock,
  decodeSubtree,
  decodeMiningOn,
  decodeBestBlock,
  decodeRejectedTx,
  decodeHandshake,
  decodeNodeStatus,
  decodeKafkaBlock,
  decodeKafkaSubtree,
  decodeKafkaRejectedTx,
  decodeKafkaInvalidBlock,
  decodeKafkaInvalidSubtree,
};
const FIELD_NAMES = [
  'Hash',
  'Height',
  'DataHubURL',
  'PeerID',
  'Header',
  'TxID',
  'Reason',
  'type',
  'services',
  'bestHash',
  'uptime',
  'start_time',
  'block_assembly_details',
  'TxCount',
  'SizeInBytes',
  'subtrees',
  'name',
  'data',
  'ClientName',
  'peer_id',
  'best_block_hash',
  'chain_work',
  'fee_policy',
  'miningFee',
  'storage',
];
const recorded = ['block', 'subtree', 'miningon', 'rejected_tx', 'handshake', 'node_status'].flatMap((name) =>
  recordedTexts(`teranode-${name}.json`),
);
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex') as Hash);
const text = fc.string({ unit: 'binary', maxLength: 200 }).map((value) => value.toWellFormed());
const uint64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const uint32 = fc.integer({ min: 0, max: 0xffffffff });

describe.each(Object.entries(DECODERS))('decoder of %s', (_name, decode) => {
  const answers = (bytes: Uint8Array) => typeof decode(bytes).ok === 'boolean';

  test('survives random bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), answers));
  });

  test('survives random JSON with the names of real fields', () => {
    const object = fc.dictionary(fc.constantFrom(...FIELD_NAMES), fc.jsonValue({ maxDepth: 3 }));
    fc.assert(fc.property(object, (value) => answers(Buffer.from(JSON.stringify(value)))));
  });

  test('survives recorded messages with bytes changed, removed and inserted', () => {
    const change = fc.tuple(
      fc.constantFrom(...recorded),
      fc.nat(),
      fc.nat({ max: 40 }),
      fc.uint8Array({ maxLength: 40 }),
    );
    fc.assert(
      fc.property(change, ([message, at, cut, put]) => {
        const bytes = Buffer.from(message);
        const from = at % bytes.length;
        return answers(Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + cut)]));
      }),
    );
  });
});

function same(decoded: Decoded<unknown>, message: unknown): void {
  expect(decoded).toEqual({ ok: true, message });
}

describe('an encoded message decodes to the same message', () => {
  test('block', () => {
    const header = fc.option(fc.uint8Array({ minLength: 80, maxLength: 80 }), { nil: undefined });
    const message = fc.record({ hash, height: uint32, dataHubUrl: text, peerId: text, header });
    fc.assert(fc.property(message, (each) => same(decodeBlock(encodeBlock(each)), each)));
  });

  test('subtree', () => {
    const message = fc.record({ hash, dataHubUrl: text, peerId: text });
    fc.assert(fc.property(message, (each) => same(decodeSubtree(encodeSubtree(each)), each)));
  });

  test('mining on', () => {
    const message = fc.record({
      hash,
      previousHash: fc.option(hash, { nil: undefined }),
      dataHubUrl: text,
      peerId: text,
      height: uint32,
      miner: text,
      sizeInBytes: uint64,
      txCount: uint64,
    });
    fc.assert(fc.property(message, (each) => same(decodeMiningOn(encodeMiningOn(each)), each)));
  });

  test('handshake', () => {
    const type = fc.constantFrom('version' as const, 'verack' as const);
    const message = fc.record({
      type,
      peerId: text,
      bestHeight: uint32,
      bestHash: fc.option(hash, { nil: undefined }),
      dataHubUrl: text,
      userAgent: text,
      services: uint64,
      topicPrefix: text,
    });
    fc.assert(fc.property(message, (each) => same(decodeHandshake(encodeHandshake(each)), each)));
  });

  test('node status: floats and 64-bit numbers', () => {
    const known = decodeNodeStatus(Buffer.from(recordedTexts('teranode-node_status.json')[0] ?? ''));
    if (!known.ok) throw new Error(known.fault.detail);
    const uptime = fc.double({ min: 0, noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(uptime, fc.bigInt({ min: 0n, max: (1n << 63n) - 1n }), text, (seconds, startTime, clientName) => {
        const message = { ...known.message, uptime: seconds, startTime, clientName };
        expect(decodeNodeStatus(encodeNodeStatus(message))).toEqual({ ok: true, message });
      }),
    );
  });
});

describe('small parsers', () => {
  test('never throw, whatever the input', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => parseHash(value) === undefined || value.length === 64),
    );
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        (value) => parsePeerId(value) === undefined || parsePeerId(value) === value,
      ),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        decodePeerDiscovery(bytes);
        peerIdFromPublicKey(bytes);
        return (parseHeader(bytes) !== undefined) === (bytes.length === 80);
      }),
    );
  });

  test('decide for any 80 bytes whether they have work, and round compact targets down', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 80, maxLength: 80 }), uint32, (bytes, limit) =>
        ['ok', 'bad_target', 'insufficient_work'].includes(checkProofOfWork(bytes, limit)),
      ),
    );
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: (1n << 256n) - 1n }), (target) => {
        const rounded = targetFromCompact(compactFromTarget(target));
        return rounded !== undefined && rounded <= target && rounded * 0x10000n >= target;
      }),
    );
  });
});
