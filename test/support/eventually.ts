// Waits until an assertion holds. `vi.waitFor` gives up after one second, which is too soon on a busy machine.
import { vi } from 'vitest';

const TIMEOUT_MS = 20_000;

export async function eventually<T>(assertion: () => T | Promise<T>): Promise<T> {
  return await vi.waitFor(assertion, { timeout: TIMEOUT_MS });
}
