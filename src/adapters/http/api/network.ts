// API route for the network as this node hears it.
import { z } from 'zod';
import { type AdminApi, MAX_NETWORK_ROWS } from '../../../ports/admin-api.ts';
import { MAX_COPIES, MAX_SPREAD_ROWS } from '../../../ports/propagation.ts';
import { type Api, answers } from './api.ts';

const count = z.number().min(0);
const block = z.object({ height: count, hash: z.string() });

export const NETWORK = z
  .object({
    tip: block
      .extend({
        claimedBy: count.describe('Number of peers that claim it.'),
        provenBy: count.describe('Of those, peers for which its height is proven to this node.'),
      })
      .optional()
      .describe(
        'Best block that most peers claim, of several the highest; absent while none is claimed with its hash.',
      ),
    own: block.optional().describe("This node's own best block."),
    lag: count.optional().describe('How many blocks its own best block is below tip.'),
    peerLag: z
      .object({
        peers: count.describe('Peers that claim a height.'),
        behind: count.describe('Of those, peers below tip.'),
        median: count,
        highest: count,
      })
      .optional()
      .describe('How many blocks peers are below tip; absent while there is no tip.'),
    peers: count.describe('Peers: connected ones, and authors of messages of the last ten minutes.'),
    connectedPeers: count,
    versions: z
      .array(z.object({ version: z.string(), peers: count }))
      .describe('From their last node status, else from their handshake, else from libp2p identify.'),
    operators: z
      .array(
        z.object({
          clientName: z.string().describe('Name that the peers give themselves.'),
          peers: count,
          connectedPeers: count,
          lowestHeight: count.optional(),
          highestHeight: count.optional(),
          lag: count.optional().describe('How many blocks highestHeight is below tip.'),
          meanDelayMs: count
            .optional()
            .describe('Mean delay of what its connected peers delivered later behind the first delivery.'),
          full: count.describe('Peers that say that they keep all blocks.'),
          pruned: count,
        }),
      )
      .describe('Peers by client name.'),
    heights: z.array(z.object({ height: count, peers: count })).describe('Heights that peers claim, highest first.'),
    topics: z
      .array(z.object({ name: z.string(), accepted: count, ignored: count, rejected: count }))
      .describe('Gossip messages of the last minute by topic and validation result.'),
    league: z
      .array(
        z.object({
          peerId: z.string(),
          firstDeliveries: count.describe('Blocks and subtrees of others that it delivered first; half after an hour.'),
          laterDeliveries: count.describe('The same for those that another neighbour had delivered before.'),
          firstDeliveryShare: count.describe('Its share of all first deliveries, 0 to 1.'),
          meanDelayMs: count.optional().describe('Mean delay of its later deliveries behind the first.'),
        }),
      )
      .describe('Neighbours by who delivers blocks and subtrees first.'),
    spread: z
      .object({
        copies: count.describe('Copies of blocks and subtrees that came after the first delivery, in the last minute.'),
        p50Ms: count.optional().describe('Median of their delay behind the first delivery of the same message.'),
        p99Ms: count.optional().describe('99th percentile of the same.'),
        recent: z
          .array(
            z.object({
              kind: z.enum(['block', 'subtree']),
              hash: z.string(),
              height: count.optional(),
              author: z.string().describe('Peer that announced it first.'),
              deliveredBy: z.string().describe('Neighbour that delivered it first.'),
              atMs: z.number().describe('When, in Unix milliseconds.'),
              headerAgeMs: z
                .number()
                .optional()
                .describe(
                  'atMs minus the time in the block header, which is in whole seconds of the miner’s clock; negative when that clock is ahead.',
                ),
              copyCount: count.describe('Later copies of the same message from other neighbours.'),
              copies: z
                .array(z.object({ peerId: z.string(), delayMs: count }))
                .describe(`The first ${MAX_COPIES} of them, with their delay behind the first delivery.`),
            }),
          )
          .describe(`The latest ${MAX_SPREAD_ROWS} blocks, then the latest ${MAX_SPREAD_ROWS} subtrees.`),
      })
      .describe('How blocks and subtrees spread. Messages carry no time, so the delay from author to us is not known.'),
  })
  .describe(`The network as this node hears it. Of each list the ${MAX_NETWORK_ROWS} rows with most peers.`);

export function addNetworkRoute(api: Api, admin: AdminApi): void {
  api.route({
    method: 'GET',
    url: '/api/v1/network',
    config: { access: 'network' },
    schema: {
      operationId: 'getNetwork',
      tags: ['peers'],
      summary: 'Returns the best block of the network, our lag, and versions, operators and heights of peers.',
      response: answers(NETWORK),
    },
    handler: async () => {
      const { versions, operators, heights, topics, league, spread, ...network } = admin.network();
      return {
        ...network,
        ...{ versions: [...versions], operators: [...operators], heights: [...heights] },
        ...{ topics: [...topics], league: [...league] },
        spread: { ...spread, recent: spread.recent.map(({ copies, ...row }) => ({ ...row, copies: [...copies] })) },
      };
    },
  });
}
