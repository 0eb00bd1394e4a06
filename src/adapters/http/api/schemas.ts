// Schemas of the API: one source for types, for the validation of requests and responses, and for /openapi.json. Times
// are Unix ms. Fields whose value this node does not know are absent.
import { z } from 'zod';
import { SCORE_REASONS } from '../../../ports/admin-api.ts';
import { CRITERIA, MAX_CONSIDERED, SYNC_ENDS, SYNC_OUTCOMES, UNFIT } from '../../../ports/sync-status.ts';

const MAX_TEXT_CHARS = 512;
const unixMs = z.number().describe('Unix time in milliseconds.');
const count = z.number().min(0);

export const PEER_ID = z.string().min(1).max(128).describe('Peer ID, such as 12D3Koo…');
export const SUBJECT = z.string().min(1).max(MAX_TEXT_CHARS);

const FEE_POLICY = z
  .object({
    miningFee: z.object({ satoshis: count, bytes: count }),
    maxScriptSize: count,
    maxTxSize: count,
    maxTxSigops: count,
  })
  .optional()
  .describe('Policy for transactions that it announced; sizes in bytes.');

export const PEER = z
  .object({
    id: z.string(),
    addresses: z.array(z.string()).describe('Multiaddrs of the open connections to it.'),
    localAddress: z.string().optional().describe('Multiaddr of our end of the first connection.'),
    direction: z.enum(['inbound', 'outbound']),
    connectedAtMs: unixMs,
    agentVersion: z.string().optional().describe('User agent from its handshake, else from libp2p identify.'),
    services: z
      .string()
      .optional()
      .describe('Services from its handshake: a 64-bit bitmap in decimal; bit 0 is a full node.'),
    lastSendMs: unixMs.optional(),
    lastReceiveMs: unixMs.optional(),
    bytesSent: count,
    bytesReceived: count,
    pingMs: z.number().optional(),
    startingHeight: count.optional().describe('Height in its first version message.'),
    height: count.optional().describe('Height that it announced last; absent when it has not repeated it recently.'),
    bestBlockHash: z.string().optional().describe('Best block that it announced last, with that height.'),
    claimedAtMs: unixMs.optional().describe('When it announced that height, in Unix milliseconds.'),
    provenHeight: count
      .optional()
      .describe(
        'Height of the highest block that it announced with a valid header, or of its best block if our chain has it.',
      ),
    provenHash: z.string().optional(),
    dataHubUrl: z
      .string()
      .optional()
      .describe('URL of its DataHub, as announced last; absent when this node may not use it.'),
    dataHubHealth: z
      .enum(['unknown', 'healthy', 'unhealthy'])
      .describe('Result of our last check; unknown when there was none recently.'),
    lastMessageMs: unixMs.optional().describe('When its last valid message arrived, in Unix milliseconds.'),
    isBanned: z.boolean().describe('Whether its peer ID is banned; its connections are then being closed.'),
    banScore: z.number().describe('The higher of its ban scores as author and as propagation source.'),
    isWhitelisted: z.boolean(),
    firstDeliveryShare: z
      .number()
      .min(0)
      .max(1)
      .describe('Its share of the first deliveries of valid blocks and subtrees by other authors, over some hours.'),
    meanDelayMs: count.optional().describe('Mean delay of its later deliveries behind the first, in milliseconds.'),
    clientName: z.string().optional().describe('Name that it gives itself.'),
    wires: z.array(z.enum(['go-p2p', 'message-bus'])).describe('Wires on which its messages came.'),
    storage: z.enum(['full', 'pruned']).optional().describe('Whether it says that it keeps all blocks.'),
    propagationUrl: z.string().optional().describe('URL at which it says it takes transactions.'),
    minMiningTxFee: z.number().optional().describe('Minimum mining fee that it announced, in BSV per kilobyte.'),
    feePolicy: FEE_POLICY,
    txCount: count.optional().describe('Transactions in its block assembly.'),
    subtreeCount: count.optional().describe('Subtrees in its block assembly.'),
    connectedPeersCount: count.optional().describe('Number of its peers.'),
  })
  .describe('A connected peer.');

