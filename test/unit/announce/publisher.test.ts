// What this node announces goes out in each network that has the topic, and its caller hears the outcome.
import { expect, test } from 'vitest';
import { createPublisher } from '../../../src/announce/publisher.ts';
import type { Hash, PeerId } from '../../../src/domain/ids.ts';
import type { PublishOutcome } from '../../../src/ports/p2p-node.ts';
import { GO_P2P } from '../../../src/wire/format.ts';
import { encodeSubtree } from '../../../src/wire/subtree.ts';
import { networkOf } from '../../fakes/networks.ts';

const message = { hash: 'ab'.repeat(32) as Hash, dataHubUrl: 'http://us', peerId: 'us' as PeerId };
const SUBTREE = { kind: 'subtree', message } as const;
const BYTES = encodeSubtree(message);

function setUp(becomes: (topic: string) => PublishOutcome | Error = () => 'published') {
  const said: [node: string, topic: string, bytes: Uint8Array][] = [];
  const node = (name: string) => ({
    publish: async (topic: string, bytes: Uint8Array) => {
      said.push([name, topic, bytes]);
      const outcome = becomes(topic);
      if (outcome instanceof Error) throw outcome;
      return outcome;
    },
  });
  const [shared, other] = [node('shared'), node('other')];
  const networks = [networkOf('ours', shared), networkOf('old', shared), networkOf('far', other)];
  return { networks, publisher: createPublisher(networks), said, topics: () => said.map(([, topic]) => topic) };
}

test('publishes the same bytes in each network, once each, also where two networks share a node', async () => {
  const { publisher, said } = setUp();
  expect(await publisher.publish(SUBTREE)).toBe('published');
  expect(said).toEqual([
    ['shared', 'ours-subtree', BYTES],
    ['shared', 'old-subtree', BYTES],
    ['other', 'far-subtree', BYTES],
  ]);
});

test('leaves out networks that do not have the topic', async () => {
  const { networks, said } = setUp();
  const [ours, old] = networks;
  if (ours === undefined || old === undefined) throw new Error('no networks');
  const publisher = createPublisher([{ ...ours, topics: { block: 'ours-block' } }, old]);
  expect(await publisher.publish(SUBTREE)).toBe('published');
  expect(said.map(([, topic]) => topic)).toEqual(['old-subtree']);
  expect(await createPublisher([]).publish(SUBTREE)).toBe('suppressed');
});

test('encodes in the wire format of each network', async () => {
  const { networks, said } = setUp();
  const [ours, old] = networks;
  if (ours === undefined || old === undefined) throw new Error('no networks');
  const wire = { ...GO_P2P, encode: { ...GO_P2P.encode, subtree: () => Buffer.from('other form') } };
  await createPublisher([ours, { ...old, wire }]).publish(SUBTREE);
  expect(said.map(([, , bytes]) => bytes)).toEqual([BYTES, Buffer.from('other form')]);
});

test.each<[PublishOutcome, PublishOutcome]>([
  ['published', 'suppressed'],
  ['suppressed', 'published'],
])('reports the outcome of the first network (%s), not of the others (%s)', async (first, others) => {
  const { publisher } = setUp((topic) => (topic === 'ours-subtree' ? first : others));
  expect(await publisher.publish(SUBTREE)).toBe(first);
});

test.each(['ours-subtree', 'old-subtree', 'far-subtree'])(
  'a failure on %s keeps nothing from the other networks, and is thrown',
  async (failing) => {
    const failure = new Error('no');
    const { publisher, topics } = setUp((topic) => (topic === failing ? failure : 'published'));
    await expect(publisher.publish(SUBTREE)).rejects.toBe(failure);
    expect(topics()).toEqual(['ours-subtree', 'old-subtree', 'far-subtree']);
  },
);
