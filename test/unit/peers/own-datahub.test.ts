// What an operator learns about the node's own DataHub before its URL is announced.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { checkOwnDataHub } from '../../../src/peers/datahub/own-datahub.ts';
import type { DataHubProber, DataHubVerdict } from '../../../src/ports/datahub-prober.ts';
import { ALIVE, DEAD } from '../../fakes/datahub-prober.ts';
import { recordingLogger } from '../../fakes/recorders.ts';

const URL = 'http://hub.example.org/api/v1';
const never = new AbortController().signal;

async function warningsOf(verdict: DataHubVerdict): Promise<string[]> {
  const log = recordingLogger();
  expect(await checkOwnDataHub({ probe: async () => verdict }, URL, log, never)).toEqual(verdict);
  return log.lines.filter(({ level }) => level === 'warn').map(({ event }) => event);
}

afterEach(() => {
  vi.useRealTimers();
});

describe('check of our own DataHub', () => {
  test('logs no warning when the DataHub answers', async () => {
    expect(await warningsOf(ALIVE)).toEqual([]);
  });

  test('logs one clear warning when the DataHub does not answer or is private', async () => {
    expect(await warningsOf(DEAD)).toEqual([expect.stringContaining('does not answer')]);
    expect(await warningsOf({ outcome: 'dead', reason: 'private', details: '' })).toEqual([
      expect.stringContaining('private address'),
    ]);
  });

  test('asks nothing without a URL', async () => {
    const probe = vi.fn<DataHubProber['probe']>();
    expect(await checkOwnDataHub({ probe }, '', recordingLogger(), never)).toBeUndefined();
    expect(probe).not.toHaveBeenCalled();
  });

  test('does not delay the start when the prober never settles or throws', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const hangs = checkOwnDataHub({ probe: () => new Promise(() => {}) }, URL, recordingLogger(), never);
    await vi.advanceTimersByTimeAsync(2500);
    expect(await hangs).toMatchObject({ outcome: 'dead', reason: 'timeout' });
    const throwing = async () => {
      throw new Error('broken');
    };
    expect(await checkOwnDataHub({ probe: throwing }, URL, recordingLogger(), never)).toMatchObject({
      outcome: 'dead',
    });
  });

  test('ends without a warning when stopped during the check', async () => {
    const log = recordingLogger();
    const stop = new AbortController();
    const check = checkOwnDataHub({ probe: () => new Promise(() => {}) }, URL, log, stop.signal);
    stop.abort();
    expect(await check).toBeUndefined();
    expect(log.lines).toEqual([]);
  });
});
