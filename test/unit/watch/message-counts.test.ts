// Gossip messages of the last minute, and since they were last taken.
import { expect, test } from 'vitest';
import { ACCEPTED, forwardedOnly, ignored, rejected } from '../../../src/gossip/validation-result.ts';
import { MessageCounts } from '../../../src/watch/message-counts.ts';
import { FakeClock } from '../../fakes/recorders.ts';

function setUp() {
  const clock = new FakeClock();
  const counts = new MessageCounts({ clock });
  return { clock, counts, came: (topic: string, result = ACCEPTED) => counts.result({ topic }, result) };
}

test('messages count for a minute, by topic and decision', () => {
  const { clock, counts, came } = setUp();
  came('block');
  came('block', ignored('duplicate'));
  clock.advance(30_000);
  came('block');
  came('subtree', rejected('hash_form'));
  came('subtree', forwardedOnly('duplicate'));
  const subtree = { name: 'subtree', accepted: 1, ignored: 0, rejected: 1 };
  expect(counts.lastMinute()).toEqual([{ name: 'block', accepted: 2, ignored: 1, rejected: 0 }, subtree]);
  clock.advance(31_000);
  expect(counts.lastMinute()).toEqual([{ name: 'block', accepted: 1, ignored: 0, rejected: 0 }, subtree]);
  // The same place in the ring, a minute later.
  came('block');
  expect(counts.lastMinute()[0]).toMatchObject({ accepted: 2, ignored: 0 });
  clock.advance(60_000);
  expect(counts.lastMinute()).toEqual([
    { name: 'block', accepted: 0, ignored: 0, rejected: 0 },
    { name: 'subtree', accepted: 0, ignored: 0, rejected: 0 },
  ]);
});

test('messages are taken once, by topic and result', () => {
  const { counts, came } = setUp();
  came('block');
  came('block');
  came('block', ignored('duplicate'));
  expect(counts.take()).toEqual([
    { topic: 'block', result: 'processed', count: 2 },
    { topic: 'block', result: 'duplicate', count: 1 },
  ]);
  came('block', ignored('duplicate'));
  expect(counts.take()).toEqual([{ topic: 'block', result: 'duplicate', count: 1 }]);
  expect(counts.take()).toEqual([]);
});
