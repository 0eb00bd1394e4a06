// How the blockchain service is waited for at start.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { patiently } from '../../../src/app/create-services.ts';
import { P2PError } from '../../../src/lib/errors.ts';
import { recordingLogger } from '../../fakes/recorders.ts';

const refused = () => new P2PError('RPC_FAILED', 'GetState of blockchain failed with UNAUTHENTICATED');

function waiting() {
  const seen: string[] = [];
  return { seen, begin: async () => void seen.push('begin'), end: async () => void seen.push('end') };
}

describe('a service that refuses at once', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  test('is asked again a second later, until it answers', async () => {
    const [around, log] = [waiting(), recordingLogger()];
    let asked = 0;
    const ask = async () => {
      asked += 1;
      if (asked < 4) throw refused();
      return 'key';
    };
    const answer = patiently(ask, { log, waiting: around }, new AbortController().signal);
    for (const expected of [1, 2, 3]) {
      await vi.advanceTimersByTimeAsync(999);
      expect(asked).toBe(expected);
      await vi.advanceTimersByTimeAsync(1);
    }
    expect(await answer).toBe('key');
    expect(around.seen).toEqual(['begin', 'end']);
  });

  test('is not waited for once the signal aborts', async () => {
    const [around, stop] = [waiting(), new AbortController()];
    let asked = 0;
    const ask = async () => {
      asked += 1;
      throw refused();
    };
    const answer = expect(patiently(ask, { log: recordingLogger(), waiting: around }, stop.signal)).rejects.toThrow(
      'stop',
    );
    await vi.advanceTimersByTimeAsync(500);
    stop.abort(new Error('stop'));
    await answer;
    expect(asked).toBe(1);
    expect(around.seen).toEqual(['begin', 'end']);
    expect(vi.getTimerCount()).toBe(0);
  });
});
