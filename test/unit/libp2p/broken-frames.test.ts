// Who is charged for what gossipsub drops: only what the neighbour itself must have written.
import type { GossipSub } from '@libp2p/gossipsub';
import { peerIdFromString } from '@libp2p/peer-id';
import { describe, expect, test } from 'vitest';
import { reportBrokenFrames } from '../../../src/adapters/libp2p/gossipsub/malformed-rpc.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';

const NEIGHBOUR = peer(1);
const id = peerIdFromString(NEIGHBOUR);

function setUp() {
  const metrics = new RecordedMetrics();
  const charged: string[] = [];
  const handled: unknown[] = [];
  const ended: Error[] = [];
  const library = {
    // As a decoder that takes nothing: what is wrong with a frame is judged on our side.
    decodeRpc: (bytes: Uint8Array): unknown => {
      if (bytes[0] === 0) return 'an RPC';
      throw new RangeError('index out of range');
    },
    handleReceivedRpc: async (_from: unknown, rpc: unknown) => {
      handled.push(rpc);
    },
    handlePeerReadStreamError: (error: Error) => {
      ended.push(error);
    },
    validateReceivedMessage: async (_relay: unknown, message: unknown) => ({ error: message as string }),
  };
  reportBrokenFrames(library as unknown as GossipSub, metrics, (peerId) => charged.push(peerId));
  const counted = (kind: string) => metrics.count('teranode_p2p_broken_frames_total', { kind });
  return { library, charged, handled, ended, counted };
}

describe('a frame that does not decode', () => {
  test.each([
    ['text', Buffer.from('no protobuf'), true],
    ['bytes of ones', Buffer.alloc(40, 0xff), true],
    ['a field number of 0', Buffer.from('0200', 'hex'), true],
    ['a length beyond its end', Buffer.from('120501', 'hex'), true],
    ['an endless length', Buffer.concat([Buffer.from([0x12]), Buffer.alloc(11, 0x80)]), true],
    ['a tag without a value', Buffer.from('08', 'hex'), true],
    ['a fixed number that is cut', Buffer.from('0d010203', 'hex'), true],
    ['an end of nothing', Buffer.from('0c', 'hex'), true],
    ['a message with rubbish in it', Buffer.from('1203ffffff', 'hex'), false],
    ['a message that is cut inside', Buffer.from('12020a7f', 'hex'), false],
    ['fields that nobody knows', Buffer.from('5001590102030405060708620155650102030412020a7f', 'hex'), false],
    ['a known field with a tag of six bytes', Buffer.from('92808080800002ffff', 'hex'), false],
    ['nothing at all', Buffer.alloc(0), false],
  ])('%s: charged to the neighbour: %s', async (_what, bytes, isCharged) => {
    const { library, charged, handled, counted } = setUp();
    await library.handleReceivedRpc(id, library.decodeRpc(bytes));
    expect(charged).toEqual(isCharged ? [NEIGHBOUR] : []);
    expect(counted(isCharged ? 'undecodable' : 'undecodable_inside')).toBe(1);
    expect(handled).toEqual([]);
  });

  test('what decodes goes on', async () => {
    const { library, charged, handled } = setUp();
    await library.handleReceivedRpc(id, library.decodeRpc(Buffer.from([0])));
    expect({ charged, handled }).toEqual({ charged: [], handled: ['an RPC'] });
  });
});

test.each([
  ['InvalidDataLengthLengthError', 'length', true],
  ['InvalidMessageLengthError', 'length', true],
  ['InvalidDataLengthError', 'too_large', false],
  ['UnexpectedEOFError', undefined, false],
  ['StreamResetError', undefined, false],
])('a stream that ends with %s is counted as %s, charged: %s', (name, kind, isCharged) => {
  const { library, charged, ended, counted } = setUp();
  const error = Object.assign(new Error('the end'), { name });
  (library.handlePeerReadStreamError as (error: Error, peerId: unknown) => void)(error, id);
  expect(charged).toEqual(isCharged ? [NEIGHBOUR] : []);
  expect(['length', 'too_large'].filter((each) => counted(each) > 0)).toEqual(kind === undefined ? [] : [kind]);
  expect(ended).toEqual([error]);
});

test('a signature that does not verify is counted and charged to nobody, other faults are neither', async () => {
  const { library, charged, counted } = setUp();
  for (const error of ['invalid_signature', 'invalid_seqno', undefined])
    await library.validateReceivedMessage(id, error);
  expect(charged).toEqual([]);
  expect(counted('signature')).toBe(1);
});
