// p2p_api.PeerService on the PeerAdmin port: the contract of the Go service, with its texts checked and its times bounded.

import type { BanReason } from '../../domain/offence.ts';
import { PeerService } from '../../gen/p2p_api_pb.js';
import { P2PError } from '../../lib/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { PeerAdmin } from '../../ports/peer-admin.ts';
import { checkedText } from './checked-text.ts';
import { peerMessage } from './messages.ts';
import type { UnaryHandlers } from './unary-service.ts';

/** Methods that change something: they need the admin key. */
export const ADMIN_METHODS = [
  PeerService.method.banPeer,
  PeerService.method.unbanPeer,
  PeerService.method.clearBanned,
  PeerService.method.addBanScore,
  PeerService.method.connectPeer,
  PeerService.method.disconnectPeer,
];

/** Unix seconds of the end of the year 9999: the last moment that RFC 3339 can write, as shared stores do. */
export const MAX_UNTIL_S = 253_402_300_799;

/** The four that may be given from outside; Go counts one point for any other. */
const REASONS = [
  'invalid_subtree',
  'protocol_violation',
  'spam',
  'invalid_block',
] as const satisfies readonly BanReason[];

/** One of the reasons that may be given from outside. */
export type ScoreReason = (typeof REASONS)[number];

export function peerHandlers(deps: {
  readonly admin: PeerAdmin;
  readonly clock: Clock;
}): UnaryHandlers<typeof PeerService> {
  const { admin, clock } = deps;
  return {
    getPeers: () => ({ peers: admin.peers().map(peerMessage) }),
    banPeer: async ({ addr, until }) => {
      await admin.ban(checkedText('addr', addr), untilMs(until, clock));
      return { ok: true };
    },
    unbanPeer: async ({ addr }) => ({ ok: await admin.unban(checkedText('addr', addr)) }),
    isBanned: ({ ipOrSubnet }) => ({ isBanned: admin.isBanned(checkedText('ipOrSubnet', ipOrSubnet)) }),
    listBanned: () => ({ banned: admin.bans().map(({ key }) => key) }),
    clearBanned: async () => {
      await admin.clearBans();
      return { ok: true };
    },
    addBanScore: async ({ peerId, reason }) => {
      await admin.addScore(checkedText('peer_id', peerId), reasonOf(reason));
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
  };
}

/** undefined for 0, which means the default duration. Throws INPUT_INVALID for a time in the past. */
function untilMs(until: bigint, clock: Clock): number | undefined {
  if (until === 0n) return undefined;
  const ms = Math.min(Number(until), MAX_UNTIL_S) * 1000;
  if (ms > clock.now()) return ms;
  throw new P2PError(
    'INPUT_INVALID',
    `until ${until} lies in the past: give unix seconds to come, or 0 for the default`,
  );
}

function reasonOf(text: string): ScoreReason {
  const reason = REASONS.find((each) => each === text);
  if (reason !== undefined) return reason;
  throw new P2PError('INPUT_INVALID', `reason is none of ${REASONS.join(', ')}`);
}

/** A failed attempt is an answer, not an error of the call; an address that is none is the caller's error. */
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
