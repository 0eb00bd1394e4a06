// Scores of authors, and bans by peer ID, as the peer registry of the blockchain service keeps them.
import type { PeerId } from '../../domain/ids.ts';
import type { BanReason } from '../../domain/offence.ts';
import { decayed } from '../../domain/score-decay.ts';
import { PeerRegistryService } from '../../gen/blockchain_api_pb.js';
import type { Clock } from '../../ports/clock.ts';
import type { HistoryKeeper } from '../../ports/peer-histories.ts';
import type { ScoreAnswer, ScoreAuthority } from '../../ports/score-authority.ts';
import { parsePeerId } from '../../wire/peer-id.ts';
import type { Send, ServicePeerRegistry, Step } from './peer-registry.ts';

const API = PeerRegistryService.method;
/** Names that differ from ours. */
const REASON_NAMES: Readonly<Record<string, string>> = {
  catch_up_failure: 'catchup_failure',
  catch_up_malicious: 'catchup_malicious',
} satisfies Partial<Record<BanReason, string>>;

interface Score {
  readonly score: number;
  readonly atMs: number;
}

/** The answer to an offence that was counted; undefined when the score there is nearer to what it was without it. */
async function counted(
  send: Send,
  peerId: PeerId,
  before: Score,
  points: number,
  nowMs: number,
): Promise<ScoreAnswer | undefined> {
  const now = await send(API.getPeer, { peerId }, ({ peer }) => ({
    score: peer?.banScore ?? 0,
    isNewBan: peer?.isBanned ?? false,
  }));
  const without = decayed(before.score, before.atMs, nowMs).score;
  const withIt = decayed(before.score + points, before.atMs, nowMs).score;
  return now.score - without >= withIt - now.score ? now : undefined;
}

export class RegistryScores implements ScoreAuthority {
  private readonly registry: ServicePeerRegistry;
  private readonly clock: Clock;
  /** Orders to lift all bans that were not carried out yet. */
  private pendingClears = 0;

  constructor({ registry, clock }: { readonly registry: ServicePeerRegistry; readonly clock: Clock }) {
    this.registry = registry;
    this.clock = clock;
  }

  keptBy(): HistoryKeeper {
    return this.registry.keptBy();
  }

  isAnswering(): boolean {
    return this.registry.isAnswering;
  }

  async addOffence(peerId: PeerId, reason: string, points: number): Promise<ScoreAnswer | undefined> {
    const { registry } = this;
    const name = REASON_NAMES[reason] ?? reason;
    return await registry.deliver(peerId, [this.once(peerId, name, points)]).catch(() => undefined);
  }

  /**
   * A step that counts an offence once: an attempt without an answer may have been carried out, so before another one
   * the score there is compared with that before the first.
   */
  private once(peerId: PeerId, reason: string, points: number): Step<ScoreAnswer> {
    const { copy } = this.registry;
    let before: Score | undefined;
    return async (send) => {
      const known = before && (await counted(send, peerId, before, points, this.clock.now()));
      before ??= { score: copy.scoreOf(peerId) ?? 0, atMs: this.clock.now() };
      const answer =
        known ??
        (await send(API.addBanScore, { peerId, reason, points }, ({ score, banned }) => ({ score, isNewBan: banned })));
      copy.scored(peerId, answer.score);
      return answer;
    };
  }

  scoreOf(peerId: PeerId): number | undefined {
    return this.registry.copy.scoreOf(peerId);
  }

  async bannedPeers(): Promise<readonly PeerId[] | undefined> {
    const { registry } = this;
    if (!registry.isAnswering || this.pendingClears > 0) return undefined;
    try {
      return await registry.ask((send) =>
        send(API.listBannedPeers, {}, ({ peerIds }) => peerIds.flatMap((each) => parsePeerId(each) ?? [])),
      );
    } catch {
      return undefined;
    }
  }

  async clearBans(): Promise<void> {
    const { registry } = this;
    this.pendingClears += 1;
    try {
      await registry.deliver('', [(send) => send(API.clearBannedPeers, {})]);
      registry.copy.clearScores();
    } catch {
      // Counted and logged where it was refused; the bans stay lifted here.
    } finally {
      this.pendingClears -= 1;
    }
  }
}
