// A message published while the stream to a new peer is being opened reaches that peer.
import type { Connection, Libp2p } from '@libp2p/interface';
import { afterEach, expect, test } from 'vitest';
import type { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import { addressOf, Nodes, TOPICS } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const [BLOCK] = TOPICS as [string, string];
const nodes = new Nodes();

afterEach(() => nodes.stop());

function libp2pOf(node: Libp2pNode): Libp2p {
  return (node as unknown as { readonly libp2p: Libp2p }).libp2p;
}

/** Gossip streams that the node opens wait for the gate, as on a slow line. */
function holdStreams(node: Libp2pNode, gate: Promise<unknown>): void {
  libp2pOf(node).addEventListener('connection:open', ({ detail: connection }: CustomEvent<Connection>) => {
    const newStream = connection.newStream.bind(connection);
    connection.newStream = async (protocols, options) => {
      if ([protocols].flat().some((protocol) => protocol.includes('meshsub'))) await gate;
      return newStream(protocols, options);
    };
  });
}

test.each(['dials', 'is dialled'])('a peer that %s gets messages published before its stream was open', async (how) => {
  const speaker = await nodes.start();
  const listener = await nodes.start();
  const heard: string[] = [];
  listener.node.setTopicHandler(BLOCK, ({ bytes }) => {
    heard.push(Buffer.from(bytes).toString());
    return 'accept';
  });
  const gate = Promise.withResolvers<void>();
  holdStreams(speaker.node, gate.promise);
  if (how === 'dials') await listener.node.connectPeer(addressOf(speaker.node));
  else await speaker.node.connectPeer(addressOf(listener.node));
  await waitFor(() => speaker.node.getTopic(BLOCK)?.subscribers().length === 1, { what: 'the subscription' });
  const said = ['first', 'second', 'third'];
  for (const each of said) await speaker.node.publish(BLOCK, Buffer.from(each));
  expect(speaker.metrics.gaugeValue('teranode_p2p_gossip_held_bytes')).toBeGreaterThan(0);
  gate.resolve();
  await waitFor(() => heard.length === said.length, { what: 'all messages' });
  expect(heard).toEqual(said);
  expect(speaker.metrics.gaugeValue('teranode_p2p_gossip_held_bytes')).toBe(0);
});
