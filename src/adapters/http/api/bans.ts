// API routes for bans, and for why a peer, an address or a DataHub host is banned or not.
import { z } from 'zod';
import type { BanEntry } from '../../../domain/ban.ts';
import { type AdminApi, MAX_REASON_CHARS } from '../../../ports/admin-api.ts';
import { HttpProblem } from '../server/http-problem.ts';
import { type Api, answers, OF_BODY, OF_PATH, OF_QUERY } from './api.ts';
import { BAN, EXPLANATION, PAGE, SUBJECT } from './schemas.ts';

const BANS_PATH = '/api/v1/bans';
const subject = SUBJECT.describe('IP address, subnet or peer ID.');
/** Text of a query to a boolean; anything but true and false is refused. */
const isStored = z
  .boolean()
  .describe('False while the ban store does not have the change: a restart before it does would undo it.');
const flag = z.preprocess((text) => (text === 'true' ? true : text === 'false' ? false : text), z.boolean());

export function addBanRoutes(api: Api, admin: AdminApi): void {
  addList(api, admin);
  addAdd(api, admin);
  addRemove(api, admin);
  addExplain(api, admin);
}

function addList(api: Api, admin: AdminApi): void {
  api.route({
    method: 'GET',
    url: BANS_PATH,
    config: { access: 'bans' },
    schema: {
      operationId: 'listBans',
      tags: ['bans'],
      summary: 'Lists the bans in force, one page at a time.',
      querystring: PAGE,
      response: answers(
        z
          .object({ total: z.number().describe('Number of bans on all pages.'), bans: z.array(BAN) })
          .describe('A page of bans.'),
        ...OF_QUERY,
      ),
    },
    handler: async ({ query: { offset, limit } }) => {
      const { total, bans } = admin.banPage(offset, limit);
      return { total, bans: bans.map(banAnswer) };
    },
  });
}

function addAdd(api: Api, admin: AdminApi): void {
  api.route({
    method: 'POST',
    url: BANS_PATH,
    config: { access: 'admin' },
    schema: {
      operationId: 'addBan',
      tags: ['bans'],
      summary: 'Bans an IP address, a subnet or a peer. Responds when the ban is in force.',
      body: z.strictObject({
        subject,
        untilMs: z
          .int()
          .optional()
          .describe(
            'End of the ban in Unix milliseconds, at most ten years ahead. Default: p2p_ban_default_duration from now.',
          ),
        reason: z.string().max(MAX_REASON_CHARS).optional(),
      }),
      response: answers(BAN.extend({ isStored }).describe('The ban, in force.'), ...OF_BODY),
    },
    handler: async ({ body }) => {
      const { isStored: stored, ...ban } = await admin.ban(body.subject, body.untilMs, body.reason);
      return { ...banAnswer(ban), isStored: stored };
    },
  });
}

function addRemove(api: Api, admin: AdminApi): void {
  api.route({
    method: 'DELETE',
    url: BANS_PATH,
    config: { access: 'admin' },
    schema: {
      operationId: 'removeBans',
      tags: ['bans'],
      summary: 'Lifts the ban of one subject, or with all=true all bans. Also resets its scores and dial back-off.',
      querystring: z.strictObject({ subject: subject.optional(), all: flag.optional() }),
      response: answers(
        z
          .object({
            lifted: z.boolean().describe('False when there was no such ban.'),
            isStored,
            coveredBy: BAN.optional().describe('The ban that still covers the subject.'),
          })
          .describe('The ban is lifted, if there was one.'),
        ...OF_BODY,
        ...OF_QUERY,
        409,
      ),
    },
    handler: async ({ query }) => {
      if ((query.subject === undefined) === (query.all !== true)) {
        throw new HttpProblem(400, 'INPUT_INVALID', 'query: expected either subject=… or all=true');
      }
      if (query.subject === undefined) {
        const { hadAny, isStored: stored } = await admin.clearBans();
        return { lifted: hadAny, isStored: stored };
      }
      const { hadAny, coveredBy, isStored: stored } = await admin.unban(query.subject);
      if (!hadAny && coveredBy !== undefined) throw stillBanned(coveredBy);
      return {
        lifted: hadAny,
        isStored: stored,
        ...(coveredBy === undefined ? {} : { coveredBy: banAnswer(coveredBy) }),
      };
    },
  });
}

function addExplain(api: Api, admin: AdminApi): void {
  api.route({
    method: 'GET',
    url: '/api/v1/explain/:subject',
    config: { access: 'explain' },
    schema: {
      operationId: 'explain',
      tags: ['bans'],
      summary: 'Returns the scores, offences and bans of a peer, an address or a DataHub host.',
      params: z.object({ subject: SUBJECT.describe('Peer ID, IP address, subnet (its slash as %2F), or host name.') }),
      response: answers(EXPLANATION, ...OF_PATH),
    },
    handler: async ({ params }) => {
      const found = admin.explain(params.subject);
      return {
        ...found,
        scores: [...found.scores],
        shadowScores: [...found.shadowScores],
        offences: [...found.offences],
        rules: [...found.rules],
        inForce: found.inForce.map(banAnswer),
        withheld: [...found.withheld],
        addressesSeen: [...found.addressesSeen],
      };
    },
  });
}

function stillBanned({ key, untilMs }: BanEntry): HttpProblem {
  const until = new Date(untilMs).toISOString();
  const message = `nothing to lift: there is no ban of the subject itself, the ban of ${key} until ${until} covers it`;
  return new HttpProblem(409, 'STILL_BANNED', message);
}

/** A ban as the API shows it. */
function banAnswer({ causedBy, ...ban }: BanEntry): z.input<typeof BAN> {
  return { ...ban, because: causedBy };
}
