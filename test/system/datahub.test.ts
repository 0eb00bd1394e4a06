// DataHub URLs as weapons: aimed at a machine by many peers, at loopback by redirect and by name, at nothing that ever
// answers.
import { beforeAll, describe, expect, test } from 'vitest';
import { type DataHubLabVerdict, runDataHubLab } from '../support/datahub-namespace.ts';

/** One check each 30 s; half a second for the clocks of two processes. */
const LEAST_GAP_MS = 29_500;
/** An interval, its tenth, a second of looking and what a loaded machine takes. */
const MOST_GAP_MS = 45_000;

describe('DataHub URLs of peers', () => {
  let seen: DataHubLabVerdict;

  beforeAll(async () => {
    seen = await runDataHubLab();
  });

  test('a machine is checked once per interval, however many peers claim it with whatever path, port and name', () => {
    expect(seen.countedGapsMs.length).toBeGreaterThanOrEqual(2);
    expect(Math.min(...seen.countedGapsMs)).toBeGreaterThanOrEqual(LEAST_GAP_MS);
    expect(Math.max(...seen.countedGapsMs)).toBeLessThanOrEqual(MOST_GAP_MS);
  });

  test('a URL that redirects to 127.0.0.1 or resolves to a private address is not followed', () => {
    expect(seen.canaryConnections).toBe(0);
    // The redirect, the redirect to a name, and two names.
    expect(seen.checksRefusedAsPrivate).toBeGreaterThanOrEqual(4);
  });

  test('a URL that fails, never answers or redirects in a circle is not checked more often', () => {
    for (const gaps of [seen.redirectGapsMs, seen.silentGapsMs, seen.loopGapsMs])
      expect(Math.min(Number.POSITIVE_INFINITY, ...gaps)).toBeGreaterThanOrEqual(LEAST_GAP_MS);
  });

  test('gossip, connections, readiness and stop are not affected by the checks', () => {
    expect(seen).toMatchObject({ isGossipRelayed: true, readinessStatus: 200, stopCode: 0 });
    expect(seen.connectedPeers).toBe(seen.peers);
  });

  test('our own private URL causes a warning', () => {
    expect(seen.warnings).toContainEqual(expect.stringContaining('own DataHub URL leads to a private address'));
  });
});
