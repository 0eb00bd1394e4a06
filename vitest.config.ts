// Five suites: unit, integration and simulator need nothing but Node and, for the version, git; what system and load
// need is in CONTRIBUTING.md.
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { COMPILE_CACHE } from './test/support/repo.ts';

// Each file of tests has a process of its own, which loads the same libraries again.
Object.assign(process.env, COMPILE_CACHE);

/** They load the machine or measure it: alone, one after the other. */
const ALONE = [
  'bench',
  'bus-gossip',
  'bus-malformed',
  'deaf-neighbours',
  'flood-blame',
  'gossip-floods',
  'lazy-gossip',
  'metrics',
  'native-million',
  'pipeline',
  'soak',
  'websocket',
].map((name) => `test/system/${name}.test.ts`);

/** Runs the steps of the container image; not part of the suites. */
const IMAGE = ['test/system/deploy-image.test.ts'];

/** Short files that take a minute or more. */
const LONG = [
  'clone',
  'resilience',
  'package',
  'shared-bans',
  'silent-connections',
  'ban-promises',
  'bus-scoring',
  'visitors',
  'nat',
];

/** By default large files start first. These would start last, and the other workers would be idle while they end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => LONG.some((name) => moduleId.endsWith(`/${name}.test.ts`));
    return (await super.sort(files)).toSorted((a, b) => Number(isLong(b)) - Number(isLong(a)));
  }
}

/** Needs tools, and time. */
const WITH_TOOLS = { globalSetup: 'test/support/system-setup.ts', testTimeout: 180_000, hookTimeout: 300_000 };

export default defineConfig({
  test: {
    // Most of them wait for sockets and processes: more than there are cores.
    maxWorkers: 5,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/fuzz/**/*.test.ts'],
          // Property tests take seconds, on a busy machine tens of them.
          testTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 90_000,
          hookTimeout: 90_000,
        },
      },
      {
        test: {
          ...WITH_TOOLS,
          name: 'system',
          // Each file starts servers, brokers and Go peers of its own.
          maxWorkers: 4,
          include: ['test/system/**/*.test.ts', 'test/interop/**/*.test.ts'],
          exclude: [...ALONE, ...IMAGE],
          sequence: { groupOrder: 1 },
        },
      },
      {
        // Nothing but the processor, which it takes for a minute or two.
        test: {
          name: 'simulator',
          include: ['test/simulator/**/*.test.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 3 },
        },
      },
      {
        // Needs the network for npm and cargo, and mounts: npm run check:image.
        test: { ...WITH_TOOLS, name: 'image', include: IMAGE },
      },
      {
        test: { ...WITH_TOOLS, name: 'load', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
    ],
  },
});
