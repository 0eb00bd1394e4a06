// The contract of each patch with the installed libraries, and what the patches leave alone.
import { readFileSync } from 'node:fs';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { YamuxStream } from '@libp2p/yamux/stream';
import { afterEach, expect, test } from 'vitest';
import type { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import type { Libp2pNodeOptions } from '../../src/adapters/libp2p/node-options.ts';
import { PATCHES } from '../../src/adapters/libp2p/patches/index.ts';
import { addressOf, Nodes, TOPICS } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const nodes = new Nodes();
const [TOPIC = ''] = TOPICS;

afterEach(() => nodes.stop());

/**
 * Two nodes that connected, exchanged a gossip message and found each other in the DHT: every patched part was in use.
 */
async function runAll(changes: Partial<Libp2pNodeOptions> = {}) {
  const first = await nodes.start(changes);
  const second = await nodes.start({ ...changes, bootstrapAddresses: [addressOf(first.node)] });
  let received = 0;
  second.node.setTopicHandler(TOPIC, () => {
    received += 1;
    return 'accept';
  });
  const inMesh = (node: Libp2pNode) => (node.getTopic(TOPIC)?.mesh().length ?? 0) > 0;
  await waitFor(() => inMesh(first.node) && inMesh(second.node), { what: 'the mesh' });
  await first.node.publish(TOPIC, Buffer.from('message'));
  await waitFor(() => received === 1, { what: 'the message' });
  const rounds = () => second.metrics.count('teranode_p2p_rendezvous_rounds_total', { outcome: 'complete' });
  await waitFor(() => rounds() > 0, { what: 'a round of the DHT' });
  return [first, second];
}

test.each(PATCHES)('the patch of $library ($effect otherwise) is for the installed version', ({ library, version }) => {
  const file = new URL(`../../node_modules/${library}/package.json`, import.meta.url);
  expect(JSON.parse(readFileSync(file, 'utf8')).version).toBe(version);
});

test.each([
  ['a private network', {}],
  ['a network without a shared key', { presharedKey: undefined }],
])('every patch finds its parts in the installed libraries, in %s', async (_network, changes) => {
  const all = await runAll(changes);
  const missing = all.flatMap(({ log }) => log.lines.filter(({ event }) => event === 'libp2p patch not applied'));
  expect(missing).toEqual([]);
  for (const { node } of all) {
    const [peer] = node.currentlyConnectedPeers();
    expect(peer?.bytesReceived).toBeGreaterThan(0);
    expect(peer?.bytesSent).toBeGreaterThan(0);
    expect(peer?.localAddress).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\//);
  }
});

test('a running node leaves the classes of libp2p as they were for the rest of the process', async () => {
  const { publicKey } = await generateKeyPair('Ed25519');
  const prototypes = [
    Object.getPrototypeOf(publicKey),
    YamuxStream.prototype,
    Object.getPrototypeOf(YamuxStream.prototype),
  ];
  const before = prototypes.map((each) => Object.getOwnPropertyDescriptors(each));
  await runAll();
  expect(prototypes.map((each) => Object.getOwnPropertyDescriptors(each))).toEqual(before);
});
