// Subscribers that answer our GRAFT with a PRUNE get forwarded messages at once, and nobody else outside the mesh does.
import { peerIdFromString } from '@libp2p/peer-id';
import { expect, test } from 'vitest';
import type { Rpc } from '../../../src/adapters/libp2p/gossipsub/parts.ts';
import { ANSWER_MS, MAX_REFUSING, RefusedGrafts } from '../../../src/adapters/libp2p/gossipsub/refused-grafts.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

const TOPIC = 'a topic';
const PEER = peer(1);
const MESH = peer(99);

function setUp() {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const stage = new RefusedGrafts({ metrics, nowMs: () => clock.monotonic() }, [TOPIC, 'other']);
  const sendRpc = stage.sendRpc(() => true);
  const handleReceivedRpc = stage.handleReceivedRpc(async () => {});
  const forward = stage.selectPeersToForward(() => new Set([MESH]));
  const graft = (id: string, topicID = TOPIC) =>
    sendRpc(id, { subscriptions: [], messages: [], control: { graft: [{ topicID }] } } as unknown as Rpc);
  const receive = (id: string, rpc: object) => handleReceivedRpc(peerIdFromString(id), rpc);
  const prune = (id: string, topicID = TOPIC) => receive(id, { control: { prune: [{ topicID }] } });
  return { clock, metrics, stage, forward, graft, receive, prune };
}

test('a peer that answers our GRAFT with a PRUNE gets the messages of that topic that it does not have', async () => {
  const { forward, graft, prune } = setUp();
  graft(PEER);
  expect(forward(TOPIC)).toEqual(new Set([MESH]));
  await prune(PEER);
  expect(forward(TOPIC)).toEqual(new Set([MESH, PEER]));
  expect(forward('other')).toEqual(new Set([MESH]));
  expect(forward(TOPIC, PEER)).toEqual(new Set([MESH]));
  expect(forward(TOPIC, MESH, new Set([PEER]))).toEqual(new Set([MESH]));
});

test('a peer that prunes us later, or without a GRAFT of ours, does not', async () => {
  const { clock, forward, graft, prune, receive } = setUp();
  await prune(PEER);
  graft(PEER, 'other');
  await prune(PEER);
  graft(PEER);
  await receive(PEER, { control: { graft: [{ topicID: TOPIC }] } });
  await prune(PEER);
  graft(PEER);
  clock.advance(ANSWER_MS + 1);
  await prune(PEER);
  expect(forward(TOPIC)).toEqual(new Set([MESH]));
});

test.each([
  ['unsubscribes', { subscriptions: [{ topic: TOPIC, subscribe: false }] }],
  ['grafts us', { control: { graft: [{ topicID: TOPIC }] } }],
  ['disconnects', undefined],
] as const)('a peer that %s is not sent to any more', async (_what, rpc) => {
  const { stage, forward, graft, prune, receive } = setUp();
  graft(PEER);
  await prune(PEER);
  if (rpc === undefined) stage.peerDisconnected(peerIdFromString(PEER));
  else await receive(PEER, rpc);
  expect(forward(TOPIC)).toEqual(new Set([MESH]));
});

test('at most 16 peers of a topic are sent to, and others take the place of those that left', async () => {
  const { stage, metrics, forward, graft, prune } = setUp();
  const peers = Array.from({ length: MAX_REFUSING + 1 }, (_each, i) => peer(i + 1));
  for (const id of peers) {
    graft(id);
    await prune(id);
  }
  const last = peers.at(-1) ?? '';
  expect(forward(TOPIC).size).toBe(1 + MAX_REFUSING);
  expect(forward(TOPIC).has(last)).toBe(false);
  expect(metrics.gaugeValue('teranode_p2p_graft_refusing_peers')).toBe(MAX_REFUSING);
  stage.peerDisconnected(peerIdFromString(PEER));
  graft(last);
  await prune(last);
  expect(forward(TOPIC).has(last)).toBe(true);
});
