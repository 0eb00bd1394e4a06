// The handshakes recorded from the Teranode server: placed as it was, this node writes the very bytes.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { Handshake } from '../../../src/handshake/handshake.ts';
import { decodeHandshake } from '../../../src/wire/handshake.ts';
import { recordedFile } from '../../support/recorded.ts';
import { FakeStream, message, PEER, pass, TOPIC, World } from './fixture.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A node at the place of the one that said this. */
function inThePlaceOf(data: string): { world: World; handshake: Handshake } {
  const decoded = decodeHandshake(Buffer.from(data));
  if (!decoded.ok) throw new Error(decoded.fault.detail);
  const { peerId, bestHeight, bestHash, ...said } = decoded.message;
  const world = new World();
  world.ownId = peerId as PeerId;
  world.tip = { height: bestHeight, hash: bestHash };
  const networks = [world.network(said.topicPrefix, TOPIC)];
  return { world, handshake: world.make({ ...said, networks, topicSize: 0 }) };
}

const ASKER = 'asker' as PeerId;
const direct = recordedFile('teranode-direct-handshake.json').messages.filter(({ data }) => data?.includes('"verack"'));
const versions = recordedFile('teranode-handshake.json').messages;

test('recorded handshakes exist', () => {
  expect([direct.length, versions.length]).toEqual([1, 3]);
});

describe.each(direct)('the verack of $from', ({ data = '' }) => {
  test.each(['stream', 'topic'] as const)('answers a version on a %s with the same bytes', async (way) => {
    const { world, handshake } = inThePlaceOf(data);
    world.connected.add(ASKER);
    const version = message({ peerId: ASKER });
    if (way === 'stream') await handshake.streamHandler(FakeStream.of(version, ASKER));
    else handshake.topicMessage(version, ASKER);
    await pass(0);
    expect(world.sent).toEqual([{ peerId: ASKER, text: data }]);
    await handshake.stop();
  });
});

describe.each(versions)('the version of $from', ({ data = '', topic = '', from }) => {
  test('equals what we publish and send to a peer that connects in its place', async () => {
    const { world, handshake } = inThePlaceOf(data);
    handshake.start();
    handshake.peerConnected(PEER);
    await pass(5);
    expect(topic).toBe(TOPIC);
    expect(world.published).toEqual([{ topic, text: data }]);
    expect(world.sent).toEqual([{ peerId: PEER, text: data }]);
    await handshake.stop();
  });

  test.each(['stream', 'topic'] as const)('is recorded and answered on a %s', async (way) => {
    const world = new World();
    const handshake = world.make();
    const author = from as PeerId;
    world.connected.add(author);
    const decoded = decodeHandshake(Buffer.from(data));
    if (way === 'stream') await handshake.streamHandler(new FakeStream(author, data));
    else if (decoded.ok) handshake.topicMessage(decoded.message, author);
    await pass(0);
    expect(world.typesTo(author)).toEqual(['verack']);
    const { bestHeight: height, bestHash: hash } = JSON.parse(data);
    expect(world.heard[0]).toMatchObject({ peerId: author, patch: { claimed: { height, hash } } });
    await handshake.stop();
  });
});
