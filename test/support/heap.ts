// How much of the heap of a started server is in use.
import { join } from 'node:path';
import { REPO } from './repo.ts';
import type { ServerProcess } from './server-process.ts';
import { waitFor } from './wait.ts';

/** Settings of a server that `heapBytes` measures. */
export const COLLECTS_AT_SIGNAL = {
  NODE_OPTIONS: `--expose-gc --import ${join(REPO, 'test/support/collect-at-signal.js')}`,
};

/** What a collection leaves, on request with buffers: the least of three. */
export async function heapBytes(server: ServerProcess, what: 'bytes' | 'withBuffers' = 'bytes'): Promise<number> {
  const collections = () => server.output.json.filter(({ event }) => event === 'collected');
  for (let round = 0; round < 3; round += 1) {
    const { length } = collections();
    process.kill(server.pid, 'SIGUSR2');
    await waitFor(() => collections().length > length, { what: 'a collection' });
  }
  return Math.min(
    ...collections()
      .map((each) => Number(each[what]))
      .slice(-3),
  );
}
