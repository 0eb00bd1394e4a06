// What comes: versions are answered, not too often; veracks are noted; other networks are refused; stop ends it all.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { Handshake } from '../../../src/handshake/handshake.ts';
import { ScriptedChain } from '../../fakes/scripted-chain.ts';
import { tracked } from '../../fakes/tracked.ts';
import { FakeStream, message, OLD_PREFIX, OLD_TOPIC, PEER, PREFIX, pass, TOPIC, World } from './fixture.ts';

const SECOND = 1000;
const BOTH = [
  [PREFIX, TOPIC],
  [OLD_PREFIX, OLD_TOPIC],
] as const;
let world: World;
let handshake: Handshake;

beforeEach(() => {
  vi.useFakeTimers();
  world = new World();
  handshake = world.make();
});

afterEach(async () => {
  const stopping = handshake.stop();
  await pass(SECOND);
  await stopping;
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function peers(count: number): PeerId[] {
  const ids = Array.from({ length: count }, (_each, i) => `peer-${i}` as PeerId);
  for (const id of ids) world.connected.add(id);
  return ids;
}

describe('a version', () => {
  test('on a stream is answered on a new stream, and its stream is closed', async () => {
    const stream = FakeStream.of(message());
    await handshake.streamHandler(stream);
    await pass(0);
    expect(world.typesTo(PEER)).toEqual(['verack']);
    expect(stream.closed).toBe(true);
    expect(world.heard).toEqual([
      {
        peerId: PEER,
        patch: {
          claimed: { height: 2, hash: message().bestHash },
          services: message().services,
          dataHubUrl: message().dataHubUrl,
          userAgent: message().userAgent,
        },
      },
    ]);
    expect(world.heights.get(PEER)).toBe(2);
  });

  test('on the topic is answered on a stream to its author', async () => {
    handshake.topicMessage(message(), PEER);
    await pass(0);
    expect(world.typesTo(PEER)).toEqual(['verack']);
    expect(world.published).toEqual([]);
  });

  test('of an unconnected author is recorded, and the author is not dialled', async () => {
    world.connected.clear();
    handshake.topicMessage(message(), PEER);
    await pass(60 * SECOND);
    expect(world.sent).toEqual([]);
    expect(world.heard).toHaveLength(1);
    expect(world.count('not_connected')).toBe(1);
  });

  test('that is repeated on any way is answered once per interval', async () => {
    for (let i = 0; i < 100; i += 1) {
      handshake.topicMessage(message(), PEER);
      await handshake.streamHandler(FakeStream.of(message()));
      await pass(100);
    }
    // At once, after five seconds, and what is still owed after ten.
    expect(world.typesTo(PEER)).toHaveLength(3);
    await pass(60 * SECOND);
    expect(world.typesTo(PEER).length).toBeLessThanOrEqual(4);
  });

  test('that comes too soon after the last is answered when the interval is over', async () => {
    await handshake.streamHandler(FakeStream.of(message()));
    await pass(SECOND);
    handshake.topicMessage(message(), PEER);
    await pass(3900);
    expect(world.sent).toHaveLength(1);
    await pass(100);
    expect(world.typesTo(PEER)).toEqual(['verack', 'verack']);
    expect(world.count('held_back')).toBe(1);
    expect(world.count('sent', { type: 'verack' })).toBe(2);
  });

  test('on a new connection is answered at once', async () => {
    await handshake.streamHandler(FakeStream.of(message()));
    handshake.peerConnected(PEER);
    await handshake.streamHandler(FakeStream.of(message()));
    await pass(0);
    expect(world.typesTo(PEER).sort()).toEqual(['verack', 'verack', 'version']);
  });

  test('that cannot be answered is not retried for ever', async () => {
    let tries = 0;
    world.send = async () => {
      tries += 1;
      throw new Error('no');
    };
    for (let i = 0; i < 1000; i += 1) handshake.topicMessage(message(), PEER);
    await pass(60 * SECOND);
    expect(tries).toBeLessThanOrEqual(2);
    expect(world.count('failed', { type: 'verack' })).toBe(tries);
  });

  test('gossiped 10,000 times by unconnected authors is never answered', async () => {
    for (let i = 0; i < 10_000; i += 1) {
      const peerId = `stranger-${i}` as PeerId;
      handshake.topicMessage(message({ peerId }), peerId);
    }
    await pass(60 * SECOND);
    expect(world.sent).toEqual([]);
    expect(world.metrics.gaugeValue('teranode_p2p_handshake_entries')).toBe(0);
  });

  test('gossiped 10,000 times by 20 neighbours is answered twice each', async () => {
    const neighbours = peers(20);
    for (let i = 0; i < 10_000; i += 1) {
      const peerId = neighbours[i % 20] as PeerId;
      handshake.topicMessage(message({ peerId }), peerId);
    }
    await pass(60 * SECOND);
    expect(world.sent).toHaveLength(40);
  });

  test('gossiped by 10,000 neighbours stays within every bound', async () => {
    for (const peerId of peers(10_000)) handshake.topicMessage(message({ peerId }), peerId);
    const kept = world.metrics.gaugeValue('teranode_p2p_handshake_entries');
    expect(kept).toBeLessThanOrEqual(world.metrics.gaugeValue('teranode_p2p_handshake_entries_bound'));
    await pass(60 * SECOND);
    expect(world.sent.length).toBeLessThanOrEqual(4000);
    expect(world.sent.length).toBeGreaterThan(1000);
  });
});

describe('a verack', () => {
  test.each(['stream', 'topic'] as const)('on a %s is recorded and not answered', async (way) => {
    const verack = message({ type: 'verack' });
    if (way === 'stream') await handshake.streamHandler(FakeStream.of(verack));
    else handshake.topicMessage(verack, PEER);
    await pass(60 * SECOND);
    expect(world.heard).toHaveLength(1);
    expect(world.sent).toEqual([]);
    expect(world.count('accepted', { direction: 'in', type: 'verack', way })).toBe(1);
  });

  test.each(['version', 'verack'] as const)('or version (%s) of a peer that is ahead wakes the sync', async (type) => {
    handshake.topicMessage(message({ type, bestHeight: 2 }), PEER);
    handshake.topicMessage(message({ type, bestHeight: 1 }), PEER);
    handshake.topicMessage(message({ type, bestHeight: 9, bestHash: undefined }), PEER);
    await pass(0);
    expect(world.ahead).toEqual([PEER]);
  });

  test('is compared with a tip that is read once for a thousand messages', async () => {
    const chain = new ScriptedChain();
    const tracker = tracked(chain);
    world.latestTip = () => tracker.latestTip();
    for (let i = 0; i < 1000; i += 1)
      handshake.topicMessage(message({ type: 'verack', bestHeight: chain.best.height + 1 }), PEER);
    await pass(0);
    expect(chain.calls).toBe(1);
    expect(world.ahead).toHaveLength(1000);
  });
});

describe('a handshake from another network', () => {
  const foreign = message({ topicPrefix: 'teranode/bitcoin/1.0.0/testnet' });

  test.each(['stream', 'topic'] as const)(
    'on a %s is refused, counted, and disconnects its sender without a penalty',
    async (way) => {
      if (way === 'stream') await handshake.streamHandler(FakeStream.of(foreign));
      else handshake.topicMessage(foreign, PEER);
      await pass(60 * SECOND);
      expect(world.disconnected).toEqual([PEER]);
      expect(world.heard).toEqual([]);
      expect(world.sent).toEqual([]);
      expect(world.charged).toEqual([]);
      expect(world.count('other_prefix', { type: 'version', way })).toBe(1);
    },
  );

  test('of an unconnected author disconnects nobody', async () => {
    world.connected.clear();
    handshake.topicMessage(foreign, PEER);
    await pass(0);
    expect(world.disconnected).toEqual([]);
  });

  test('is logged with a cut prefix', async () => {
    await handshake.streamHandler(FakeStream.of(message({ topicPrefix: 'x'.repeat(1000) })));
    expect(String(world.log.lines.find(({ level }) => level === 'info')?.fields.topicPrefix)).toHaveLength(64);
  });

  test('disconnects and counts its sender each time, and is logged once per ten minutes', async () => {
    const lines = () => world.log.lines.filter(({ level }) => level === 'info').map(({ fields }) => fields);
    for (let i = 0; i < 600; i += 1) {
      await handshake.streamHandler(FakeStream.of(foreign));
      await pass(SECOND);
    }
    expect(world.disconnected).toHaveLength(600);
    expect(world.count('other_prefix')).toBe(600);
    expect(lines()).toMatchObject([{ peerId: PEER, unloggedBefore: 0 }]);
    await handshake.streamHandler(FakeStream.of(foreign));
    expect(lines()).toMatchObject([{ peerId: PEER }, { peerId: PEER, unloggedBefore: 599 }]);
  });

  test('is remembered for the log within a bound, however many peers come', async () => {
    for (const peerId of peers(5000)) handshake.topicMessage({ ...foreign, peerId }, peerId);
    expect(world.metrics.gaugeValue('teranode_p2p_handshake_entries', { kind: 'refusals' })).toBe(1000);
  });
});

describe('a node between two networks', () => {
  beforeEach(async () => {
    await handshake.stop();
    handshake = world.make({ networks: BOTH.map(([prefix, topic]) => world.network(prefix, topic)), topicSize: 0 });
  });

  test('accepts a further prefix and answers with the same prefix', async () => {
    await handshake.streamHandler(FakeStream.of(message({ topicPrefix: OLD_PREFIX })));
    await pass(0);
    expect(world.sent.map(({ text }) => JSON.parse(text).topicPrefix)).toEqual([OLD_PREFIX]);
  });

  test('publishes a version with the right prefix on each topic', async () => {
    handshake.start();
    await pass(SECOND);
    expect(world.published.map(({ topic, text }) => [topic, JSON.parse(text).topicPrefix])).toEqual([
      [TOPIC, PREFIX],
      [OLD_TOPIC, OLD_PREFIX],
    ]);
  });

  const prefixes = () => world.sent.map(({ text }) => JSON.parse(text).topicPrefix);

  test('holds a version back until the peer’s subscriptions are known, and uses their prefix', async () => {
    handshake.peerConnected(PEER);
    await pass(SECOND);
    expect(world.sent).toEqual([]);
    world.subscribers.set(OLD_TOPIC, [PEER]);
    await pass(50);
    expect(prefixes()).toEqual([OLD_PREFIX]);
    await pass(60 * SECOND);
    expect(prefixes()).toEqual([OLD_PREFIX]);
  });

  test('uses its own prefix with a peer that subscribes to both', async () => {
    world.subscribers.set(OLD_TOPIC, [PEER]);
    world.subscribers.set(TOPIC, [PEER]);
    handshake.peerConnected(PEER);
    await pass(0);
    expect(prefixes()).toEqual([PREFIX]);
  });

  test.each(['version', 'verack'] as const)(
    'or until its own %s has told, which goes before all else',
    async (type) => {
      handshake.peerConnected(PEER);
      await handshake.streamHandler(FakeStream.of(message({ type, topicPrefix: OLD_PREFIX })));
      world.subscribers.set(TOPIC, [PEER]);
      await pass(0);
      expect(world.typesTo(PEER).sort()).toEqual(type === 'version' ? ['verack', 'version'] : ['version']);
      expect(new Set(prefixes())).toEqual(new Set([OLD_PREFIX]));
    },
  );

  test('retries a version with the prefix that the peer has used meanwhile', async () => {
    world.subscribers.set(TOPIC, [PEER]);
    let tries = 0;
    world.send = async () => {
      tries += 1;
      if (tries === 1) throw new Error('protocol not supported');
    };
    handshake.peerConnected(PEER);
    await pass(0);
    handshake.topicMessage(message({ type: 'verack', topicPrefix: OLD_PREFIX }), PEER);
    await pass(10 * SECOND);
    expect(prefixes()).toEqual([OLD_PREFIX]);
  });

  test('sends a version with its own prefix after two seconds to a peer without subscriptions', async () => {
    handshake.peerConnected(PEER);
    await pass(1900);
    expect(world.sent).toEqual([]);
    await pass(100);
    expect(prefixes()).toEqual([PREFIX]);
  });

  test('sends no version to a peer that disconnected meanwhile', async () => {
    handshake.peerConnected(PEER);
    world.connected.delete(PEER);
    await pass(60 * SECOND);
    expect(world.sent).toEqual([]);
    expect(world.metrics.gaugeValue('teranode_p2p_handshake_entries')).toBe(0);
  });

  test('forgets the prefix of the previous connection', async () => {
    handshake.topicMessage(message({ type: 'verack', topicPrefix: OLD_PREFIX }), PEER);
    handshake.peerConnected(PEER);
    world.subscribers.set(TOPIC, [PEER]);
    await pass(SECOND);
    expect(prefixes()).toEqual([PREFIX]);
  });

  test('keeps nothing about unconnected authors', async () => {
    world.connected.clear();
    handshake.topicMessage(message({ topicPrefix: OLD_PREFIX }), PEER);
    expect(world.metrics.gaugeValue('teranode_p2p_handshake_entries')).toBe(0);
  });
});

describe('stop of the handshake', () => {
  test('ends everything that waits and starts nothing more', async () => {
    world.send = async () => {
      throw new Error('no');
    };
    handshake.start();
    handshake.peerConnected(PEER);
    handshake.topicMessage(message(), PEER);
    handshake.topicMessage(message(), PEER);
    await pass(0);
    await Promise.all([handshake.stop(), handshake.stop()]);
    expect(vi.getTimerCount()).toBe(0);
    const before = world.metrics.count('teranode_p2p_handshakes_total');
    handshake.peerConnected(PEER);
    handshake.topicMessage(message(), PEER);
    await pass(60 * SECOND);
    expect(world.published).toEqual([]);
    expect(world.metrics.count('teranode_p2p_handshakes_total')).toBe(before);
  });

  test('does not wait for peers that do not answer', async () => {
    world.send = () => new Promise(() => {});
    handshake.peerConnected(PEER);
    await pass(0);
    const stopping = handshake.stop();
    await pass(500);
    await expect(stopping).resolves.toBeUndefined();
  });
});
