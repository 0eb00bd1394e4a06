// Four suites: unit and integration need nothing but Node and, for the version, git; what system and load need is in CONTRIBUTING.md.
import { defineConfig } from 'vitest/config';

/** They load the machine, measure it, or use the ports that a clone is shipped with: alone, one after the other. */
const ALONE = [
  'ban-store',
  'bench',
  'blame',
  'clone',
  'deaf-neighbours',
  'forgery',
  'gossip-floods',
  'kafka',
  'lazy-gossip',
  'metrics',
  'package',
  'pipeline',
  'registry',
  'resilience',
  'websocket',
].map((name) => `test/system/${name}.test.ts`);

/** Needs tools, and time. */
const WITH_TOOLS = { globalSetup: 'test/support/system-setup.ts', testTimeout: 180_000, hookTimeout: 300_000 };

export default defineConfig({
  test: {
    // Most of them wait for sockets and processes: more than there are cores.
    maxWorkers: 4,
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
          include: ['test/system/**/*.test.ts', 'test/interop/**/*.test.ts'],
          exclude: ALONE,
          // They wait for processes more than they compute.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: { ...WITH_TOOLS, name: 'load', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
    ],
  },
});
