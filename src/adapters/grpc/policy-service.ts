// teranode_p2p.PolicyService on the AdminApi: bans with their reasons, explanations, peers with all that is known about
// them, the node at a glance, headers of its chain. It changes nothing and needs no admin key.
import type { PolicyService } from '../../gen/teranode_p2p_pb.js';
import { P2PError } from '../../lib/errors.ts';
import { type AdminApi, MAX_HEADERS } from '../../ports/admin-api.ts';
import { headerMessage } from './chain-header-message.ts';
import { checkedText } from './checked-text.ts';
import { diagnosisMessage } from './diagnosis-message.ts';
import { banMessage, connectedPeerMessage, explanationMessage } from './messages.ts';
import { statusMessage } from './status-message.ts';
import type { UnaryHandlers } from './unary-service.ts';

/** Bans with their details in one answer, unless the call has the admin key. */
const MAX_LISTED_BANS = 10_000;

/** Throws ANSWER_TOO_LARGE. */
function checkListLength(total: number): void {
  if (total <= MAX_LISTED_BANS) return;
  throw new P2PError(
    'ANSWER_TOO_LARGE',
    `there are ${total} bans, more than ${MAX_LISTED_BANS}: send the admin key, or use ListBans with offset and limit`,
  );
}

export function policyHandlers(deps: { readonly admin: AdminApi }): UnaryHandlers<typeof PolicyService> {
  const { admin } = deps;
  return {
    listBans: ({ offset, limit }, { isTrusted }) => {
      if (limit > MAX_LISTED_BANS)
        throw new P2PError('INPUT_INVALID', `limit is ${limit} (at most ${MAX_LISTED_BANS})`);
      const isPage = limit > 0;
      const { total, bans } = admin.banPage(offset, isPage || isTrusted ? limit || undefined : MAX_LISTED_BANS);
      if (!isPage && !isTrusted) checkListLength(total);
      return { bans: bans.map(banMessage), total };
    },
    explain: ({ subject }) => explanationMessage(admin.explain(checkedText('subject', subject))),
    listPeers: () => ({ peers: admin.peers().map(connectedPeerMessage) }),
    diagnose: () => diagnosisMessage(admin.diagnosis()),
    getStatus: async ({ brief }) => statusMessage(await admin.status(brief)),
    listHeaders: async ({ block, count }) => {
      if (count > MAX_HEADERS) throw new P2PError('INPUT_INVALID', `count is ${count} (at most ${MAX_HEADERS})`);
      const start = block === '' ? '' : checkedText('block', block);
      return { headers: (await admin.headers(start, count || 1)).map(headerMessage) };
    },
  };
}
