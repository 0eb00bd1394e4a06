// Whether this node says that it keeps all blocks.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { StorageMode } from '../../../src/announce/storage-mode.ts';
import { FakeClock, recordingLogger } from '../../fakes/recorders.ts';

const RETENTION = 288;
const SECOND = 1000;

function setUp(first: Uint8Array | undefined) {
  const clock = new FakeClock();
  const answer: { state: () => Promise<Uint8Array | undefined> } = { state: async () => first };
  const keys: string[] = [];
  const blockchain = {
    getState: (key: string) => {
      keys.push(key);
      return answer.state();
    },
  };
  const mode = new StorageMode({ blockchain, clock, log: recordingLogger() }, RETENTION);
  return { clock, answer, keys, mode };
}

const height = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return new Uint8Array(bytes);
};

describe('the storage at height 1000', () => {
  test.each([
    ['without a persister', undefined, 'pruned'],
    ['with an empty state', new Uint8Array(), 'pruned'],
    ['with a persister at 0', height(0), 'pruned'],
    ['with a persister at 711', height(711), 'pruned'],
    ['with a persister at 712', height(712), 'full'],
    ['with a persister at the tip', height(1000), 'full'],
    ['with a persister ahead of the tip', height(4_000_000_000), 'full'],
  ])('%s is %s', async (_what, state, expected) => {
    const { mode, keys } = setUp(state);
    expect([await mode.at(1000), keys]).toEqual([expected, ['BlockPersisterHeight']]);
  });

  test('follows the tip between reads, and is read at most every 10 s', async () => {
    const { mode, keys, clock } = setUp(height(712));
    expect([await mode.at(1000), await mode.at(1001), keys.length]).toEqual(['full', 'pruned', 1]);
    clock.advance(10 * SECOND - 1);
    await mode.at(1000);
    expect(keys).toHaveLength(1);
    clock.advance(1);
    await mode.at(1000);
    expect(keys).toHaveLength(2);
  });
});

describe('a service that fails or hangs', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('leaves the last known storage, and none before the first answer', async () => {
    const { mode, answer, clock } = setUp(undefined);
    answer.state = () => Promise.reject(new Error('down'));
    expect(await mode.at(1000)).toBeUndefined();
    answer.state = async () => height(1000);
    clock.advance(10 * SECOND);
    expect(await mode.at(1000)).toBe('full');
    answer.state = () => Promise.reject(new Error('down'));
    clock.advance(10 * SECOND);
    expect(await mode.at(1000)).toBe('full');
  });

  test('delays a status by two seconds at most, and is asked again once it has answered', async () => {
    const { mode, answer, clock, keys } = setUp(height(1000));
    await mode.at(1000);
    const hanging = Promise.withResolvers<Uint8Array | undefined>();
    answer.state = () => hanging.promise;
    for (let i = 0; i < 3; i += 1) {
      clock.advance(10 * SECOND);
      const storage = mode.at(1000);
      await vi.advanceTimersByTimeAsync(2 * SECOND);
      expect(await storage).toBe('full');
    }
    expect(keys).toHaveLength(2);
  });
});
