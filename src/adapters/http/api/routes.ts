// The routes of the API. Requests and responses are checked against the zod schemas of the routes
// (server/validation.ts), and the admin key before the body is read (server/http-server.ts).
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { AdminApi } from '../../../ports/admin-api.ts';
import type { AdminKeys } from '../../listeners/admin-keys.ts';
import { addBanRoutes } from './bans.ts';
import { addEndpointRoutes } from './endpoints.ts';
import { addHistoryRoutes } from './history.ts';
import { addNetworkRoute } from './network.ts';
import { addNodeRoutes } from './node.ts';
import { addPeerRoutes } from './peers.ts';

export interface ApiSources {
  readonly admin: AdminApi;
  /** The same as for gRPC, so that wrong keys are counted together. */
  readonly adminKeys: AdminKeys;
  /** Version of this program, for the OpenAPI document. */
  readonly version: string;
}

export async function addApiRoutes(app: FastifyInstance, admin: AdminApi): Promise<void> {
  await app.register(async (scope) => {
    const api = scope.withTypeProvider<ZodTypeProvider>();
    api.addHook('onRequest', async (_request, reply) => {
      reply.header('cache-control', 'no-store');
    });
    addPeerRoutes(api, admin);
    addBanRoutes(api, admin);
    addNodeRoutes(api, admin);
    addEndpointRoutes(api, admin);
    addNetworkRoute(api, admin);
    addHistoryRoutes(api, admin);
  });
}
