// Free TCP ports on 127.0.0.1.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { P2PError } from '../../lib/errors.ts';

const MAX_PORT = 65_535;

/**
 * As many ports, rising from `first`, or from the next free one; 0: any. Another program may take one before it is used.
 * Throws LISTEN_FAILED when `isExact` and `first` itself is taken.
 */
export async function freePorts(first: number, count: number, { isExact = false } = {}): Promise<readonly number[]> {
  const found: number[] = [];
  if (isExact && first !== 0 && (await bound(first)) === undefined)
    throw new P2PError('LISTEN_FAILED', `port ${first} is taken; choose another with --http-port, or 0 for any`);
  for (let port = first; found.length < count; ) {
    if (port > MAX_PORT) throw new P2PError('LISTEN_FAILED', `there are no ${count} free ports from ${first} on`);
    const free = await bound(port);
    if (free !== undefined && !found.includes(free)) found.push(free);
    if (first !== 0) port += 1;
  }
  return found;
}

/** The port, when it could be listened on; undefined when it is taken. */
async function bound(port: number): Promise<number | undefined> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  } catch {
    return undefined;
  } finally {
    server.close();
  }
}
