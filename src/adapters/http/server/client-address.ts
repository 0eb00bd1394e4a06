// The client address that limits count by: an IPv4 address, or the /64 of an IPv6 address, because anyone has many
// addresses within a /64.
import { normalizeIP } from '@fastify/rate-limit';

/** Empty for a closed connection. */
export function clientAddress(remoteAddress: string | undefined): string {
  return remoteAddress === undefined ? '' : normalizeIP(remoteAddress);
}
