// Resolves names to addresses. Names from peers are not resolved with getaddrinfo: a name server that never answers
// would block the thread pool, which files need too. So the hosts file and search domains are not used for them.
import { lookup } from 'node:dns/promises';
import { dnsResolver } from '../../lib/dns-resolver.ts';

/** All addresses of a name. Rejects when there is none, and with the signal's reason when aborted. */
export type ResolveName = (host: string, signal: AbortSignal) => Promise<readonly string[]>;

/** Two attempts, the second twice as long, leave time for the request within the 2 s of a probe. */
const DNS_TIMES = { timeout: 400, tries: 2 } as const;
/** Out of four threads in the pool. */
const MAX_LOOKUPS = 2;

/** Resolves with the name servers of the machine. */
export const resolveByDns: ResolveName = dnsResolver(DNS_TIMES);

/**
 * Resolves as the machine does for all programs, including the hosts file: for networks whose peers may use private
 * addresses.
 */
export function resolveByMachine(): ResolveName {
  let running = 0;
  return async (host, signal) => {
    if (running >= MAX_LOOKUPS) return await resolveByDns(host, signal);
    running += 1;
    const found = lookup(host, { all: true }).finally(() => {
      running -= 1;
    });
    return (await unlessAborted(found, signal)).map(({ address }) => address);
  };
}

/** Stops waiting when the signal is aborted; the work itself continues. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
