// What the API answers, as schemas: one source for types, for the check of every answer, and for /openapi.json. Times are Unix ms. What this
// node does not know is left out.
import { z } from 'zod';

const MAX_TEXT_CHARS = 512;
const unixMs = z.number().describe('Unix time in milliseconds.');
const count = z.number().min(0);

export const PEER_ID = z.string().min(1).max(128).describe('Peer id, such as 12D3Koo…');
export const SUBJECT = z.string().min(1).max(MAX_TEXT_CHARS);

export const PEER = z
  .object({
    id: z.string(),
    addresses: z.array(z.string()).describe('Multiaddrs of its open connections.'),
    localAddress: z.string().optional().describe('Multiaddr of our end of the first of them.'),
    direction: z.enum(['inbound', 'outbound']),
    connectedAtMs: unixMs,
    agentVersion: z.string().optional().describe('As its handshake says, else as it says to libp2p.'),
    services: z.string().optional().describe('As its handshake says: a 64-bit bitmap in decimal; 1 is a full node.'),
    lastSendMs: unixMs.optional(),
    lastReceiveMs: unixMs.optional(),
    bytesSent: count,
    bytesReceived: count,
    pingMs: z.number().optional(),
    startingHeight: count.optional().describe('As first claimed.'),
    height: count.optional().describe('As claimed last; left out when that was not repeated.'),
    bestBlockHash: z.string().optional().describe('As claimed last, with the height; left out with it.'),
    claimedAtMs: unixMs.optional().describe('When the height was claimed. Unix time in milliseconds.'),
    provenHeight: count
      .optional()
      .describe(
        'Of the highest block it announced with a header that we checked, or of its best block where our chain has it.',
      ),
    provenHash: z.string().optional(),
    dataHubUrl: z.string().optional().describe('Where it serves blocks, as it says last; only a URL that may be used.'),
    dataHubHealth: z
      .enum(['unknown', 'healthy', 'unhealthy'])
      .describe('As our checks found it last; unknown when it was not asked, or not lately.'),
    lastMessageMs: unixMs.optional().describe('When its last message came that passed. Unix time in milliseconds.'),
    isBanned: z.boolean().describe('Its peer id is: its connections are being ended.'),
    banScore: z.number().describe('The higher one of its scores as author and as relay.'),
    isWhitelisted: z.boolean(),
  })
  .describe('A connected peer, and what decides whether we sync from it.');

export const BAN = z
  .object({
    key: z.string().describe('IP, subnet or peer id in canonical form.'),
    kind: z.enum(['address', 'subnet', 'peer']),
    untilMs: unixMs,
    createdAtMs: unixMs,
    reason: z.string(),
    evidence: z.string(),
    source: z.enum(['operator', 'automatic', 'imported']),
    because: z.string().optional().describe('The peer whose ban brought this one about.'),
  })
  .describe('A ban in force.');

const BAN_REASONS = [
  'unknown',
  'invalid_subtree',
  'protocol_violation',
  'spam',
  'invalid_block',
  'catch_up_failure',
] as const;
const role = z.enum(['author', 'relay', 'datahub']);
const roleScore = z.object({ role, score: z.number() });

/** Reasons that an operator may give; those of gRPC. */
export const SCORE_REASON = z.enum(['invalid_subtree', 'protocol_violation', 'spam', 'invalid_block']);

export const EXPLANATION = z
  .object({
    subject: z.string(),
    scores: z.array(roleScore),
    shadowScores: z.array(roleScore).describe('Scores that only shadowed rules gave.'),
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
    inForce: z.array(BAN),
    withheld: z.array(z.string()).describe('What would have been done, were it not for shadow mode.'),
    isWhitelisted: z.boolean(),
    addressesSeen: z.array(z.string()),
  })
  .describe('Why a peer, address or DataHub stands as it does.');

export const SYNC = z
  .object({
    fsmState: z.string().optional(),
    bestHeight: count.optional(),
    bestBlockHash: z.string().optional(),
    syncPeer: z
      .object({ peerId: z.string(), height: count, hash: z.string().optional(), sinceMs: unixMs })
      .optional()
      .describe('Left out while nobody is chosen.'),
  })
  .describe('Where this node stands, and from whom it catches up.');

export const TOPIC = z
  .object({ name: z.string(), subscribers: z.array(z.string()), mesh: z.array(z.string()) })
  .describe('A gossip topic, with the peers that subscribe to it and those of its mesh.');

export const SETTING = z
  .object({ key: z.string(), value: z.string().describe('Secrets are masked.'), origin: z.string() })
  .describe('A setting as it is in force.');

export const VERDICT = z
  .object({
    atMs: unixMs,
    topic: z.string(),
    author: z.string(),
    relay: z.string().describe('Who handed it over.'),
    decision: z.enum(['accept', 'ignore', 'reject']),
    isProcessed: z.boolean(),
    reason: z.string().optional().describe('Name of the guard that stopped it.'),
  })
  .describe('What was decided of one gossip message.');

export const HEALTH = z
  .object({
    status: z.enum(['ok', 'failed']),
    checks: z.array(
      z.object({
        name: z.string(),
        ok: z.boolean(),
        details: z.string(),
        tookMs: count.describe('How long it took to find out.'),
        atMs: unixMs,
      }),
    ),
  })
  .describe('What is well and what is not.');

const common = { atMs: unixMs, isOwn: z.boolean().describe('Announced by this node itself.'), peerId: z.string() };
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
  .describe('An announcement; which fields there are depends on its type.');

/** A page of a long list. */
export const PAGE = z.object({
  offset: z.int().min(0).max(10_000_000).default(0),
  limit: z.int().min(1).max(1000).default(1000),
});
