// What waits for streams being opened is bounded, kept in its order, and counted when it is lost.
import type { GossipSub } from '@libp2p/gossipsub';
import { expect, test } from 'vitest';
import { HeldGossip } from '../../../src/adapters/libp2p/gossipsub/pending-outbound.ts';
import type { Rpc } from '../../../src/adapters/libp2p/gossipsub/rpc-splitting.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';

const TOPIC = 'a topic';
const DROPPED = 'teranode_p2p_gossip_held_dropped_total';
const HELD = 'teranode_p2p_gossip_held_bytes';
const BOUND = 'teranode_p2p_gossip_held_bytes_bound';

function setUp(subscribers: readonly string[] = []) {
  const sent: [string, Rpc][] = [];
  const streamsOutbound = new Map<string, unknown>();
  const library = {
    opts: { D: 6 },
    streamsOutbound,
    topics: new Map([[TOPIC, new Set(subscribers)]]),
    sendRpc: (id: string, rpc: Rpc) => {
      if (!streamsOutbound.has(id)) return false;
      sent.push([id, rpc]);
      return true;
    },
    /** Those with a stream, as gossipsub has it. */
    selectPeersToPublish: (_topic: string) => ({ tosend: new Set(streamsOutbound.keys()) }),
  };
  const metrics = new RecordedMetrics();
  const opening = new Set<string>();
  const held = new HeldGossip(library as unknown as GossipSub, metrics, (id) => opening.has(id));
  const opened = (id: string, isOpen = true) => {
    if (isOpen) streamsOutbound.set(id, {});
    opening.delete(id);
    held.opened(id, isOpen);
  };
  return { library, sent, opening, opened, metrics };
}

function frame(bytes: number): Rpc {
  return { subscriptions: [], messages: [{ data: new Uint8Array(bytes) }] };
}

test('frames wait in their order, then go', () => {
  const { library, sent, opening, opened, metrics } = setUp();
  opening.add('new');
  const frames = [frame(1), frame(2), frame(3)];
  expect(frames.map((each) => library.sendRpc('new', each))).toEqual([true, true, true]);
  expect(sent).toEqual([]);
  opened('new');
  expect(sent).toEqual(frames.map((each) => ['new', each]));
  expect(metrics.gaugeValue(HELD)).toBe(0);
  expect(metrics.count(DROPPED)).toBe(0);
});

test('with a stream, or none on its way, nothing waits', () => {
  const { library, sent, opened } = setUp();
  opened('known');
  expect(library.sendRpc('known', frame(1))).toBe(true);
  expect(library.sendRpc('stranger', frame(1))).toBe(false);
  expect(sent).toHaveLength(1);
});

test('the 33rd frame for one neighbour is dropped', () => {
  const { library, sent, opening, opened, metrics } = setUp();
  opening.add('new');
  const kept = Array.from({ length: 33 }, () => library.sendRpc('new', frame(1)));
  expect(kept.filter(Boolean)).toHaveLength(32);
  expect(kept.at(-1)).toBe(false);
  expect(metrics.count(DROPPED, { reason: 'full' })).toBe(1);
  opened('new');
  expect(sent).toHaveLength(32);
});

test('all neighbours together have a bound', () => {
  const { library, opening, opened, metrics } = setUp();
  const ids = Array.from({ length: 40 }, (_each, i) => `new ${i}`);
  for (const id of ids) {
    opening.add(id);
    library.sendRpc(id, frame(1024 * 1024));
  }
  expect(metrics.gaugeValue(HELD)).toBeLessThanOrEqual(metrics.gaugeValue(BOUND));
  expect(metrics.count(DROPPED, { reason: 'full' })).toBeGreaterThan(20);
  for (const id of ids) opened(id);
  expect(metrics.gaugeValue(HELD)).toBe(0);
});

test('what a stream could not be opened for is counted', () => {
  const { library, opening, opened, metrics } = setUp();
  opening.add('new');
  library.sendRpc('new', frame(1));
  library.sendRpc('new', {
    ...frame(1),
    control: { ihave: [{ messageIDs: [new Uint8Array(46)] }], iwant: [], graft: [], prune: [], idontwant: [] },
  });
  opened('new', false);
  expect(metrics.count(DROPPED, { reason: 'failed' })).toBe(2);
  expect(metrics.gaugeValue(HELD)).toBe(0);
});

test('subscribers whose stream is being opened are published to, up to the size of a mesh', () => {
  const { library, opening, opened } = setUp(['known', 'stranger', ...Array.from({ length: 9 }, (_each, i) => `${i}`)]);
  opened('known');
  for (let i = 0; i < 9; i++) opening.add(`${i}`);
  const { tosend } = library.selectPeersToPublish(TOPIC);
  expect([...tosend]).toEqual(['known', '0', '1', '2', '3', '4']);
  expect(library.selectPeersToPublish('another topic').tosend).toEqual(new Set(['known']));
});

test('a library without these parts is refused', () => {
  const library = { sendRpc: () => true, streamsOutbound: new Map() } as unknown as GossipSub;
  expect(() => new HeldGossip(library, new RecordedMetrics(), () => false)).toThrow(TypeError);
});
