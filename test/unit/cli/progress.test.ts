// What a terminal shows while a command takes long, and that files and pipes see nothing of it.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BytesShown, waitingShown } from '../../../src/cli/commands/progress.ts';
import { collector } from '../../support/command-line.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('waiting for a node', () => {
  test('is shown on a terminal from the first second on, and taken back', async () => {
    const stderr = collector(80);
    const work = Promise.withResolvers<number>();
    const waited = waitingShown(work.promise, 'for the node at host:1', stderr);
    await vi.advanceTimersByTimeAsync(999);
    expect(stderr.text).toBe('');
    await vi.advanceTimersByTimeAsync(1001);
    expect(stderr.text).toBe(
      '\r\u001b[Kwaiting for the node at host:1… 1 s\r\u001b[Kwaiting for the node at host:1… 2 s',
    );
    work.resolve(7);
    expect(await waited).toBe(7);
    expect(stderr.text.endsWith('\r\u001b[K')).toBe(true);
    await vi.advanceTimersByTimeAsync(5000);
    expect(stderr.text.endsWith('\r\u001b[K')).toBe(true);
  });

  test('ends with the error of the work', async () => {
    const failed = waitingShown(Promise.reject(new Error('no')), 'for it', collector(80));
    await expect(failed).rejects.toThrow('no');
  });

  test('is not shown in a file', async () => {
    const stderr = collector();
    const work = Promise.withResolvers<void>();
    const waited = waitingShown(work.promise, 'for it', stderr);
    await vi.advanceTimersByTimeAsync(5000);
    work.resolve();
    await waited;
    expect(stderr.text).toBe('');
  });
});

describe('copied bytes', () => {
  const copying = (stderr: ReturnType<typeof collector>) =>
    new BytesShown('backing up', stderr).during((copied) => {
      copied(0, 3e9);
      vi.advanceTimersByTime(50);
      copied(1e9, 3e9);
      vi.advanceTimersByTime(50);
      copied(2e9, 3e9);
      return 'done';
    });

  test('are counted on a terminal, at most ten times per second, and the line is taken back', () => {
    const stderr = collector(80);
    expect(copying(stderr)).toBe('done');
    expect(stderr.text).toBe('\r\u001b[Kbacking up… 0 B of 3.00 GB\r\u001b[Kbacking up… 2.00 GB of 3.00 GB\r\u001b[K');
  });

  test('are not counted in a file', () => {
    const stderr = collector();
    copying(stderr);
    expect(stderr.text).toBe('');
  });
});
