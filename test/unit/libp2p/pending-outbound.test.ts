// RPCs that wait for a stream being opened: bounded, kept in order, and counted when they are lost.
import type { Connection } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { expect, test } from 'vitest';
import type { Rpc } from '../../../src/adapters/libp2p/gossipsub/parts.ts';
import { PendingOutbound } from '../../../src/adapters/libp2p/gossipsub/pending-outbound.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';

const TOPIC = 'a topic';
const DROPPED = 'teranode_p2p_gossip_held_dropped_total';
const PENDING = 'teranode_p2p_gossip_held_bytes';
const BOUND = 'teranode_p2p_gossip_held_bytes_bound';
const CONNECTION = {} as Connection;
const NEW = peer(1);
const KNOWN = peer(2);

function setUp(subscribers: readonly string[] = []) {
  const sent: [string, Rpc][] = [];
  const streams = new Set<string>();
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const metrics = new RecordedMetrics();
  const pending = new PendingOutbound(metrics, {
    hasStream: (id) => streams.has(id),
    subscribers: (topic) => (topic === TOPIC ? subscribers : []),
    meshSize: 6,
  });
  const sendRpc = pending.sendRpc((id, rpc) => {
    if (!streams.has(id)) return false;
    sent.push([id, rpc]);
    return true;
  });
  /** Peers with a stream, as gossipsub selects them. */
  const selectPeersToPublish = pending.selectPeersToPublish(() => ({ tosend: new Set(streams) }));
  const create = pending.createOutboundStream((id) => gates.get(id.toString())?.promise ?? Promise.resolve());
  const begun = new Map<string, Promise<void>>();
  const open = (id: string) => {
    gates.set(id, Promise.withResolvers());
    begun.set(id, create(peerIdFromString(id), CONNECTION));
  };
  const opened = async (id: string, isOpen = true) => {
    if (isOpen) streams.add(id);
    gates.get(id)?.resolve();
    await begun.get(id);
  };
  return { sendRpc, selectPeersToPublish, sent, open, opened, metrics };
}

function rpcOf(bytes: number): Rpc {
  return { subscriptions: [], messages: [{ data: new Uint8Array(bytes) }] };
}

test('RPCs wait in order and are sent when the stream is open', async () => {
  const { sendRpc, sent, open, opened, metrics } = setUp();
  open(NEW);
  const rpcs = [rpcOf(1), rpcOf(2), rpcOf(3)];
  expect(rpcs.map((each) => sendRpc(NEW, each))).toEqual([true, true, true]);
  expect(sent).toEqual([]);
  await opened(NEW);
  expect(sent).toEqual(rpcs.map((each) => [NEW, each]));
  expect(metrics.gaugeValue(PENDING)).toBe(0);
  expect(metrics.count(DROPPED)).toBe(0);
});

test('nothing waits for a peer with a stream, or without one on its way', async () => {
  const { sendRpc, sent, opened } = setUp();
  await opened(KNOWN);
  expect(sendRpc(KNOWN, rpcOf(1))).toBe(true);
  expect(sendRpc(NEW, rpcOf(1))).toBe(false);
  expect(sent).toHaveLength(1);
});

test('the 33rd RPC for one peer is dropped', async () => {
  const { sendRpc, sent, open, opened, metrics } = setUp();
  open(NEW);
  const kept = Array.from({ length: 33 }, () => sendRpc(NEW, rpcOf(1)));
  expect(kept.filter(Boolean)).toHaveLength(32);
  expect(kept.at(-1)).toBe(false);
  expect(metrics.count(DROPPED, { reason: 'full' })).toBe(1);
  await opened(NEW);
  expect(sent).toHaveLength(32);
});

test('pending RPCs of all peers together are bounded', async () => {
  const { sendRpc, open, opened, metrics } = setUp();
  const ids = Array.from({ length: 40 }, (_each, i) => peer(i + 1));
  for (const id of ids) {
    open(id);
    sendRpc(id, rpcOf(1024 * 1024));
  }
  expect(metrics.gaugeValue(PENDING)).toBeLessThanOrEqual(metrics.gaugeValue(BOUND));
  expect(metrics.count(DROPPED, { reason: 'full' })).toBeGreaterThan(20);
  for (const id of ids) await opened(id);
  expect(metrics.gaugeValue(PENDING)).toBe(0);
});

test('RPCs whose stream could not be opened are counted', async () => {
  const { sendRpc, open, opened, metrics } = setUp();
  open(NEW);
  sendRpc(NEW, rpcOf(1));
  sendRpc(NEW, {
    ...rpcOf(1),
    control: { ihave: [{ messageIDs: [new Uint8Array(46)] }], iwant: [], graft: [], prune: [], idontwant: [] },
  });
  await opened(NEW, false);
  expect(metrics.count(DROPPED, { reason: 'failed' })).toBe(2);
  expect(metrics.gaugeValue(PENDING)).toBe(0);
});

test('publishes to subscribers whose stream is being opened, up to the size of a mesh', async () => {
  const others = Array.from({ length: 9 }, (_each, i) => peer(10 + i));
  const { selectPeersToPublish, open, opened } = setUp([KNOWN, peer(3), ...others]);
  await opened(KNOWN);
  for (const id of others) open(id);
  expect([...selectPeersToPublish(TOPIC).tosend]).toEqual([KNOWN, ...others.slice(0, 5)]);
  expect(selectPeersToPublish('another topic').tosend).toEqual(new Set([KNOWN]));
});
