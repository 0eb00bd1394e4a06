// Which peers are penalized for RPCs that gossipsub drops: only those that must have written them.
import { peerIdFromString } from '@libp2p/peer-id';
import { describe, expect, test } from 'vitest';
import {
  InvalidSignatures,
  MalformedLengths,
  MalformedRpcReport,
  UndecodableRpcs,
} from '../../../src/adapters/libp2p/gossipsub/malformed-rpc.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';

const PEER = peer(1);
const id = peerIdFromString(PEER);

function setUp() {
  const metrics = new RecordedMetrics();
  const penalized: string[] = [];
  const handled: unknown[] = [];
  const ended: Error[] = [];
  const report = new MalformedRpcReport(metrics, (peerId) => penalized.push(peerId));
  const rpcs = new UndecodableRpcs(report);
  const chain = {
    // A decoder that takes nothing but a zero: what is wrong with an RPC is our judgement.
    decodeRpc: rpcs.decodeRpc((bytes) => {
      if (bytes[0] === 0) return 'an RPC';
      throw new RangeError('index out of range');
    }),
    handleReceivedRpc: rpcs.handleReceivedRpc(async (_from, rpc) => {
      handled.push(rpc);
    }),
    handlePeerReadStreamError: new MalformedLengths(report).handlePeerReadStreamError((error) => {
      ended.push(error);
    }),
    validateReceivedMessage: new InvalidSignatures(report).validateReceivedMessage(async (_from, { data }) => ({
      code: 'invalid',
      reason: 'error',
      error: Buffer.from(data ?? []).toString(),
    })),
  };
  const counted = (kind: string) => metrics.count('teranode_p2p_broken_frames_total', { kind });
  return { chain, penalized, handled, ended, counted };
}

describe('RPCs', () => {
  test.each([
    ['text', Buffer.from('no protobuf'), true],
    ['bytes of ones', Buffer.alloc(40, 0xff), true],
    ['a field number of 0', Buffer.from('0200', 'hex'), true],
    ['a length beyond its end', Buffer.from('120501', 'hex'), true],
    ['an endless length', Buffer.concat([Buffer.from([0x12]), Buffer.alloc(11, 0x80)]), true],
    ['a tag without a value', Buffer.from('08', 'hex'), true],
    ['a fixed number that is cut', Buffer.from('0d010203', 'hex'), true],
    ['a group that ends without a beginning', Buffer.from('0c', 'hex'), true],
    ['a message with garbage in it', Buffer.from('1203ffffff', 'hex'), false],
    ['a message that is cut inside', Buffer.from('12020a7f', 'hex'), false],
    ['unknown fields', Buffer.from('5001590102030405060708620155650102030412020a7f', 'hex'), false],
    ['a known field with a tag of six bytes', Buffer.from('92808080800002ffff', 'hex'), false],
    ['no bytes', Buffer.alloc(0), false],
  ])('an RPC that does not decode (%s) penalizes the peer: %s', async (_what, bytes, isPenalized) => {
    const { chain, penalized, handled, counted } = setUp();
    await chain.handleReceivedRpc(id, chain.decodeRpc(bytes));
    expect(penalized).toEqual(isPenalized ? [PEER] : []);
    expect(counted(isPenalized ? 'undecodable' : 'undecodable_inside')).toBe(1);
    expect(handled).toEqual([]);
  });

  test('an RPC that decodes is passed on', async () => {
    const { chain, penalized, handled } = setUp();
    await chain.handleReceivedRpc(id, chain.decodeRpc(Buffer.from([0])));
    expect({ penalized, handled }).toEqual({ penalized: [], handled: ['an RPC'] });
  });
});

test.each([
  ['InvalidDataLengthLengthError', 'length', true],
  ['InvalidMessageLengthError', 'length', true],
  ['InvalidDataLengthError', 'too_large', false],
  ['UnexpectedEOFError', undefined, false],
  ['StreamResetError', undefined, false],
])('a stream that ends with %s is counted as %s; the peer is penalized: %s', (name, kind, isPenalized) => {
  const { chain, penalized, ended, counted } = setUp();
  const error = Object.assign(new Error('the end'), { name });
  chain.handlePeerReadStreamError(error, id);
  expect(penalized).toEqual(isPenalized ? [PEER] : []);
  expect(['length', 'too_large'].filter((each) => counted(each) > 0)).toEqual(kind === undefined ? [] : [kind]);
  expect(ended).toEqual([error]);
});

test('counts an invalid signature without penalizing the peer, and ignores other faults of a message', async () => {
  const { chain, penalized, counted } = setUp();
  for (const error of ['invalid_signature', 'invalid_seqno', ''])
    await chain.validateReceivedMessage(id, { topic: 'a topic', data: Buffer.from(error) });
  expect(penalized).toEqual([]);
  expect(counted('signature')).toBe(1);
});
