// teranode_p2p.PolicyService on the AdminApi: bans with their reasons, explanations, peers with all that is known about
// them. It changes nothing and needs no admin key.
import type { PolicyService } from '../../gen/teranode_p2p_pb.js';
import type { AdminApi } from '../../ports/admin-api.ts';
import { checkedText } from './checked-text.ts';
import { banMessage, connectedPeerMessage, explanationMessage } from './messages.ts';
import type { UnaryHandlers } from './unary-service.ts';

export function policyHandlers(deps: { readonly admin: AdminApi }): UnaryHandlers<typeof PolicyService> {
  const { admin } = deps;
  return {
    listBans: () => ({ bans: admin.bans().map(banMessage) }),
    explain: ({ subject }) => explanationMessage(admin.explain(checkedText('subject', subject))),
    listPeers: () => ({ peers: admin.peers().map(connectedPeerMessage) }),
  };
}
