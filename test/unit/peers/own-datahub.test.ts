// What an operator is told of his own DataHub before others are.
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

describe('our own DataHub', () => {
  test('one that answers is no news', async () => {
    expect(await warningsOf(ALIVE)).toEqual([]);
  });

  test('one that does not answer, or is private, is one clear warning', async () => {
    expect(await warningsOf(DEAD)).toEqual([expect.stringContaining('does not answer')]);
    expect(await warningsOf({ outcome: 'dead', reason: 'private', details: '' })).toEqual([
      expect.stringContaining('private address'),
    ]);
  });

  test('without a URL nothing is asked', async () => {
    const probe = vi.fn<DataHubProber['probe']>();
    expect(await checkOwnDataHub({ probe }, '', recordingLogger(), never)).toBeUndefined();
    expect(probe).not.toHaveBeenCalled();
  });

  test('a prober that never settles, or throws, does not hold up the start', async () => {
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

  test('a stop during the check ends it without a warning', async () => {
    const log = recordingLogger();
    const stop = new AbortController();
    const check = checkOwnDataHub({ probe: () => new Promise(() => {}) }, URL, log, stop.signal);
    stop.abort();
    expect(await check).toBeUndefined();
    expect(log.lines).toEqual([]);
  });
});
