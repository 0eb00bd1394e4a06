// A story: a random network, random steps, and the invariants after each. The seed decides everything.
import { missedPenalties, sharedBansDiffer, unknownBlocks, violations } from './invariants.ts';
import { quickArrays } from './quick-arrays.ts';
import { recover, STEPS } from './steps.ts';
import { World } from './world.ts';

export interface Outcome {
  readonly seed: number;
  /** Empty when all invariants held. */
  readonly violations: readonly string[];
  /** Of the trace: the same for each run of the seed. */
  readonly digest: string;
  readonly trace: string;
  readonly events: number;
  readonly virtualMs: number;
}

const STEPS_OF_STORY = { least: 8, more: 10 };
/** From the end of all faults until every node knows the best chain. */
const CONVERGENCE_MS = 90_000;

export async function runStory(seed: number): Promise<Outcome> {
  const world = new World({ seed });
  const restore = [world.time.install(world.random), quickArrays()];
  let found: readonly string[];
  try {
    found = await played(world);
    if (found.length === 0) await world.close();
  } catch (error) {
    found = [`the story failed: ${error instanceof Error ? error.stack : error}`];
  } finally {
    for (const each of restore) each();
  }
  for (const line of found) world.trace.note(`VIOLATED: ${line}`);
  const { time, trace } = world;
  const { events, nowMs: virtualMs } = time;
  return { seed, violations: found, digest: trace.digest(), trace: trace.text(), events, virtualMs };
}

async function played(world: World): Promise<readonly string[]> {
  const { random, time } = world;
  for (const machine of world.machines) await world.boot(machine);
  await time.advance(3000);
  const steps = STEPS_OF_STORY.least + random.below(STEPS_OF_STORY.more);
  for (let n = 0; n < steps; n += 1) {
    await pickedStep(world).run(world);
    await time.advance(random.between(100, 6000));
    const found = await allViolations(world);
    if (found.length > 0) return found;
  }
  await recover(world);
  await time.advance(CONVERGENCE_MS);
  return [...(await allViolations(world)), ...unknownBlocks(world)];
}

async function allViolations(world: World): Promise<readonly string[]> {
  return [...missedPenalties(world), ...(await sharedBansDiffer(world)), ...violations(world)];
}

function pickedStep({ random }: World) {
  const total = STEPS.reduce((sum, { weight }) => sum + weight, 0);
  let at = random.next() * total;
  const picked = STEPS.find(({ weight }) => {
    at -= weight;
    return at < 0;
  });
  return picked ?? STEPS[0]!;
}
