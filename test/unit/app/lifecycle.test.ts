// The order in which parts start and stop, and the time that each has for its stop.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Lifecycle, type Part, stopInReverse } from '../../../src/app/lifecycle.ts';
import { recordingLogger } from '../../fakes/recorders.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

const never = () => new Promise<void>(() => {});

function setUp(changes: Record<string, Partial<Part>> = {}) {
  const calls: string[] = [];
  const log = recordingLogger();
  const parts = ['first', 'second', 'third'].map((name): Part => {
    const { start, stop, ...rest } = changes[name] ?? {};
    return {
      name,
      budgetMs: 100,
      start: async (signal) => {
        calls.push(`start ${name}`);
        await start?.(signal);
      },
      stop: async () => {
        calls.push(`stop ${name}`);
        await stop?.();
      },
      ...rest,
    };
  });
  return { calls, log, parts, lifecycle: new Lifecycle({ log }, parts) };
}

const signal = () => new AbortController().signal;

describe('lifecycle', () => {
  test('starts parts in order and stops them in reverse, once', async () => {
    const { lifecycle, calls } = setUp();
    await lifecycle.start(signal());
    await Promise.all([lifecycle.stop(), lifecycle.stop()]);
    await lifecycle.stop();
    const started = ['start first', 'start second', 'start third'];
    expect(calls).toEqual([...started, 'stop third', 'stop second', 'stop first']);
  });

  test('names a part that takes long to start, every ten seconds until it runs', async () => {
    const running = Promise.withResolvers<void>();
    const { lifecycle, log } = setUp({ second: { start: () => running.promise } });
    const starting = lifecycle.start(signal());
    await vi.advanceTimersByTimeAsync(9999);
    expect(log.lines).toEqual([]);
    await vi.advanceTimersByTimeAsync(10_001);
    running.resolve();
    await starting;
    await vi.advanceTimersByTimeAsync(60_000);
    const line = { level: 'info', event: 'still starting' };
    expect(log.lines).toEqual([
      expect.objectContaining({ ...line, fields: { part: 'second', seconds: 10 } }),
      expect.objectContaining({ ...line, fields: { part: 'second', seconds: 20 } }),
    ]);
  });

  test('stops the parts that were started when one fails to start, and throws its error', async () => {
    const failure = new Error('no');
    const fails = () => {
      throw failure;
    };
    const { lifecycle, calls } = setUp({ second: { start: fails } });
    await expect(lifecycle.start(signal())).rejects.toBe(failure);
    expect(calls).toEqual(['start first', 'start second', 'stop second', 'stop first']);
  });

  test('waits for a part only as long as its budget, so that every other part has its own', async () => {
    let flushed = false;
    const flush = async () => {
      await new Promise((resolve) => setTimeout(resolve, 1900));
      flushed = true;
    };
    const { lifecycle, calls, log } = setUp({
      first: { stop: flush, budgetMs: 2000 },
      second: { stop: never },
      third: { stop: never },
    });
    await lifecycle.start(signal());
    const stopping = lifecycle.stop();
    await vi.advanceTimersByTimeAsync(2100);
    expect(flushed).toBe(true);
    await stopping;
    expect(calls.slice(3)).toEqual(['stop third', 'stop second', 'stop first']);
    const lines = log.lines.filter(({ event }) => event === 'failed to stop part');
    expect(lines.map(({ fields }) => fields?.part)).toEqual(['third', 'second']);
  });

  test('goes on with the other parts when one fails to stop', async () => {
    const stop = () => Promise.reject(new Error('no'));
    const { lifecycle, calls } = setUp({ second: { stop } });
    await lifecycle.start(signal());
    await lifecycle.stop();
    expect(calls.slice(3)).toEqual(['stop third', 'stop second', 'stop first']);
  });

  test('stops a part whose start is pending after that start has settled, and starts no further part', async () => {
    const loading = Promise.withResolvers<void>();
    const { lifecycle, calls } = setUp({ second: { start: () => loading.promise } });
    const starting = lifecycle.start(signal()).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(0);
    const stopping = lifecycle.stop();
    await vi.advanceTimersByTimeAsync(40);
    expect(calls).toEqual(['start first', 'start second']);
    loading.resolve();
    await stopping;
    expect(await starting).toMatchObject({ name: 'AbortError' });
    expect(calls.slice(0, 3)).toEqual(['start first', 'start second', 'stop second']);
    expect(calls.at(-1)).toBe('stop first');
    expect(calls).not.toContain('start third');
  });

  test('stops a part again whose start settles after the shutdown had given up waiting for it', async () => {
    const loading = Promise.withResolvers<void>();
    const { lifecycle, calls } = setUp({ second: { start: () => loading.promise } });
    const starting = lifecycle.start(signal()).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(0);
    const stopping = lifecycle.stop();
    await vi.advanceTimersByTimeAsync(50);
    await stopping;
    expect(calls.slice(2)).toEqual(['stop second', 'stop first']);
    loading.resolve();
    await starting;
    expect(calls.slice(2)).toEqual(['stop second', 'stop first', 'stop second']);
  });

  test('gives up the start when its signal aborts', async () => {
    const given = new AbortController();
    const { lifecycle, calls } = setUp({
      second: {
        start: (whole) => new Promise((_, reject) => whole.addEventListener('abort', () => reject(whole.reason))),
      },
    });
    const starting = lifecycle.start(given.signal).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(0);
    given.abort(new Error('not wanted'));
    expect(await starting).toEqual(new Error('not wanted'));
    expect(calls.at(-1)).toBe('stop first');
  });
});

test('resources are closed in reverse even when one cannot be closed', async () => {
  const fails = () => {
    throw new Error('disk');
  };
  const { calls, log, parts } = setUp({ third: { stop: fails }, second: { stop: never } });
  const closing = stopInReverse(parts, log);
  await vi.advanceTimersByTimeAsync(100);
  await closing;
  expect(calls).toEqual(['stop third', 'stop second', 'stop first']);
  expect(log.lines.map(({ event }) => event)).toEqual(['failed to stop part', 'failed to stop part']);
});
