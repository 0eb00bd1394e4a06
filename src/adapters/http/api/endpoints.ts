// API route for the DataHub and propagation URLs of the network.
import { z } from 'zod';
import type { AdminApi } from '../../../ports/admin-api.ts';
import { type Api, answers, OF_QUERY } from './api.ts';
import { ENDPOINT, PAGE } from './schemas.ts';

const QUERY = PAGE.extend({
  kind: z.enum(['datahub', 'propagation']).optional().describe('Only endpoints of this kind.'),
});

export function addEndpointRoutes(api: Api, admin: AdminApi): void {
  api.route({
    method: 'GET',
    url: '/api/v1/endpoints',
    config: { access: 'endpoints' },
    schema: {
      operationId: 'listEndpoints',
      tags: ['peers'],
      summary: 'Lists the DataHub and propagation URLs that peers announce, with their fees, and what a check found.',
      querystring: QUERY,
      response: answers(
        z
          .object({ endpoints: z.array(ENDPOINT), total: z.number().describe('Number of endpoints without paging.') })
          .describe('Endpoints, those of connected peers first.'),
        ...OF_QUERY,
      ),
    },
    handler: async ({ query: { offset, limit, kind } }) => {
      const all = admin.endpoints().filter((each) => kind === undefined || each.kind === kind);
      return { endpoints: all.slice(offset, offset + limit).map(endpointAnswer), total: all.length };
    },
  });
}

function endpointAnswer({
  feePolicy,
  ...endpoint
}: ReturnType<AdminApi['endpoints']>[number]): z.output<typeof ENDPOINT> {
  return {
    ...endpoint,
    feePolicy: feePolicy && {
      miningFee: feePolicy.miningFee,
      maxScriptSize: Number(feePolicy.maxScriptSize),
      maxTxSize: Number(feePolicy.maxTxSize),
      maxTxSigops: Number(feePolicy.maxTxSigops),
    },
  };
}
