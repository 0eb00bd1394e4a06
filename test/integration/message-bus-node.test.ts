// A node of a message-bus network among nodes of its own kind: what it tells about itself, whom it dials and refuses,
// and how it tells others where a peer is.
import { afterEach, describe, expect, test } from 'vitest';
import type { TeranodeLibp2p } from '../../src/adapters/libp2p/libp2p-options.ts';
import type { Libp2pNodeOptions } from '../../src/adapters/libp2p/node-options.ts';
import { addressOf, BUS, bareLibp2p, Nodes, nodeOptions, TOPICS } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';
import { multiaddr } from '@multiformats/multiaddr';

const [TOPIC = ''] = TOPICS;
const nodes = new Nodes();
const bare: TeranodeLibp2p[] = [];

afterEach(async () => {
  await Promise.all(bare.splice(0).map((peer) => peer.stop()));
  await nodes.stop();
});

async function startBare(changes: Partial<Libp2pNodeOptions> = {}): Promise<TeranodeLibp2p> {
  const peer = await bareLibp2p(TOPICS, { ...BUS, ...changes });
  bare.push(peer);
  await peer.start();
  return peer;
}

describe('identify of a message-bus node', () => {
  test('has the protocol version of the network, and the protocols of a Go node', async () => {
    const { node } = await nodes.start(BUS);
    const peer = await startBare();
    const identified = new Promise<{ protocolVersion?: string; protocols: string[] }>((resolve) =>
      peer.addEventListener('peer:identify', ({ detail }) => resolve(detail), { once: true }),
    );
    await peer.dial(multiaddr(addressOf(node)));
    const { protocolVersion, protocols } = await identified;
    expect(protocolVersion).toBe('/teranode/bitcoin/mainnet/1.0.0');
    expect([...protocols].sort()).toEqual([
      '/floodsub/1.0.0',
      '/ipfs/id/1.0.0',
    ]);
  });
});
