// How much is kept of what a peer says about itself, and others about it.
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Libp2p } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, expect, test } from 'vitest';
import { MAX_ADDRESSES, MAX_PROTOCOLS } from '../../src/adapters/libp2p/patches/peer-store.ts';
import { Nodes } from '../support/nodes.ts';

const nodes = new Nodes();

afterEach(() => nodes.stop());

const addresses = (from: number, count: number) =>
  Array.from({ length: count }, (_each, i) => multiaddr(`/ip4/10.0.0.1/tcp/${from + i}`));

async function setUp() {
  const { node, metrics } = await nodes.start();
  const { peerStore } = (node as unknown as { readonly libp2p: Libp2p }).libp2p;
  const id = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
  const ports = async () =>
    (await peerStore.get(id)).addresses.map((each) => Number(each.multiaddr.getComponents()[1]?.value));
  return { peerStore, id, ports, cut: () => metrics.count('teranode_p2p_peer_fields_cut_total') };
}

test.each(['save', 'patch', 'merge'] as const)('%s keeps a bounded number of addresses and protocols', async (way) => {
  const { peerStore, id, ports, cut } = await setUp();
  const protocols = Array.from({ length: 1000 }, (_each, i) => `/p/${i}`);
  await peerStore[way](id, { multiaddrs: addresses(1, 1000), protocols: ['x'.repeat(1000), ...protocols] });
  expect(await ports()).toHaveLength(MAX_ADDRESSES);
  expect((await peerStore.get(id)).protocols).toHaveLength(MAX_PROTOCOLS);
  expect(cut()).toBe(1000 - MAX_ADDRESSES + 1000 - MAX_PROTOCOLS);
});

test('new addresses replace known ones, but not those that the peer signed', async () => {
  const { peerStore, id, ports } = await setUp();
  const [signed] = addresses(5000, 1);
  if (signed === undefined) throw new Error('no address');
  await peerStore.patch(id, {
    addresses: [
      ...addresses(1, 40).map((each) => ({ multiaddr: each, isCertified: false })),
      { multiaddr: signed, isCertified: true },
    ],
  });
  for (let round = 0; round < 5; round += 1) {
    const from = 1000 + 100 * round;
    await peerStore.merge(id, { multiaddrs: addresses(from, 60), protocols: [`/p/${round}`] });
    const now = await ports();
    expect(now).toHaveLength(MAX_ADDRESSES);
    expect(now.filter((port) => port >= from && port < from + 60)).toHaveLength(60);
    expect(now).toContain(5000);
  }
  expect((await peerStore.get(id)).protocols).toHaveLength(5);
});

test('addresses within the limit are all kept', async () => {
  const { peerStore, id, ports, cut } = await setUp();
  await peerStore.merge(id, { multiaddrs: addresses(1, 30) });
  await peerStore.merge(id, { multiaddrs: addresses(20, 30) });
  expect(await ports()).toHaveLength(49);
  expect(cut()).toBe(0);
});
