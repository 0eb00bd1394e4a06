// Who shares a rate and a bound: an IPv4 address, or the /64 of an IPv6 one, of which anybody has as many as he likes.
import { normalizeIP } from '@fastify/rate-limit';

/** Empty for a connection that is gone. */
export function clientAddress(remoteAddress: string | undefined): string {
  return remoteAddress === undefined ? '' : normalizeIP(remoteAddress);
}
