// What a neighbour that scores its peers would hold against this node: GRAFT within a back-off, also after a restart. And
// what a neighbour must not make it do: dial peers that a PRUNE names.
import { join } from 'node:path';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, expect, test } from 'vitest';
import type { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import type { TeranodeLibp2p } from '../../src/adapters/libp2p/libp2p-options.ts';
import type { Libp2pNodeOptions } from '../../src/adapters/libp2p/node-options.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { addressOf, BUS, bareLibp2p, Nodes, TOPICS } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const [PRUNED, OTHER] = TOPICS as [string, string];
const nodes = new Nodes();
const bare: TeranodeLibp2p[] = [];

afterEach(async () => {
  await Promise.all(bare.splice(0).map((peer) => peer.stop()));
  await nodes.stop();
});

/** Private parts of gossipsub, at the peer that watches the node. */
interface Router {
  sendRpc(id: string, rpc: object): boolean;
  readonly mesh: ReadonlyMap<string, Set<string>>;
  readonly opts: { Dlo: number; Dout: number };
}

/** A peer that joins the topics, sends no GRAFT, notes each that reaches it, and can send a PRUNE. */
async function watcher() {
  const libp2p = await bareLibp2p(TOPICS, BUS);
  bare.push(libp2p);
  await libp2p.start();
  const { pubsub } = libp2p.services;
  const router = pubsub as unknown as Router;
  Object.assign(router.opts, { Dlo: 0, Dout: 0 });
  const grafts: string[] = [];
  pubsub.addEventListener('gossipsub:graft', ({ detail }) => {
    if (detail.direction === 'inbound') grafts.push(detail.topic);
  });
  for (const topic of TOPICS) pubsub.subscribe(topic);
  const prune = (id: string, peers: object[] = []) => {
    router.mesh.get(PRUNED)?.delete(id);
    const control = {
      ihave: [],
      iwant: [],
      graft: [],
      idontwant: [],
      prune: [{ topicID: PRUNED, peers, backoff: 60 }],
    };
    router.sendRpc(id, { subscriptions: [], messages: [], control });
  };
  return { libp2p, grafts, prune, id: libp2p.peerId.toString() };
}

const isMeshed = (node: Libp2pNode, topic: string, id: string) =>
  node
    .getTopic(topic)
    ?.mesh()
    .some((each) => each === id);

async function startNode(changes: Partial<Libp2pNodeOptions> = {}): Promise<Libp2pNode> {
  return (await nodes.start({ ...BUS, ...changes })).node;
}

test('a restart does not forget the back-off of a neighbour that pruned us on one topic', async () => {
  const peer = await watcher();
  const key = {
    privateKey: await generateKeyPair('Ed25519'),
    graftBackoffFile: join(temporaryFolder('backoffs'), 'backoffs.json'),
  };
  const first = await startNode(key);
  await peer.libp2p.dial(multiaddr(addressOf(first)));
  await waitFor(() => TOPICS.every((topic) => isMeshed(first, topic, peer.id)), { what: 'the mesh' });
  peer.prune(first.hostId());
  await waitFor(() => !isMeshed(first, PRUNED, peer.id), { what: 'the end of the mesh' });
  await first.stop();
  peer.grafts.length = 0;

  const second = await startNode(key);
  await peer.libp2p.dial(multiaddr(addressOf(second)));
  await waitFor(() => peer.grafts.includes(OTHER), { what: 'a GRAFT on the other topic' });
  // Two heartbeats: the node would have sent a GRAFT on the first topic by then.
  let heartbeats = 0;
  peer.libp2p.services.pubsub.addEventListener('gossipsub:heartbeat', () => {
    heartbeats += 1;
  });
  await waitFor(() => heartbeats >= 2, { what: 'two heartbeats' });
  expect(peer.grafts).not.toContain(PRUNED);
});

test('peers that a PRUNE names are not dialed', async () => {
  const peer = await watcher();
  const named = await watcher();
  await peer.libp2p.dial(named.libp2p.getMultiaddrs());
  const known = async () => (await peer.libp2p.peerStore.get(named.libp2p.peerId)).peerRecordEnvelope;
  const signedPeerRecord = await waitFor(known, { what: 'the record of the named peer' });
  const node = await startNode();
  await peer.libp2p.dial(multiaddr(addressOf(node)));
  await waitFor(() => isMeshed(node, PRUNED, peer.id), { what: 'the mesh' });
  peer.prune(node.hostId(), [{ peerID: named.libp2p.peerId.toMultihash().bytes, signedPeerRecord }]);
  await waitFor(() => !isMeshed(node, PRUNED, peer.id), { what: 'the end of the mesh' });
  // What is sent after the PRUNE is handled after the peers that it names.
  let heard = false;
  node.setTopicHandler(OTHER, () => {
    heard = true;
    return 'accept';
  });
  await peer.libp2p.services.pubsub.publish(OTHER, Buffer.from('after'));
  await waitFor(() => heard, { what: 'a message sent later' });
  expect(node.connectedPeers().map(({ id }) => id)).toEqual([peer.id]);
});
