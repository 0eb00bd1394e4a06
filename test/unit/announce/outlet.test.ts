// What this node says goes out under each prefix that it belongs to, and its caller hears what became of it.
import { expect, test } from 'vitest';
import { outlet } from '../../../src/announce/outlet.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { PublishOutcome } from '../../../src/ports/p2p-node.ts';

const BYTES = Buffer.from('said');
const SIBLINGS = new Map([
  ['ours-block', ['ours-block', 'old-block', 'older-block']],
  ['ours-subtree', ['ours-subtree']],
]);

function setUp(becomes: (topic: string) => PublishOutcome | Error = () => 'published') {
  const said: [topic: string, bytes: Uint8Array][] = [];
  const node = {
    hostId: () => 'us' as PeerId,
    publish: async (topic: string, bytes: Uint8Array) => {
      said.push([topic, bytes]);
      const outcome = becomes(topic);
      if (outcome instanceof Error) throw outcome;
      return outcome;
    },
  };
  return { out: outlet(node, SIBLINGS), said, topics: () => said.map(([topic]) => topic) };
}

test('the same bytes under our own prefix and under each further one, once each', async () => {
  const { out, said } = setUp();
  expect(await out.publish('ours-block', BYTES)).toBe('published');
  expect(said).toEqual([
    ['ours-block', BYTES],
    ['old-block', BYTES],
    ['older-block', BYTES],
  ]);
  expect(out.hostId()).toBe('us');
});

test.each(['ours-subtree', 'unknown'])('under one name where there is one: %s', async (topic) => {
  const { out, topics } = setUp();
  expect(await out.publish(topic, BYTES)).toBe('published');
  expect(topics()).toEqual([topic]);
});

test.each<[PublishOutcome, PublishOutcome]>([
  ['published', 'suppressed'],
  ['suppressed', 'published'],
])('what became of it is told of our own prefix (%s), not of the others (%s)', async (own, others) => {
  const { out } = setUp((topic) => (topic === 'ours-block' ? own : others));
  expect(await out.publish('ours-block', BYTES)).toBe(own);
});

test.each(['ours-block', 'old-block', 'older-block'])(
  'a failure on %s keeps nothing back, and is told',
  async (failing) => {
    const failure = new Error('no');
    const { out, topics } = setUp((topic) => (topic === failing ? failure : 'published'));
    await expect(out.publish('ours-block', BYTES)).rejects.toBe(failure);
    expect(topics()).toEqual(['ours-block', 'old-block', 'older-block']);
  },
);
