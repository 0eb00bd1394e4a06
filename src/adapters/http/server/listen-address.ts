// Listening on the `host:port` of the settings, and what that turned out to be.
import type { FastifyInstance } from 'fastify';
import { isLoopback, parseIp } from '../../../lib/ip.ts';

/** Falls back to all IPv4 interfaces when the machine has no IPv6. */
export async function listen(app: FastifyInstance, listenAddress: string): Promise<void> {
  const { host, port } = splitAddress(listenAddress);
  try {
    await app.listen({ host, port });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (host !== '::' || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL')) throw error;
    await app.listen({ host: '0.0.0.0', port });
  }
}

/** `:port` means all interfaces. */
function splitAddress(listenAddress: string): { host: string; port: number } {
  const at = listenAddress.lastIndexOf(':');
  const host = listenAddress.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  return { host: host === '' ? '::' : host, port: Number(listenAddress.slice(at + 1)) };
}

/** Whether every address that the server is bound to is a loopback one. False while it is not listening. */
export function isLoopbackOnly(app: FastifyInstance | undefined): boolean {
  const bound = app?.addresses() ?? [];
  return bound.length > 0 && bound.every((each) => typeof each !== 'string' && isLoopback(parseIp(each.address)));
}
