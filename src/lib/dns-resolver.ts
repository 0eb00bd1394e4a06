// Resolves names with the name servers of the machine and without getaddrinfo, which cannot be cancelled and runs in
// the thread pool: a name server that never answers would block it, and files need it too. So the hosts file and search
// domains are not used. `localhost` is this machine without asking anybody (RFC 6761).
import { promises as dns } from 'node:dns';
import { isIP } from 'node:net';

/** IP addresses of a name; family 0 is both. Rejects when there is none, and with the signal's reason when aborted. */
export type ResolveByDns = (host: string, signal: AbortSignal, family?: 0 | 4 | 6) => Promise<readonly string[]>;

const LOCALHOST = /^(?:[^.]+\.)*localhost\.?$/i;
const LOOPBACK = ['127.0.0.1', '::1'];

/** `timeout`: ms until the first attempt is over; each further one takes twice as long. */
export function dnsResolver(times: { readonly timeout: number; readonly tries: number }): ResolveByDns {
  return async (host, signal, family = 0) => {
    if (LOCALHOST.test(host)) return LOOPBACK.filter((ip) => family === 0 || isIP(ip) === family);
    const resolver = new dns.Resolver(times);
    resolver.setServers(dns.getServers());
    const cancel = () => resolver.cancel();
    signal.throwIfAborted();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const answers = await Promise.allSettled([
        ...(family === 6 ? [] : [resolver.resolve4(host)]),
        ...(family === 4 ? [] : [resolver.resolve6(host)]),
      ]);
      signal.throwIfAborted();
      const found = answers.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
      const [first] = answers;
      if (found.length === 0 && first?.status === 'rejected') throw first.reason;
      return found;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  };
}