export const BAN = z
  .object({
    key: z.string().describe('IP address, subnet or peer ID in canonical form.'),
    kind: z.enum(['address', 'subnet', 'peer']),
    untilMs: unixMs,
    createdAtMs: unixMs,
    reason: z.string(),
    evidence: z.string(),
    source: z.enum(['operator', 'automatic', 'imported', 'service']),
    because: z.string().optional().describe('Peer whose ban caused this one.'),
  })
  .describe('A ban in force.');

const BAN_REASONS = [
  'unknown',
  'invalid_subtree',
  'protocol_violation',
  'spam',
  'invalid_block',
  'catch_up_failure',
  'catch_up_malicious',
] as const;
const role = z.enum(['author', 'relay', 'datahub']);
const roleScore = z.object({ role, score: z.number() });

/** Reasons that an operator may give; the same as for gRPC. */
export const SCORE_REASON = z.enum(SCORE_REASONS);

export const EXPLANATION = z
  .object({
    subject: z.string(),
    scores: z.array(roleScore),
    scoreKeptBy: z
      .enum(['this node', 'blockchain service'])
      .describe('Who keeps the score as author and decides about the ban that follows from it.'),
    shadowScores: z.array(roleScore).describe('Scores that would apply if no rule were in shadow mode.'),
    threshold: z.number(),
    offences: z.array(
      z.object({
        subject: z.string(),
        role,
        reason: z.enum(BAN_REASONS),
        points: z.number(),
        rule: z.string(),
        topic: z.string(),
        hash: z.string().optional(),
        atMs: unixMs,
        isShadow: z.boolean(),
      }),
    ),
    rules: z
      .array(
        z.object({
          rule: z.string(),
          points: z.number().optional().describe('Absent: those of the offence’s reason.'),
          canBeAccident: z.boolean(),
          when: z.string(),
          why: z.string(),
        }),
      )
      .describe('What each rule of the offences costs, and why: rows of docs/scoring.md.'),
    inForce: z.array(BAN),
    withheld: z.array(z.string()).describe('Actions that shadow mode prevented.'),
    isWhitelisted: z.boolean(),
    addressesSeen: z.array(z.string()),
  })
  .describe('Scores, offences and bans of a peer, an address or a DataHub host.');

const PASSED_OVER = z.enum([...UNFIT, ...CRITERIA]);

export const SYNC = z
  .object({
    fsmState: z.string().optional(),
    bestHeight: count.optional(),
    bestBlockHash: z.string().optional(),
    syncPeer: z
      .object({ peerId: z.string(), height: count, hash: z.string().optional(), sinceMs: unixMs })
      .optional()
      .describe('Peer that this node syncs from; absent when there is none.'),
    choice: z
      .object({
        outcome: z
          .enum(SYNC_OUTCOMES)
          .describe('chosen; idle: the FSM is in a state in which nothing is synced; else why no peer was chosen.'),
        explanation: z.string().describe('The same in plain sentences.'),
        sinceMs: unixMs.describe('When the outcome or the chosen peer changed, in Unix milliseconds.'),
        comparedAtMs: unixMs.describe(
          'When the peers below were compared. While there is a sync peer, they are not compared again.',
        ),
        peerId: z.string().optional().describe('The chosen peer.'),
        decidedBy: z
          .enum([...CRITERIA, 'only_one'])
          .optional()
          .describe('Last criterion that another usable peer lost by; only_one: no other peer was usable.'),
        known: count.describe('Peers that were compared.'),
        usable: count.describe('Of those, peers that could be the sync peer.'),
        passedOver: z
          .array(z.object({ why: PASSED_OVER, peers: count }))
          .describe('How many peers were passed over, by the reason.'),
        considered: z
          .array(
            z.object({
              peerId: z.string(),
              isChosen: z.boolean(),
              why: PASSED_OVER.optional().describe(
                'First rule that it breaks, else the first criterion that it lost by; absent for the chosen peer.',
              ),
              explanation: z.string().describe('The same in words.'),
              height: count.optional().describe('Height that it claims, as far as that is believed.'),
              banScore: z.number(),
              failedAttempts: count.describe('Attempts to sync from it that failed.'),
              coolDownUntilMs: unixMs.optional(),
              dataHubHealth: z.enum(['unknown', 'healthy', 'unhealthy']),
              firstDeliveryShare: z.number().min(0).max(1).describe('0 where first deliveries do not count.'),
              storage: z.enum(['full', 'pruned']).optional(),
              reputation: z.number().optional(),
            }),
          )
          .describe(`The chosen peer, then those that came nearest; at most ${MAX_CONSIDERED}.`),
      })
      .optional()
      .describe('Why this sync peer, or why none; absent before the first evaluation.'),
    lastEnd: z
      .object({
        peerId: z.string(),
        reason: z.enum(SYNC_ENDS),
        explanation: z.string().describe('The same in words.'),
        atMs: unixMs,
        failedAttempts: count.describe('Failed attempts with this peer so far.'),
      })
      .optional()
      .describe('How the last sync with a peer ended; absent while none has.'),
  })
  .describe('FSM state, best block and sync peer of this node, and why this peer.');

