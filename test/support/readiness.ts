// What a server's probes answer, as text and as JSON.
import { expect } from 'vitest';
import { waitFor } from './wait.ts';

/** Checks of readiness that ask Kafka. */
export const KAFKA_CHECKS = [
  'kafka_blocks',
  'kafka_subtrees',
  'kafka_invalid_blocks',
  'kafka_invalid_subtrees',
  'kafka_rejected_tx',
];

/** Of every probe: more than its own deadline, less than what those who probe have patience for. */
const PROBE_PATIENCE_MS = 8000;

export async function probe(address: string, path: string, accept = '*/*'): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://${address}${path}`, {
    headers: { accept },
    signal: AbortSignal.timeout(PROBE_PATIENCE_MS),
  });
  return { status: response.status, body: await response.text() };
}

interface ShownCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly details: string;
}

/**
 * Waits until exactly these checks fail, as text and as JSON; the process lives all the while. Resolves with what was
 * said of each.
 */
export async function awaitFailing(address: string, ...names: readonly string[]): Promise<Record<string, string>> {
  return await waitFor(
    async () => {
      expect(await probe(address, '/health/live')).toEqual({ status: 200, body: 'OK' });
      const json = await probe(address, '/health/ready', 'application/json');
      const { status, checks } = JSON.parse(json.body) as { status: string; checks: ShownCheck[] };
      const text = await probe(address, '/health/ready');
      const isWell = names.length === 0;
      expect(checks.filter(({ ok }) => !ok).map(({ name }) => name)).toEqual(names);
      expect({ status, code: json.status }).toEqual(
        isWell ? { status: 'ok', code: 200 } : { status: 'failed', code: 503 },
      );
      expect(text.status).toBe(json.status);
      for (const { name } of checks)
        expect(text.body).toMatch(new RegExp(`^${name}: ${names.includes(name) ? 'FAILED' : 'ok'} \\(.+\\)$`, 'm'));
      return Object.fromEntries(checks.map(({ name, details }) => [name, details]));
    },
    { timeoutMs: 60_000, what: `failing: ${names.join(', ') || 'none'}` },
  );
}
