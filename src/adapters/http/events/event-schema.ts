// The schema of an event, for the OpenAPI document: events are written without it, and a test compares them.
import { z } from 'zod';
import { NOTIFICATION_TYPES } from '../../../domain/notification.ts';
import { LOST_REASONS } from './event-id.ts';

const count = z.number().min(0);
const point = z.object({ hash: z.string(), height: count });
const id = z.string().describe('Id of an event: the epoch of the server, which changes with each start, and a number.');

/** Fields of a node status besides those named here are left as they are. */
export const EVENT = z
  .looseObject({
    id: id.optional().describe('Absent where type is lost.'),
    type: z.enum([...NOTIFICATION_TYPES, 'lost']),
    atMs: count.optional().describe('When this node received or sent it, in Unix milliseconds.'),
    isOwn: z.boolean().optional().describe('Whether this node is the author.'),
    peerId: z
      .string()
      .optional()
      .describe('The author; absent where type is tip or reorg, which are about our own chain.'),
    clientName: z.string().optional().describe('Name that the author gives itself.'),
    receivedFrom: z.string().optional().describe('Peer that sent it to this node; blocks and subtrees of others.'),
    hash: z
      .string()
      .optional()
      .describe('Hash of the block, subtree or transaction, in the order in which it is shown.'),
    height: count.optional(),
    header: z.string().optional().describe('The 80 bytes of the header in hex, where the announcement has them.'),
    baseUrl: z.string().optional().describe('URL of the DataHub of its author.'),
    previousHash: z.string().optional(),
    miner: z.string().optional(),
    sizeInBytes: count.optional(),
    txCount: count.optional(),
    version: z.string().optional().describe('node_status: the program of its author.'),
    bestHeight: count.optional().describe('node_status: with bestBlockHash, the tip of its author.'),
    bestBlockHash: z.string().optional(),
    fsmState: z.string().optional(),
    storage: z.enum(['full', 'pruned']).optional(),
    reason: z
      .string()
      .optional()
      .describe(`Why a transaction was rejected; of lost: ${LOST_REASONS.join(', ')}.`),
    from: z
      .union([id, point])
      .optional()
      .describe('lost: id of the last event before the gap. reorg: our best block before.'),
    to: z.union([id, point]).optional().describe('lost: id of the last event in the gap. reorg: our best block now.'),
    fork: point.optional().describe('reorg: the last block that both chains have.'),
    count: count
      .optional()
      .describe(
        'lost: number of lost events, at most, where the client resumed with types; absent where it is unknown.',
      ),
  })
  .meta({ id: 'Event', description: 'An event of this node; its fields depend on its type.' });
