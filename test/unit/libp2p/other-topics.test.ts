import { expect, test } from 'vitest';
import { MAX_PEERS, OtherTopics } from '../../../src/adapters/libp2p/gossipsub/other-topics.ts';

function noting() {
  const topics = new OtherTopics(['ours-block']);
  const passed: unknown[] = [];
  const handle = topics.handleReceivedRpc(async (_from, rpc) => void passed.push(rpc));
  const receive = (peer: string, rpc: unknown) => void handle({ toString: () => peer } as never, rpc);
  const subscribes = (peer: string, ...names: unknown[]) =>
    receive(peer, { subscriptions: names.map((topic) => ({ topic, subscribe: true })) });
  return { topics, passed, receive, subscribes };
}

test('topics of others that a peer subscribes to are known until it unsubscribes or leaves', () => {
  const { topics, receive, subscribes, passed } = noting();
  subscribes('a', 'ours-block', 'theirs-block', 'theirs-subtree');
  receive('a', { subscriptions: [{ topic: 'theirs-block', subscribe: false }] });
  expect(topics.of('a')).toEqual(['theirs-subtree']);
  expect(passed).toHaveLength(2);
  topics.forget('a');
  expect(topics.of('a')).toEqual([]);
});

test('topics, their names and the peers that are remembered are bounded, whatever a peer sends', () => {
  const { topics, receive, subscribes } = noting();
  subscribes('a', 7, undefined, 'x'.repeat(5000), ...Array.from({ length: 90 }, (_each, i) => `topic ${i}`));
  expect(topics.of('a')).toHaveLength(8);
  expect(topics.of('a')[0]).toHaveLength(150);
  for (const rpc of [undefined, {}, { subscriptions: 'none' }]) receive('b', rpc);
  for (let i = 0; i < MAX_PEERS; i += 1) subscribes(`peer ${i}`, 'theirs');
  expect(topics.of('a')).toEqual([]);
});
