// Refuses a request over HTTP that has no admin key or a wrong one.
import type { FastifyRequest } from 'fastify';
import { KEY_HEADER } from '../../../settings/admin-key.ts';
import type { AdminKeys } from '../../listeners/admin-keys.ts';
import { HttpProblem } from '../server/http-problem.ts';

/** Throws HttpProblem unless the request has the key. `address`: whose limits it counts towards. */
export function checkAdminKey(request: FastifyRequest, address: string, keys: AdminKeys): void {
  const found = keys.check(givenKey(request), address, 'http');
  if (found === 'right') return;
  if (found === 'missing') {
    throw refused(
      `missing admin key (send the server's grpc_admin_api_key, or the contents of its <dataFolder>/admin.key, in the header ${KEY_HEADER})`,
    );
  }
  if (found === 'wrong') {
    throw refused(
      `wrong admin key in ${KEY_HEADER} (expected the server's grpc_admin_api_key, or the contents of its <dataFolder>/admin.key)`,
    );
  }
  throw tooMany(found.blockedS);
}

export function hasAdminKey(request: FastifyRequest, keys: AdminKeys): boolean {
  const given = givenKey(request);
  return given !== undefined && keys.isRight(given);
}

function givenKey({ headers }: FastifyRequest): string | undefined {
  const given = headers[KEY_HEADER];
  return given === undefined ? undefined : String(given);
}

function refused(message: string): HttpProblem {
  return new HttpProblem(401, 'UNAUTHENTICATED', message);
}

function tooMany(seconds: number): HttpProblem {
  return new HttpProblem(
    429,
    'TOO_MANY_REQUESTS',
    `too many wrong admin keys from this address; try another in ${seconds} s (the right one is taken at any time)`,
    { 'retry-after': String(seconds) },
  );
}
