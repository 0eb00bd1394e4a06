// A score-keeper on a store in memory. The bans on which it decides are collected, and taken for in force.
import { PeerBanManager, type PeerBanManagerOptions } from '../../src/bans/scores/peer-ban-manager.ts';
import type { PeerId } from '../../src/domain/ids.ts';
import type { BanDecision } from '../../src/domain/offence.ts';
import { banParts, DAY_MS } from './ban-parts.ts';

/** A manager with its link open, and the bans on which it decided. */
export async function managed(options: Partial<PeerBanManagerOptions> = {}, parts = banParts()) {
  const bans: BanDecision[] = [];
  const isBanned = (peerId: PeerId) => bans.some((ban) => ban.peerId === peerId && ban.untilMs > parts.clock.now());
  const hooks: { onBan: (ban: BanDecision) => void } = { onBan: () => {} };
  const take = (ban: BanDecision | undefined) => {
    if (ban === undefined || isBanned(ban.peerId)) return;
    bans.push(ban);
    hooks.onBan(ban);
  };
  const manager = new PeerBanManager(
    { ...parts, isBanned },
    { threshold: 100, durationMs: DAY_MS, isWhitelisted: () => false, isShadow: () => false, ...options },
  );
  parts.link.follow({ type: 'score', reload: (changed) => manager.reload(changed) });
  await parts.link.open(new AbortController().signal);
  await manager.init();
  parts.link.startReading();
  /** As the service does: takes the decision at once, or when the store has answered. */
  const addScore: PeerBanManager['addScore'] = (...offence) => {
    const result = PeerBanManager.prototype.addScore.apply(manager, offence);
    take(result.ban);
    void result.recounted.then(take);
    return result;
  };
  manager.addScore = addScore;
  /** Resolves when every write has reached the store. */
  const settled = async () => {
    await new Promise<void>((resolve) => void parts.link.write('marker', async () => resolve()));
  };
  return { ...parts, manager, bans, hooks, settled };
}
