// Peers that take no stream and ask for answers all the same: what they cost is borne by themselves. Who is new, or has
// always answered, is served at once.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { Handshake } from '../../../src/handshake/handshake.ts';
import { ScriptedChain } from '../../fakes/scripted-chain.ts';
import { tracked } from '../../fakes/tracked.ts';
import { message, PEER, pass, World } from './fixture.ts';

const SECOND = 1000;
/** As the node does with a peer that never answers the negotiation of a stream. */
const DEADLINE_MS = 5000;
let world: World;
let handshake: Handshake;
/** Sends under way, by peer, and when each began. */
let underWay: Map<PeerId, number>;
let begunMs: Map<PeerId, number[]>;
let most: number;

beforeEach(() => {
  vi.useFakeTimers();
  world = new World();
  handshake = world.make();
  underWay = new Map();
  begunMs = new Map();
  most = 0;
  world.send = async (peerId) => {
    begunMs.set(peerId, [...(begunMs.get(peerId) ?? []), performance.now()]);
    if (!isSilent(peerId)) return;
    underWay.set(peerId, (underWay.get(peerId) ?? 0) + 1);
    most = Math.max(most, underWay.size);
    expect(underWay.get(peerId)).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, DEADLINE_MS));
    underWay.delete(peerId);
    throw new Error('timeout');
  };
});

afterEach(async () => {
  const stopping = handshake.stop();
  await pass(SECOND);
  await stopping;
  await pass(DEADLINE_MS);
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function isSilent(peerId: PeerId): boolean {
  return peerId.startsWith('silent');
}

function silent(count: number): PeerId[] {
  const ids = Array.from({ length: count }, (_each, i) => `silent-${i}` as PeerId);
  for (const id of ids) world.connected.add(id);
  return ids;
}

function say(peerId: PeerId): void {
  handshake.topicMessage(message({ peerId }), peerId);
}

describe('silent peers that send a version every five seconds', () => {
  test.each([100, 200, 400])(
    '%i of them: a newcomer gets version and verack at once, and nothing is dropped',
    async (count) => {
      const hostile = silent(count);
      for (const id of hostile) handshake.peerConnected(id);
      for (let round = 0; round < 12; round += 1) {
        for (const id of hostile) say(id);
        await pass(5 * SECOND);
      }
      handshake.peerConnected(PEER);
      say(PEER);
      await pass(0);
      expect(world.typesTo(PEER).sort()).toEqual(['verack', 'version']);
      expect(world.count('dropped')).toBe(0);
    },
  );

  test('do not delay others before they are known to be slow', async () => {
    for (const id of silent(400)) {
      handshake.peerConnected(id);
      say(id);
    }
    handshake.peerConnected(PEER);
    await pass(0);
    expect(world.typesTo(PEER)).toEqual(['version']);
  });

  test('come after all quick peers when there are more of them than slots', async () => {
    const hostile = silent(2500);
    for (const id of hostile) say(id);
    await pass(0);
    expect(most).toBe(512);
    // By then each has had its turn.
    await pass(60 * SECOND);
    expect(begunMs.size).toBe(2500);
    for (const id of hostile) say(id);
    handshake.peerConnected(PEER);
    await pass(0);
    expect(world.typesTo(PEER)).toEqual(['version']);
    expect(underWay.size).toBeLessThan(512);
  });

  test('wait longer each time for their own next message', async () => {
    const [peerId = PEER] = silent(1);
    for (let i = 0; i < 600; i += 1) {
      say(peerId);
      await pass(SECOND);
    }
    const starts = begunMs.get(peerId) ?? [];
    const gaps = starts.slice(1).map((each, i) => Math.round((each - (starts[i] ?? 0)) / SECOND));
    // Five seconds for the send itself, and the rest: 5, 10, 20, 40, 80, 120 s.
    expect(gaps).toEqual([10, 15, 25, 45, 85, 125, 125, 125]);
  });

  test('are served like others once they answer', async () => {
    const [peerId = PEER] = silent(1);
    say(peerId);
    await pass(5 * SECOND);
    const wasSilent = world.send;
    world.send = async () => {};
    await pass(60 * SECOND);
    say(peerId);
    handshake.peerConnected(peerId);
    await pass(0);
    expect(world.typesTo(peerId).sort()).toEqual(['verack', 'version']);
    expect(world.metrics.gaugeValue('teranode_p2p_handshake_entries', { kind: 'slow_peers' })).toBe(0);
    world.send = wasSilent;
  });

  test('stay slow on a new connection, and are not dialled once they have disconnected', async () => {
    const [peerId = PEER] = silent(1);
    handshake.peerConnected(peerId);
    await pass(5 * SECOND);
    handshake.peerConnected(peerId);
    await pass(4 * SECOND);
    expect(begunMs.get(peerId)).toHaveLength(1);
    world.connected.delete(peerId);
    await pass(600 * SECOND);
    expect(begunMs.get(peerId)).toHaveLength(1);
  });
});

test('peers that refuse streams at once have no cool-down', async () => {
  let tries = 0;
  world.send = async () => {
    tries += 1;
    throw new Error('protocol not supported');
  };
  say(PEER);
  handshake.peerConnected(PEER);
  await pass(0);
  expect(tries).toBe(2);
  expect(world.metrics.gaugeValue('teranode_p2p_handshake_entries', { kind: 'slow_peers' })).toBe(0);
});

test('a slow blockchain service of our own makes no peer slow', async () => {
  const chain = new ScriptedChain();
  chain.mood = 'hangs';
  const tracker = tracked(chain);
  world.latestTip = () => tracker.latestTip();
  handshake.peerConnected(PEER);
  await pass(2 * SECOND);
  expect(world.typesTo(PEER)).toEqual(['version']);
  expect(world.metrics.gaugeValue('teranode_p2p_handshake_entries', { kind: 'slow_peers' })).toBe(0);
});
