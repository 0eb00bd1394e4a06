// The second half of the 1,000 stories, and that the simulator finds faults.
import { expect, test } from 'vitest';
import { PLANTED } from './planted-faults.ts';
import { described, type Played, playSeeds } from './seeds.ts';
import { runStory } from './story.ts';

test('every invariant holds in 500 more random stories', { timeout: 1_800_000 }, async ({ signal }) => {
  const { failure } = await playSeeds(501, 1000, signal);
  expect(failure && described(failure)).toBeUndefined();
});

test.for(Object.entries(PLANTED))(
  'finds within 200 seeds that %s',
  { timeout: 600_000 },
  async ([, plant], { signal }) => {
    const restore = plant();
    let played: Played;
    try {
      played = await playSeeds(1, 200, signal);
    } finally {
      restore();
    }
    const { failure } = played;
    if (failure === undefined) throw new Error('not found');
    process.stdout.write(`found by seed ${failure.seed}: ${failure.violations[0]}\n`);
    // It was the fault: without it the same story goes well.
    expect((await runStory(failure.seed)).violations).toEqual([]);
  },
);
