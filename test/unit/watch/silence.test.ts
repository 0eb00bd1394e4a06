import { expect, test } from 'vitest';
import { type FeedChange, Silence } from '../../../src/watch/silence.ts';
import { FakeClock } from '../../fakes/recorders.ts';

function watched(peers: number) {
  const clock = new FakeClock();
  const changes: FeedChange[] = [];
  const network = { peers };
  const silence = new Silence(
    { clock, peers: () => network.peers, changed: (change) => changes.push(change) },
    { topics: ['net-block', 'net-node_status'], silentAfterMs: 60_000 },
  );
  const after = (ms: number) => {
    clock.advance(ms);
    return silence.check().state;
  };
  return { clock, changes, network, silence, after, states: () => changes.map(({ to }) => to) };
}

test('a feed without a message goes silent once peers have been connected for longer than the bound', () => {
  const { after, changes } = watched(1);
  expect(after(0)).toBe('flowing');
  expect(after(60_000)).toBe('flowing');
  expect(after(1)).toBe('silent');
  expect(after(1000)).toBe('silent');
  expect(changes.map(({ from, to }) => `${from} > ${to}`)).toEqual(['alone > flowing', 'flowing > silent']);
  expect(changes[1]?.feed).toEqual({ state: 'silent', peers: 1, silentForMs: 60_001 });
});

test('a message of any of the topics ends the silence at once, and the change is told once', () => {
  const { after, silence, states } = watched(2);
  after(0);
  after(61_000);
  silence.heard('net-block');
  silence.heard('net-block');
  expect(silence.feed()).toEqual({ state: 'flowing', peers: 2, silentForMs: 0 });
  expect(states()).toEqual(['flowing', 'silent', 'flowing']);
});

test('a feed in which messages keep coming is never silent', () => {
  const { after, silence, states } = watched(1);
  after(0);
  for (let round = 0; round < 50; round += 1) {
    after(10_000);
    silence.heard('net-node_status');
  }
  expect(states()).toEqual(['flowing']);
});

test('without peers nothing is silent, and a new peer gets the whole bound', () => {
  const { after, network } = watched(0);
  expect(after(3_600_000)).toBe('alone');
  network.peers = 1;
  expect(after(1000)).toBe('flowing');
  expect(after(60_000)).toBe('flowing');
  expect(after(1)).toBe('silent');
  network.peers = 0;
  expect(after(1000)).toBe('alone');
});

test('topics of others are not counted, and the last message of each topic of ours is known', () => {
  const { clock, after, silence } = watched(1);
  after(0);
  after(30_000);
  silence.heard('other-block');
  silence.heard('net-node_status');
  expect([...silence.lastMessages()]).toEqual([
    ['net-block', undefined],
    ['net-node_status', clock.now()],
  ]);
});
