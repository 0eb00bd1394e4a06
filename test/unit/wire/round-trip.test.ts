// Whatever a message holds, it is the same after it was encoded and decoded.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Hash } from '../../../src/domain/ids.ts';
import { decodeBlock, encodeBlock } from '../../../src/wire/block.ts';
import type { Decoded } from '../../../src/wire/fault.ts';
import { decodeHandshake, encodeHandshake } from '../../../src/wire/handshake.ts';
import { compactFromTarget, targetFromCompact } from '../../../src/wire/header.ts';
import { decodeMiningOn, encodeMiningOn } from '../../../src/wire/mining-on.ts';
import { decodeNodeStatus, encodeNodeStatus } from '../../../src/wire/node-status.ts';
import { decodeSubtree, encodeSubtree } from '../../../src/wire/subtree.ts';
import { recordedTexts } from '../../support/recorded.ts';

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex') as Hash);
const text = fc.string({ unit: 'binary', maxLength: 200 }).map((value) => value.toWellFormed());
const uint64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const uint32 = fc.integer({ min: 0, max: 0xffffffff });

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

test('a target is rounded down to its compact form', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: (1n << 256n) - 1n }), (target) => {
      const rounded = targetFromCompact(compactFromTarget(target));
      return rounded !== undefined && rounded <= target && rounded * 0x10000n >= target;
    }),
  );
});
