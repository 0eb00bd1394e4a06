// When a listed name is resolved, and when again.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ListedNames } from '../../../src/adapters/libp2p/discovery/listed-names.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const NAME = '/dnsaddr/boot.example';
let names: ListedNames | undefined;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  names?.stop();
  vi.useRealTimers();
});

function setUp(answer: () => readonly string[], hasFailed: () => boolean = () => false) {
  const lookupsAtMs: number[] = [];
  const resolved: (readonly string[])[] = [];
  const [metrics, log] = [new RecordedMetrics(), recordingLogger()];
  const startMs = Date.now();
  names = new ListedNames(
    {
      log,
      lookups: metrics.counter('lookups'),
      nowMs: () => Date.now(),
      resolve: async () => {
        lookupsAtMs.push(Date.now() - startMs);
        return answer();
      },
      resolved: (_name, addresses) => resolved.push(addresses),
      hasFailed,
    },
    [NAME, NAME],
  );
  names.start();
  return { lookupsAtMs, resolved, metrics, log };
}

test('a name is resolved once while a peer of it is reached', async () => {
  const { lookupsAtMs, resolved } = setUp(() => ['a', 'b']);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(lookupsAtMs).toEqual([0]);
  expect(resolved).toEqual([['a', 'b']]);
});

test('a name is resolved again when all of its peers have failed, once a minute at most', async () => {
  const { lookupsAtMs, resolved } = setUp(
    () => ['a'],
    () => true,
  );
  await vi.advanceTimersByTimeAsync(10 * 60_000);
  expect(lookupsAtMs.length).toBeGreaterThan(8);
  expect(lookupsAtMs.length).toBeLessThanOrEqual(11);
  expect(resolved).toHaveLength(lookupsAtMs.length);
});

test.each(['empty', 'failed'] as const)(
  'a lookup that is %s is repeated with a back-off, and logged once',
  async (outcome) => {
    const { lookupsAtMs, resolved, metrics, log } = setUp(() => {
      if (outcome === 'failed') throw new Error('no such name');
      return [];
    });
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    expect(lookupsAtMs.slice(0, 3).map((ms) => Math.round(ms / 1000))).toEqual([0, 5, 15]);
    expect(lookupsAtMs.length).toBeLessThan(16);
    expect(resolved).toEqual([]);
    expect(metrics.count('lookups', { outcome })).toBe(lookupsAtMs.length);
    expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
  },
);
