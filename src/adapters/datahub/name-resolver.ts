// Names to addresses, without the thread pool of getaddrinfo where names come from strangers: a name server that never answers would hold the
// threads that files and everything else need. So neither the hosts file nor search domains count there.
import { lookup, Resolver } from 'node:dns/promises';

/** Every address of a name, in text. Rejects when there is none; with the signal's reason once it is aborted. */
export type ResolveName = (host: string, signal: AbortSignal) => Promise<readonly string[]>;

/** Two attempts, the second twice as long: they leave time to ask within the two seconds of a probe. */
const DNS_TIMES = { timeout: 400, tries: 2 } as const;
/** Of the four threads that the program has for such work. */
const MAX_LOOKUPS = 2;

/** By the name servers of the machine. */
export const resolveByDns: ResolveName = async (host, signal) => {
  const resolver = new Resolver(DNS_TIMES);
  const cancel = () => resolver.cancel();
  signal.throwIfAborted();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    const [v4, v6] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    signal.throwIfAborted();
    const found = [v4, v6].flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
    if (found.length === 0 && v4.status === 'rejected') throw v4.reason;
    return found;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
};

/** As the machine resolves names for everybody, hosts file included: for networks whose members are trusted with private addresses. */
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

/** The work goes on when the signal is aborted, but nobody waits for it. */
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
