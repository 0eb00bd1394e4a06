// Two nodes whose gossip streams end while the connection stays open: each hears the other again.
import type { Libp2p } from '@libp2p/interface';
import { afterEach, expect, test } from 'vitest';
import type { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import { addressOf, Nodes, TOPICS } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const [BLOCK] = TOPICS as [string, string];
const nodes = new Nodes();

afterEach(() => nodes.stop());

/** Gossip streams on the connections of the node, which does not show them. */
function gossipStreams(node: Libp2pNode) {
  const { libp2p } = node as unknown as { readonly libp2p: Libp2p };
  return libp2p
    .getConnections()
    .flatMap(({ streams }) => streams.filter(({ protocol }) => protocol.includes('meshsub')));
}

async function hears(listener: Libp2pNode, speaker: Libp2pNode): Promise<void> {
  let heard = 0;
  listener.setTopicHandler(BLOCK, () => {
    heard += 1;
    return 'accept';
  });
  await waitFor(
    async () => {
      await speaker.publish(BLOCK, Buffer.from(`${Math.random()}`));
      await new Promise((resolve) => setTimeout(resolve, 100));
      return heard > 0;
    },
    { what: 'a message' },
  );
}

test.each(['inbound', 'outbound', 'both'])(
  'nodes hear each other again after gossip streams ended (%s)',
  async (direction) => {
    const a = await nodes.start();
    const b = await nodes.start();
    await a.node.connectPeer(addressOf(b.node));
    await hears(a.node, b.node);
    await hears(b.node, a.node);
    const ended = gossipStreams(a.node).filter((stream) => direction === 'both' || stream.direction === direction);
    expect(ended.length).toBeGreaterThan(0);
    for (const stream of ended) stream.abort(new Error('cannot be read'));
    await waitFor(() => ended.every(({ status }) => status !== 'open'), { what: 'the end' });
    await hears(a.node, b.node);
    await hears(b.node, a.node);
    expect(a.node.connectedPeers()).toHaveLength(1);
  },
);
