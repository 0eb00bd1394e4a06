// Inbound streams: what ends badly costs little, and nobody pays for it but who did it.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { Handshake } from '../../../src/handshake/handshake.ts';
import { P2PError } from '../../../src/lib/errors.ts';
import { encodeHandshake } from '../../../src/wire/handshake.ts';
import { FakeStream, message, OWN, PEER, pass, World } from './fixture.ts';

let world: World;
let handshake: Handshake;

beforeEach(() => {
  vi.useFakeTimers();
  world = new World();
  handshake = world.make();
});

afterEach(async () => {
  await handshake.stop();
  vi.useRealTimers();
});

const json = (changes: object) =>
  JSON.stringify({ ...JSON.parse(Buffer.from(encodeHandshake(message())).toString()), ...changes });

test('reads a stream with a size bound and a deadline', async () => {
  const stream = FakeStream.of(message());
  await handshake.streamHandler(stream);
  expect(stream.asked).toEqual([{ maxBytes: 16 * 1024, deadlineMs: 4000 }]);
});

describe('a stream without a message', () => {
  test.each<[string, Uint8Array | string | Error, string, string[]]>([
    ['nothing', new Uint8Array(), 'empty', []],
    ['noise', Buffer.from([0xff, 0, 1]), 'malformed', []],
    ['no object', '[]', 'malformed', []],
    ['no type', json({ type: '' }), 'malformed', []],
    ['another type', json({ type: 'block' }), 'malformed', []],
    ['a height beyond uint32', json({ bestHeight: 2 ** 32 }), 'malformed', []],
    ['half a hash', json({ bestHash: 'ab'.repeat(16) }), 'malformed', ['hash_form']],
    ['somebody else', json({ peerID: OWN }), 'author_mismatch', ['author_mismatch']],
    ['silence', new P2PError('TIMEOUT', 'late'), 'timeout', []],
    ['too much', new P2PError('MESSAGE_TOO_LARGE', 'large'), 'too_large', []],
    ['a reset', new P2PError('PEER_UNREACHABLE', 'broke'), 'broken', []],
    ['an unknown failure', new Error('odd'), 'broken', []],
  ])('%s: is counted, records nothing, and ends', async (_name, content, outcome, charged) => {
    const stream = new FakeStream(PEER, content);
    await handshake.streamHandler(stream);
    await pass(60_000);
    expect(world.count(outcome, { direction: 'in', way: 'stream' })).toBe(1);
    expect(world.metrics.count('teranode_p2p_handshakes_total')).toBe(1);
    expect(world.charged).toEqual(charged.map((rule) => ({ peerId: PEER, rule })));
    expect(world.heard).toEqual([]);
    expect(world.sent).toEqual([]);
    expect(stream.closed || stream.aborted !== undefined).toBe(true);
  });

  test('is aborted when it cannot be closed, and its message still counts', async () => {
    const stream = FakeStream.of(message());
    stream.close = () => Promise.reject(new Error('stuck'));
    await handshake.streamHandler(stream);
    expect(stream.aborted).toBeInstanceOf(Error);
    expect(world.heard).toHaveLength(1);
    expect(world.count('broken')).toBe(0);
  });
});

describe('many direct streams', () => {
  const silent = (peerId: PeerId) => {
    const stream = new FakeStream(peerId, 'silent');
    return { stream, done: handshake.streamHandler(stream) };
  };

  test('are limited to four per peer, without an effect on other peers', async () => {
    const all = Array.from({ length: 10 }, () => silent(PEER));
    expect(all.filter(({ stream }) => stream.aborted !== undefined)).toHaveLength(6);
    expect(world.count('refused')).toBe(6);
    const other = 'other' as PeerId;
    await handshake.streamHandler(FakeStream.of(message({ peerId: other }), other));
    expect(world.heard.map(({ peerId }) => peerId)).toEqual([other]);
    all[0]?.stream.abort(new P2PError('TIMEOUT', 'late'));
    await all[0]?.done;
    await handshake.streamHandler(FakeStream.of(message()));
    expect(world.heard).toHaveLength(2);
  });

  test('of many peers evict the oldest, so that an honest one is always read', async () => {
    const all = Array.from({ length: 1000 }, (_each, i) => silent(`peer-${i}` as PeerId));
    expect(world.metrics.gaugeValue('teranode_p2p_handshake_entries')).toBe(256);
    await handshake.streamHandler(FakeStream.of(message()));
    expect(world.heard).toHaveLength(1);
    await Promise.all(all.slice(0, 745).map(({ done }) => done));
    expect(world.count('pushed_out')).toBe(745);
    expect(all[744]?.stream.aborted).toBeInstanceOf(Error);
    expect(all[745]?.stream.aborted).toBeUndefined();
  });

  test('all end on stop, and new ones are refused', async () => {
    const all = Array.from({ length: 50 }, (_each, i) => silent(`peer-${i}` as PeerId));
    await handshake.stop();
    await Promise.all(all.map(({ done }) => done));
    expect(all.every(({ stream }) => stream.aborted !== undefined)).toBe(true);
    const late = FakeStream.of(message());
    await handshake.streamHandler(late);
    expect(late.aborted).toBeInstanceOf(Error);
    expect(world.heard).toEqual([]);
    expect(world.metrics.gaugeValue('teranode_p2p_handshake_entries')).toBe(0);
  });
});
