// Operations on bans, and why somebody stands as he does.
import { z } from 'zod';
import type { BanEntry } from '../../../domain/ban.ts';
import type { NodeView } from '../../../ports/node-view.ts';
import { HttpProblem } from '../server/http-problem.ts';
import { type Operation, operation } from './operation.ts';
import { BAN, EXPLANATION, PAGE, SUBJECT } from './schemas.ts';

const MAX_REASON_CHARS = 200;
const subject = SUBJECT.describe('An IP, a subnet or a peer id.');

export function banOperations(view: NodeView): Operation[] {
  return [listBans(view), addBan(view), removeBans(view), explain(view)];
}

function listBans(view: NodeView): Operation {
  return operation({
    id: 'listBans',
    method: 'GET',
    path: '/api/v1/bans',
    area: 'bans',
    summary: 'Bans in force, a page of them.',
    query: PAGE,
    answer: z.object({ total: z.number(), bans: z.array(BAN) }),
    run: ({ query: { offset, limit } }) => {
      const all = view.bans();
      return { total: all.length, bans: all.slice(offset, offset + limit).map(shown) };
    },
  });
}

function addBan(view: NodeView): Operation {
  return operation({
    id: 'addBan',
    method: 'POST',
    path: '/api/v1/bans',
    area: 'bans',
    summary: 'Bans an IP, a subnet or a peer. Answers when it is in force.',
    body: z.strictObject({
      subject,
      untilMs: z.int().optional().describe('Unix time in milliseconds; default p2p_ban_default_duration from now.'),
      reason: z.string().max(MAX_REASON_CHARS).optional(),
    }),
    answer: BAN,
    run: async ({ body }) => shown(await view.ban(body.subject, body.untilMs, body.reason)),
  });
}

function removeBans(view: NodeView): Operation {
  return operation({
    id: 'removeBans',
    method: 'DELETE',
    path: '/api/v1/bans',
    area: 'bans',
    summary: 'Lifts the ban of one subject, or with all=true every one. With it go scores and dial back-off.',
    query: z.strictObject({ subject: subject.optional(), all: z.boolean().optional() }),
    answer: z.object({ lifted: z.boolean().describe('False when there was nothing to lift.') }),
    run: async ({ query }) => {
      if ((query.subject === undefined) === (query.all !== true)) {
        throw new HttpProblem(400, 'INPUT_INVALID', 'give subject=… or all=true');
      }
      if (query.subject !== undefined) return { lifted: await view.unban(query.subject) };
      const lifted = view.bans().length > 0;
      await view.clearBans();
      return { lifted };
    },
  });
}

function explain(view: NodeView): Operation {
  return operation({
    id: 'explain',
    method: 'GET',
    path: '/api/v1/explain/:subject',
    area: 'bans',
    summary: 'Why a peer, an address or the host of a DataHub stands as it does.',
    params: z.object({ subject: SUBJECT.describe('A peer id, an IP, a subnet (its slash as %2F), or a host.') }),
    answer: EXPLANATION,
    run: ({ params }) => {
      const found = view.explain(params.subject);
      return {
        ...found,
        scores: [...found.scores],
        shadowScores: [...found.shadowScores],
        offences: [...found.offences],
        inForce: found.inForce.map(shown),
        withheld: [...found.withheld],
        addressesSeen: [...found.addressesSeen],
      };
    },
  });
}

/** A ban as the API has it. */
function shown({ causedBy, ...ban }: BanEntry): z.input<typeof BAN> {
  return { ...ban, because: causedBy };
}
