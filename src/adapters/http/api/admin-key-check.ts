// The admin key of gRPC, for changes over HTTP. Every wrong key takes the same time, and an address may give only a few.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Clock } from '../../../ports/clock.ts';
import type { Logger } from '../../../ports/log.ts';
import { clientAddress } from '../server/client-address.ts';
import { HttpProblem } from '../server/http-problem.ts';
import { WrongKeys } from './wrong-keys.ts';

/** As in gRPC's metadata. */
export const KEY_HEADER = 'x-api-key';

/** Throws HttpProblem unless a request has the key. Nothing in it waits, so that of many requests at once none is tried beyond the bound. */
export function adminKeyCheck(
  deps: { readonly log: Logger; readonly clock: Clock },
  options: { readonly adminKey: string },
): (request: FastifyRequest) => void {
  const wanted = sha256(options.adminKey);
  const wrongKeys = new WrongKeys(deps);
  return (request) => {
    const given = request.headers[KEY_HEADER];
    if (given === undefined) {
      throw refused(
        `this needs the admin key: send the server's grpc_admin_api_key, or the text of its <dataFolder>/admin.key, as ${KEY_HEADER}`,
      );
    }
    const address = clientAddress(request.ip);
    const blockedS = wrongKeys.blockedSeconds(address);
    if (blockedS !== undefined) throw tooMany(blockedS);
    if (timingSafeEqual(sha256(String(given)), wanted)) return;
    if (wrongKeys.add(address)) deps.log.warn({ address }, 'too many wrong admin keys over http');
    throw refused(
      `the admin key in ${KEY_HEADER} is wrong: it must be the server's grpc_admin_api_key, or the text of its <dataFolder>/admin.key`,
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
    `too many wrong admin keys of this address; again in ${seconds} seconds`,
    { 'retry-after': String(seconds) },
  );
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
