// `host:port` of the settings to what is listened on.
import type { FastifyInstance } from 'fastify';

/** All interfaces are those of IPv4 where the machine has no IPv6. */
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
