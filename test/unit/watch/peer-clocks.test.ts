import { expect, test } from 'vitest';
import { MAX_PEER_CLOCKS, PeerClocks } from '../../../src/watch/peer-clocks.ts';
import { FakeClock } from '../../fakes/recorders.ts';

const seconds = (clock: FakeClock) => BigInt(clock.now() / 1000);

test('the clock of a peer is what it says of its start and uptime; the last status counts', () => {
  const clock = new FakeClock();
  const clocks = new PeerClocks(clock);
  clocks.heard({ peerId: 'ahead', startTime: seconds(clock), uptime: 90 });
  clocks.heard({ peerId: 'right', startTime: seconds(clock) - 60n, uptime: 55 });
  clocks.heard({ peerId: 'right', startTime: seconds(clock) - 60n, uptime: 60 });
  expect(clocks.offsetsMs().toSorted()).toEqual([0, 90_000]);
});

test('a status without start or uptime says nothing of a clock', () => {
  const clocks = new PeerClocks(new FakeClock());
  clocks.heard({ peerId: 'a', startTime: 0n, uptime: 5 });
  clocks.heard({ peerId: 'b', startTime: 1n, uptime: 0 });
  clocks.heard({ peerId: 'c', startTime: 1n, uptime: Number.NaN });
  expect(clocks.offsetsMs()).toEqual([]);
});

test('only a bounded number of clocks is remembered', () => {
  const clock = new FakeClock();
  const clocks = new PeerClocks(clock);
  for (let i = 0; i < 2 * MAX_PEER_CLOCKS; i += 1)
    clocks.heard({ peerId: `peer ${i}`, startTime: seconds(clock), uptime: 1 });
  expect(clocks.offsetsMs()).toHaveLength(MAX_PEER_CLOCKS);
});
