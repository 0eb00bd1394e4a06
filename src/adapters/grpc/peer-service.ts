// p2p_api.PeerService on the AdminApi: the contract of the Go service, with checked texts and bounded times.

import { MAX_BAN_MS } from '../../domain/ban.ts';
import { PeerService } from '../../gen/p2p_api_pb.js';
import { P2PError } from '../../lib/errors.ts';
import type { AdminApi } from '../../ports/admin-api.ts';
import type { Traces } from '../../ports/traces.ts';
import { checkedReason, checkedText } from './checked-text.ts';
import { peerMessage } from './messages.ts';
import { catchUpHandlers, deliveryHandlers, EXPERIENCE_METHODS, standingHandlers } from './peer-experiences.ts';
import type { UnaryHandlers } from './unary-service.ts';

/** Methods that change state and therefore need the admin key. */
export const ADMIN_METHODS = [
  PeerService.method.banPeer,
  PeerService.method.unbanPeer,
  PeerService.method.clearBanned,
  PeerService.method.addBanScore,
  PeerService.method.connectPeer,
  PeerService.method.disconnectPeer,
  ...EXPERIENCE_METHODS,
];

/** Unix seconds of the end of the year 9999, the last time that RFC 3339 can express; shared stores use it. */
export const MAX_UNTIL_S = 253_402_300_799;

export interface PeerServiceDependencies {
  readonly admin: AdminApi;
  /** undefined while tracing is off. */
  readonly traces?: Traces | undefined;
}

export function peerHandlers({ admin, traces }: PeerServiceDependencies): UnaryHandlers<typeof PeerService> {
  return {
    getPeers: () => ({ peers: admin.peers().map(peerMessage) }),
    banPeer: async ({ addr, until, reason }) => {
      const ban = await admin.ban(checkedText('addr', addr), untilMs(until), checkedReason(reason));
      return { ok: true, notStored: !ban.isStored };
    },
    unbanPeer: async ({ addr }) => {
      const { hadAny, coveredBy, isStored } = await admin.unban(checkedText('addr', addr));
      return { ok: hadAny, notStored: !isStored, coveredBy: coveredBy?.key ?? '' };
    },
    isBanned: ({ ipOrSubnet }) => ({ isBanned: admin.isBanned(checkedText('ipOrSubnet', ipOrSubnet)) }),
    listBanned: () => ({ banned: admin.banPage(0, undefined).bans.map(({ key }) => key) }),
    clearBanned: async () => ({ ok: true, notStored: !(await admin.clearBans()).isStored }),
    addBanScore: async ({ peerId, reason }) => {
      await admin.addScore(checkedText('peer_id', peerId), reason);
      return { ok: true };
    },
    connectPeer: async ({ peerAddress }) => {
      const address = checkedText('peer_address', peerAddress);
      return await attempt(() => admin.connect(address));
    },
    disconnectPeer: async ({ peerId }) => {
      const id = checkedText('peer_id', peerId);
      return await attempt(() => admin.disconnect(id));
    },
    ...catchUpHandlers(admin),
    ...deliveryHandlers(admin, traces),
    ...standingHandlers(admin),
  };
}

/** undefined for 0, which means the default duration. Throws INPUT_INVALID. */
function untilMs(until: bigint): number | undefined {
  if (until === 0n) return undefined;
  const ms = Number(until) * 1000;
  if (ms > Date.now() && ms <= Date.now() + MAX_BAN_MS) return ms;
  const expected = 'Unix seconds in the future, at most ten years ahead, or 0 for the default duration';
  throw new P2PError('INPUT_INVALID', `invalid until ${until} (expected ${expected})`);
}

/** A failed attempt is an answer, not an error of the call. An invalid address is an error. */
async function attempt(action: () => Promise<unknown>): Promise<{ success: boolean; error: string }> {
  try {
    await action();
    return { success: true, error: '' };
  } catch (error) {
    const isAnswer = error instanceof P2PError && error.code !== 'INPUT_INVALID' && error.code !== 'ADDRESS_INVALID';
    if (!isAnswer) throw error;
    return { success: false, error: error.message };
  }
}
