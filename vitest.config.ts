// Four suites: unit and integration need nothing but Node and, for the version, git; what system and load need is in CONTRIBUTING.md.
import { defineConfig } from 'vitest/config';
import { COMPILE_CACHE } from './test/support/repo.ts';

// Each file of tests has a process of its own, which loads the same libraries again.
Object.assign(process.env, COMPILE_CACHE);

/** They load the machine or measure it: alone, one after the other. */
const ALONE = ['bench', 'deaf-neighbours', 'flood-blame', 'gossip-floods', 'lazy-gossip', 'metrics', 'websocket'].map(
  (name) => `test/system/${name}.test.ts`,
);

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
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: { ...WITH_TOOLS, name: 'load', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
    ],
  },
});
