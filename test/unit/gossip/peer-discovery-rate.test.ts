import { expect, test } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import { peerDiscoveryRate } from '../../../src/gossip/limits/peer-discovery-rate.ts';
import { FakeClock } from '../../fakes/recorders.ts';

test('forwards peer-discovery bytes once per author, topic and 4 s', () => {
  const clock = new FakeClock();
  const may = peerDiscoveryRate(clock);
  const [a, b] = ['a', 'b'] as PeerId[] as [PeerId, PeerId];
  expect([may('t', a), may('t', a), may('u', a), may('t', b)]).toEqual([true, false, true, true]);
  clock.advance(3999);
  expect(may('t', a)).toBe(false);
  clock.advance(1);
  expect(may('t', a)).toBe(true);
});
