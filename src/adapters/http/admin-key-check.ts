// The admin key of gRPC, for changes over HTTP. Every wrong key takes the same time.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { HttpProblem } from './http-problem.ts';

/** As in gRPC's metadata. */
export const KEY_HEADER = 'x-api-key';

/** A hook that runs before the body is read. */
export function adminKeyCheck(adminKey: string): (request: FastifyRequest) => Promise<void> {
  const wanted = sha256(adminKey);
  return async (request) => {
    const given = request.headers[KEY_HEADER];
    if (given === undefined) {
      throw refused(
        `this needs the admin key: send the server's grpc_admin_api_key, or the text of its <dataFolder>/admin.key, as ${KEY_HEADER}`,
      );
    }
    if (!timingSafeEqual(sha256(String(given)), wanted)) {
      throw refused(
        `the admin key in ${KEY_HEADER} is wrong: it must be the server's grpc_admin_api_key, or the text of its <dataFolder>/admin.key`,
      );
    }
  };
}

function refused(message: string): HttpProblem {
  return new HttpProblem(401, 'UNAUTHENTICATED', message);
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
