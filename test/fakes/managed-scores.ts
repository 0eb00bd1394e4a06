// A score-keeper on a store in memory, with a handler that notes the bans and answers from them.
import { PeerBanManager, type PeerBanManagerOptions } from '../../src/bans/scores/peer-ban-manager.ts';
import type { PeerId } from '../../src/domain/ids.ts';
import type { Offence } from '../../src/ports/ban-store.ts';
import { banParts, DAY_MS } from './ban-parts.ts';

interface Ban {
  readonly peerId: PeerId;
  readonly untilMs: number;
  readonly reason: string;
  readonly offence: Offence;
}

/** A manager with its link open, and the bans that it asked for. */
export async function managed(options: Partial<PeerBanManagerOptions> = {}, parts = banParts()) {
  const bans: Ban[] = [];
  const isBanned = (peerId: PeerId) => bans.some((ban) => ban.peerId === peerId && ban.untilMs > parts.clock.now());
  const hooks: { onBan: (ban: Ban) => void } = { onBan: () => {} };
  const handler = {
    isBanned,
    onPeerBanned: (peerId: PeerId, untilMs: number, reason: string, offence: Offence) => {
      const ban = { peerId, untilMs, reason, offence };
      bans.push(ban);
      hooks.onBan(ban);
    },
  };
  const manager = new PeerBanManager(
    { ...parts, handler },
    { threshold: 100, durationMs: DAY_MS, isWhitelisted: () => false, isShadow: () => false, ...options },
  );
  await parts.link.open(new AbortController().signal);
  await manager.init();
  parts.link.startReading();
  /** Resolves when every write has reached the store. */
  const settled = async () => {
    const marker = parts.link.write('marker', async () => {});
    await marker;
  };
  return { ...parts, manager, bans, hooks, settled };
}