export const TOPIC = z
  .object({ name: z.string(), subscribers: z.array(z.string()), mesh: z.array(z.string()) })
  .describe('A gossip topic with its subscribers and mesh peers.');

export const SETTING = z
  .object({ key: z.string(), value: z.string().describe('Secrets are masked.'), origin: z.string() })
  .describe('A setting in force.');

export const VERDICT = z
  .object({
    atMs: unixMs,
    topic: z.string(),
    author: z.string(),
    relay: z.string().describe('Propagation source: the peer that sent it to this node.'),
    decision: z.enum(['accept', 'ignore', 'reject']),
    isProcessed: z.boolean(),
    reason: z.string().optional().describe('Name of the validator that stopped it.'),
  })
  .describe('Validation result of one gossip message.');

export const HEALTH = z
  .object({
    status: z.enum(['ok', 'failed']),
    checks: z.array(
      z.object({
        name: z.string(),
        ok: z.boolean(),
        details: z.string(),
        tookMs: count.describe('Duration of the check in milliseconds.'),
        atMs: unixMs,
      }),
    ),
  })
  .describe('Health of the node with all its checks.');

const common = { atMs: unixMs, isOwn: z.boolean().describe('Whether this node announced it.'), peerId: z.string() };
const hash = z.string();

export const ANNOUNCEMENT = z
  .object({
    ...common,
    type: z.enum(['block', 'subtree', 'mining_on', 'rejected_tx', 'best_block']),
    hash: hash.optional(),
    height: count.optional(),
    baseUrl: z.string().optional(),
    previousHash: z.string().optional(),
    miner: z.string().optional(),
    sizeInBytes: count.optional(),
    txCount: count.optional(),
    reason: z.string().optional(),
  })
  .describe('An announcement; its fields depend on its type.');

export const ENDPOINT = z
  .object({
    kind: z.enum(['datahub', 'propagation']).describe('datahub: serves blocks. propagation: takes transactions.'),
    url: z.string(),
    peerId: z.string().describe('Peer that announced it.'),
    isConnected: z.boolean(),
    clientName: z.string().optional(),
    version: z.string().optional().describe('Version that the peer announced.'),
    storage: z.enum(['full', 'pruned']).optional(),
    feePolicy: FEE_POLICY,
    minMiningTxFee: z.number().optional().describe('Minimum mining fee that it announced, in BSV per kilobyte.'),
    height: count.optional().describe('Height that the peer announced last.'),
    lastSeenMs: unixMs.optional().describe('Last valid message of the peer.'),
    checked: z
      .object({
        public: z.boolean().optional().describe('Whether it leads to the public internet.'),
        answers: z.boolean().optional().describe('Whether an HTTP server answers.'),
        sameGenesis: z.boolean().optional().describe('DataHubs: whether it has the genesis block of this network.'),
        reason: z.string(),
        atMs: unixMs.optional(),
      })
      .describe('Result of the last check; absent fields are not known.'),
  })
  .describe('A URL that a peer announces.');

/** Query of a paged list. */
export const PAGE = z.object({
  offset: z.coerce.number().int().min(0).max(10_000_000).default(0).describe('Number of entries to skip.'),
  limit: z.coerce.number().int().min(1).max(1000).default(1000).describe('Maximum number of entries to return.'),
});
