// The first half of the 1,000 stories of every run of the suites; `seeds-2` has the other, in a process of its own.
import { expect, test } from 'vitest';
import { described, playSeeds } from './seeds.ts';
import { runStory } from './story.ts';

test('every invariant holds in 500 random stories of a network with adversaries', { timeout: 1_800_000 }, async ({
  signal,
}) => {
  const { failure, happened } = await playSeeds(1, 500, signal);
  expect(failure && described(failure)).toBeUndefined();
  for (const [happening, count] of Object.entries(happened))
    expect({ happening, count: count > 50 }).toEqual({ happening, count: true });
});

test('a seed gives the same trace whenever it is played', { timeout: 60_000 }, async () => {
  for (const seed of [7, 8, 9]) {
    const [one, two] = [await runStory(seed), await runStory(seed)];
    expect(one.events).toBeGreaterThan(100);
    expect(two.digest).toBe(one.digest);
  }
  expect((await runStory(7)).digest).not.toBe((await runStory(8)).digest);
});
