// A peer sends messages of topics that the node did not join: as in Go they are dropped before they cost verification
// or memory.
import { afterEach, expect, test } from 'vitest';
import { meshPeers } from '../../src/adapters/libp2p/gossipsub/internals.ts';
import type { TeranodeLibp2p } from '../../src/adapters/libp2p/libp2p-options.ts';
import { addressOf, bareLibp2p, Nodes, TOPICS } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const [BLOCK = ''] = TOPICS;
const JUNK = 'junk';
const nodes = new Nodes();
let stranger: TeranodeLibp2p | undefined;

afterEach(async () => {
  await Promise.all([stranger?.stop(), nodes.stop()]);
});

/** The peer is made to believe that the node joined a topic. */
interface Believer {
  readonly topics: Map<string, Set<string>>;
}

test('messages on topics that were not joined are dropped unread, and a later one on a joined topic arrives', async () => {
  const { node, metrics } = await nodes.start();
  const got: string[] = [];
  node.setTopicHandler(BLOCK, ({ bytes }) => {
    got.push(Buffer.from(bytes).toString());
    return 'accept';
  });
  stranger = await bareLibp2p([BLOCK, JUNK]);
  await stranger.start();
  const { pubsub } = stranger.services;
  pubsub.subscribe(BLOCK);
  pubsub.subscribe(JUNK);
  await node.connectPeer(stranger.getMultiaddrs()[0]?.toString() ?? addressOf(node));
  await waitFor(() => meshPeers(pubsub, BLOCK).includes(node.hostId()), { what: 'the mesh' });
  (pubsub as unknown as Believer).topics.set(JUNK, new Set([node.hostId()]));
  for (let i = 0; i < 20; i += 1) {
    const { recipients } = await pubsub.publish(JUNK, Buffer.from(`junk ${i}`));
    expect(recipients.map(String)).toEqual([node.hostId()]);
  }
  await pubsub.publish(BLOCK, Buffer.from('block'));
  await waitFor(() => got.length > 0, { what: 'the block' });
  expect(got).toEqual(['block']);
  expect(metrics.gaugeValue('teranode_p2p_seen_entries')).toBe(1);
});
