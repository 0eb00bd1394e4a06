// What this node announces goes out in each network that has the topic, and its caller hears the outcome.
import { describe, expect, test } from 'vitest';
import type { OwnUrls } from '../../../src/announce/own-urls.ts';
import { createPublisher } from '../../../src/announce/publisher.ts';
import type { Hash, PeerId } from '../../../src/domain/ids.ts';
import type { PublishOutcome } from '../../../src/ports/p2p-node.ts';
import { UNKNOWN_BLOCK_ASSEMBLY } from '../../../src/wire/block-assembly-details.ts';
import { GO_P2P, MESSAGE_BUS, type TopicMessage } from '../../../src/wire/format.ts';
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

describe('on message-bus', () => {
  const URLS = { dataHubUrl: 'https://hub.example', propagationUrl: 'https://tx.example' };
  const NO_URLS = { dataHubUrl: '', propagationUrl: '' };
  const BLOCK: TopicMessage = {
    kind: 'block',
    message: { ...message, hash: 'cd'.repeat(32) as Hash, height: 7, header: new Uint8Array(80) },
  };
  const STATUS: TopicMessage = {
    kind: 'node_status',
    message: {
      ...{ baseUrl: 'http://us', peerId: 'us', version: 'v1', commitHash: '', bestBlockHash: '', bestHeight: 7 },
      ...{ blockAssemblyDetails: UNKNOWN_BLOCK_ASSEMBLY, fsmState: 'RUNNING', startTime: 1n, uptime: 1, minerName: '' },
      ...{ clientName: 'us', listenMode: 'full', chainWork: '', syncPeerId: '', syncPeerHeight: 0 },
      ...{ syncPeerBlockHash: '', syncConnectedAt: 0n, propagationUrl: 'http://us' },
    },
  };
  const REJECTED: TopicMessage = { kind: 'rejected_tx', message: { txId: message.hash, reason: 'r', peerId: 'us' } };

  function onBoth(urls: OwnUrls) {
    const { networks, said } = setUp();
    const [ours, old] = networks;
    if (ours === undefined || old === undefined) throw new Error('no networks');
    const publisher = createPublisher([{ ...ours, wire: MESSAGE_BUS }, old], { clientName: 'A name', urls });
    const inner = () => {
      const envelope = said.find(([, topic]) => topic.startsWith('ours-'))?.[2];
      if (envelope === undefined) return undefined;
      const { name, data } = JSON.parse(Buffer.from(envelope).toString());
      return { name, ...JSON.parse(Buffer.from(data, 'base64').toString()) };
    };
    return { publisher, said, inner, topics: () => said.map(([, topic]) => topic) };
  }

  test.each([BLOCK, SUBTREE])('a $kind carries the URL that may be announced there', async (announcement) => {
    const { publisher, inner } = onBoth(URLS);
    expect(await publisher.publish(announcement)).toBe('published');
    expect(inner()).toMatchObject({ name: 'A name', DataHubURL: 'https://hub.example', PeerID: 'us' });
  });

  test.each([BLOCK, SUBTREE])('a $kind is published on go-p2p only when there is no such URL', async (announcement) => {
    const { publisher, topics, said } = onBoth(NO_URLS);
    expect(await publisher.publish(announcement)).toBe('published');
    expect(topics()).toEqual([`old-${announcement.kind}`]);
    expect(Buffer.from(said[0]?.[2] ?? []).toString()).toContain('"DataHubURL":"http://us"');
  });

  test('a node status has the URLs that may be announced there, or an empty one and none', async () => {
    const both = onBoth(URLS);
    await both.publisher.publish(STATUS);
    expect(both.inner()).toMatchObject({ base_url: 'https://hub.example', propagation_url: 'https://tx.example' });
    const none = onBoth(NO_URLS);
    await none.publisher.publish(STATUS);
    expect(none.inner()).toMatchObject({ base_url: '' });
    expect(none.inner()).not.toHaveProperty('propagation_url');
    expect(none.topics()).toEqual(['ours-node_status', 'old-node_status']);
  });

  test('a rejected transaction needs no URL', async () => {
    const { publisher, inner } = onBoth(NO_URLS);
    await publisher.publish(REJECTED);
    expect(inner()).toMatchObject({ TxID: message.hash, Reason: 'r' });
  });

  test.each([
    ['a name of 60 KB', { ...STATUS, message: { ...STATUS.message, clientName: '語'.repeat(20_000) } }],
    ['a miner of 60 KB', { ...STATUS, message: { ...STATUS.message, minerName: '<'.repeat(60_000) } }],
    ['a reason of 60 KB', { ...REJECTED, message: { ...REJECTED.message, reason: '\u0001'.repeat(60_000) } }],
    ['a block with a name of 60 KB', { ...BLOCK, message: { ...BLOCK.message, clientName: '🤖'.repeat(15_000) } }],
  ] as [string, TopicMessage][])(
    'with %s a message is cut to what receivers accept, and marked',
    async (_what, each) => {
      const { publisher, said } = onBoth(URLS);
      await publisher.publish(each);
      const bytes = said.find(([, topic]) => topic.startsWith('ours-'))?.[2] ?? new Uint8Array();
      expect(MESSAGE_BUS.decode[each.kind](bytes)).toMatchObject({ ok: true });
      const { data } = JSON.parse(Buffer.from(bytes).toString());
      expect(Buffer.from(data, 'base64').toString()).toMatch(/…"/);
    },
  );

  test('a message that would be too large all the same is not published', async () => {
    const urls = { ...URLS, dataHubUrl: `https://hub.example/${'&'.repeat(2000)}` };
    await expect(onBoth(urls).publisher.publish(SUBTREE)).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' });
  });
});
