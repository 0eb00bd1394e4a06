// What a neighbour pays for messages of others that cost their authors points.
import { expect, test } from 'vitest';
import { SourceDebts } from '../../../src/gossip/limits/source-debts.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { FakeClock } from '../../fakes/recorders.ts';
import { AUTHOR, changed, SOURCE, validate } from '../../fakes/validated.ts';

const [neighbour, other] = [peer(1), peer(2)];

test('a neighbour is in debt after a hundred of them, until a second has passed, and no other is', () => {
  const clock = new FakeClock();
  const debts = new SourceDebts(clock);
  for (let i = 0; i < 99; i += 1) debts.charge(neighbour);
  expect(debts.isInDebt(neighbour)).toBe(false);
  debts.charge(neighbour);
  expect([debts.isInDebt(neighbour), debts.isInDebt(other)]).toEqual([true, false]);
  // It is never more than a second away.
  for (let i = 0; i < 1000; i += 1) debts.charge(neighbour);
  clock.advance(1000);
  expect(debts.isInDebt(neighbour)).toBe(false);
  debts.charge(neighbour);
  expect(debts.isInDebt(neighbour)).toBe(true);
  clock.advance(100_000);
  for (let i = 0; i < 99; i += 1) debts.charge(neighbour);
  expect(debts.isInDebt(neighbour)).toBe(false);
});

test('a bounded number of neighbours is remembered', () => {
  const sizes: (() => number)[] = [];
  const debts = new SourceDebts(new FakeClock(), (_kind, size) => sizes.push(size));
  for (let n = 0; n < 6000; n += 1) debts.charge(peer(n));
  expect(sizes.map((size) => size())).toEqual([5000]);
});

test('a message that costs its author points is charged to the neighbour that brought it, unless only recorded', () => {
  const charged: string[] = [];
  const view = { chargeSource: (from: string) => void charged.push(from) };
  const forged = changed('subtree', { PeerID: peer(7) });
  validate('subtree', forged, { view });
  expect(charged).toEqual([SOURCE]);
  validate('subtree', forged, { view, author: SOURCE });
  validate('subtree', forged, { view, shadow: ['author_mismatch'] });
  validate('subtree', '{}', { view, author: AUTHOR });
  expect(charged).toHaveLength(1);
});
