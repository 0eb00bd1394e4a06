// Whom we tell our version: those who connect, by stream and else by topic; the topic at start; and what we tell when
// our chain is silent.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { Handshake } from '../../../src/handshake/handshake.ts';
import { ScriptedChain } from '../../fakes/scripted-chain.ts';
import { tracked } from '../../fakes/tracked.ts';
import { message, OWN, PEER, PREFIX, pass, TOPIC, World } from './fixture.ts';

const SECOND = 1000;
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

describe('a peer that connects', () => {
  test('gets our version on a stream', async () => {
    handshake.peerConnected(PEER);
    await pass(0);
    expect(world.sent.map(({ peerId, text }) => ({ peerId, ...JSON.parse(text) }))).toEqual([
      {
        peerId: PEER,
        type: 'version',
        peerID: OWN,
        bestHeight: 1,
        bestHash: world.tip.hash,
        dataHubURL: 'http://us.example/api/v1',
        userAgent: 'teranode/bitcoin/v9.9.9',
        services: 1,
        topicPrefix: PREFIX,
      },
    ]);
    await pass(120 * SECOND);
    expect(world.sent).toHaveLength(1);
    expect(world.published).toEqual([]);
  });

  test('gets it again after a refusal, without a version on the topic when that succeeds within two seconds', async () => {
    let tries = 0;
    world.send = async () => {
      tries += 1;
      if (tries === 1) throw new Error('protocol not supported');
    };
    handshake.peerConnected(PEER);
    await pass(120 * SECOND);
    expect(tries).toBe(2);
    expect(world.typesTo(PEER)).toEqual(['version']);
    expect(world.published).toEqual([]);
  });

  test('causes one version on the topic after two seconds of refusals, and some more attempts on streams', async () => {
    const triedMs: number[] = [];
    const startMs = performance.now();
    world.send = async () => {
      triedMs.push(performance.now() - startMs);
      throw new Error('protocol not supported');
    };
    handshake.peerConnected(PEER);
    await pass(1999);
    expect(world.published).toEqual([]);
    await pass(5);
    expect(world.published.map(({ topic, text }) => [topic, JSON.parse(text).type])).toEqual([[TOPIC, 'version']]);
    await pass(600 * SECOND);
    expect(triedMs).toEqual([0, 1000, 6000, 26_000, 86_000]);
    expect(world.published).toHaveLength(1);
    expect(world.disconnected).toEqual([]);
  });

  test('shares one version on the topic with all peers that refuse streams; the next comes five seconds later', async () => {
    world.send = async () => {
      throw new Error('protocol not supported');
    };
    for (const id of peers(300)) {
      handshake.peerConnected(id);
      await pass(10);
    }
    await pass(2 * SECOND);
    const early = world.published.length;
    await pass(60 * SECOND);
    expect(early).toBe(1);
    expect(world.published).toHaveLength(2);
  });

  test('gets no further attempts once it has disconnected', async () => {
    let tries = 0;
    world.send = async () => {
      tries += 1;
      throw new Error('gone');
    };
    handshake.peerConnected(PEER);
    await pass(0);
    world.connected.delete(PEER);
    await pass(600 * SECOND);
    expect(tries).toBe(1);
    expect(world.published).toEqual([]);
    expect(world.metrics.gaugeValue('teranode_p2p_handshake_entries')).toBe(0);
  });

  test('gets one version per new connection, one at a time', async () => {
    handshake.peerConnected(PEER);
    await pass(0);
    handshake.peerConnected(PEER);
    await pass(0);
    expect(world.typesTo(PEER)).toEqual(['version', 'version']);
  });

  test('gets nothing when it is banned', async () => {
    world.banned.add(PEER);
    handshake.peerConnected(PEER);
    await pass(SECOND);
    expect(world.sent).toEqual([]);
  });
});

describe('the version on the topic at start', () => {
  test('is published when the topic has enough subscribers', async () => {
    handshake.start();
    await pass(SECOND);
    expect(world.published).toEqual([]);
    world.subscribers.set(TOPIC, [PEER]);
    await pass(200);
    expect(world.published).toHaveLength(1);
    await pass(60 * SECOND);
    expect(world.published).toHaveLength(1);
  });

  test('is published when the subscribers do not come in time', async () => {
    handshake.start();
    await pass(4900);
    expect(world.published).toEqual([]);
    await pass(300);
    expect(world.published).toHaveLength(1);
  });

  test('is published at once when no subscribers are required', async () => {
    await handshake.stop();
    handshake = world.make({ topicSize: 0 });
    handshake.start();
    await pass(5);
    expect(world.published).toHaveLength(1);
  });
});

describe('our own tip in a version', () => {
  test('has no height and no hash while unknown, as in Go, and the last known tip afterwards', async () => {
    const chain = new ScriptedChain();
    const tracker = tracked(chain);
    world.latestTip = () => tracker.latestTip();
    chain.mood = 'fails';
    handshake.peerConnected(PEER);
    await pass(0);
    expect(JSON.parse(world.sent[0]?.text ?? '{}')).toMatchObject({ bestHeight: 0, bestHash: '' });
    chain.mood = 'answers';
    chain.best = { ...chain.best, height: 7 };
    handshake.peerConnected(PEER);
    await pass(SECOND);
    chain.mood = 'hangs';
    handshake.peerConnected(PEER);
    await pass(3 * SECOND);
    expect(world.sent.map(({ text }) => JSON.parse(text).bestHeight)).toEqual([0, 7, 7]);
  });

  test('no peer is ahead while our tip is unknown', async () => {
    world.latestTip = async () => undefined;
    handshake.topicMessage(message({ type: 'verack' }), PEER);
    await pass(0);
    expect(world.ahead).toEqual([]);
  });
});
