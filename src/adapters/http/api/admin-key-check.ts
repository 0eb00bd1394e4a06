// Checks the admin key over HTTP, the same key as for gRPC. Every wrong key takes the same time, and each address gets
// only a few attempts.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Clock } from '../../../ports/clock.ts';
import type { Logger } from '../../../ports/log.ts';
import { clientAddress } from '../server/client-address.ts';
import { HttpProblem } from '../server/http-problem.ts';
import { WrongKeys } from './wrong-keys.ts';

/** The same name as in gRPC metadata. */
export const KEY_HEADER = 'x-api-key';

/**
 * Throws HttpProblem unless a request has the key. It never awaits, so that parallel requests cannot exceed the number
 * of attempts.
 */
export function adminKeyCheck(
  deps: { readonly log: Logger; readonly clock: Clock },
  options: { readonly adminKey: string },
): (request: FastifyRequest) => void {
  const expected = sha256(options.adminKey);
  const wrongKeys = new WrongKeys(deps);
  return (request) => {
    const given = request.headers[KEY_HEADER];
    if (given === undefined) {
      throw refused(
        `missing admin key (send the server's grpc_admin_api_key, or the contents of its <dataFolder>/admin.key, in the header ${KEY_HEADER})`,
      );
    }
    const address = clientAddress(request.ip);
    const blockedS = wrongKeys.blockedSeconds(address);
    if (blockedS !== undefined) throw tooMany(blockedS);
    if (timingSafeEqual(sha256(String(given)), expected)) return;
    if (wrongKeys.add(address)) deps.log.warn({ address }, 'client blocked: too many wrong admin keys over HTTP');
    throw refused(
      `wrong admin key in ${KEY_HEADER} (expected the server's grpc_admin_api_key, or the contents of its <dataFolder>/admin.key)`,
    );
  };
}

function refused(message: string): HttpProblem {
  return new HttpProblem(401, 'UNAUTHENTICATED', message);
}

function tooMany(seconds: number): HttpProblem {
  return new HttpProblem(
    429,
    'TOO_MANY_REQUESTS',
    `too many wrong admin keys from this address; try again in ${seconds} s`,
    { 'retry-after': String(seconds) },
  );
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
