// Scores of authors, and bans by peer ID, as the peer registry of the blockchain service keeps them.
import type { PeerId } from '../../domain/ids.ts';
import type { BanReason } from '../../domain/offence.ts';
import { PeerRegistryService } from '../../gen/blockchain_api_pb.js';
import type { HistoryKeeper } from '../../ports/peer-histories.ts';
import type { ScoreAnswer, ScoreAuthority } from '../../ports/score-authority.ts';
import { parsePeerId } from '../../wire/peer-id.ts';
import type { ServicePeerRegistry } from './peer-registry.ts';

const API = PeerRegistryService.method;
/** Names that differ from ours. */
const REASON_NAMES: Partial<Record<BanReason, string>> = {
  catch_up_failure: 'catchup_failure',
  catch_up_malicious: 'catchup_malicious',
};

export class RegistryScores implements ScoreAuthority {
  private readonly registry: ServicePeerRegistry;
  /** Orders to lift all bans that were not carried out yet. */
  private pendingClears = 0;

  constructor({ registry }: { readonly registry: ServicePeerRegistry }) {
    this.registry = registry;
  }

  keptBy(): HistoryKeeper {
    return this.registry.keptBy();
  }

  isAnswering(): boolean {
    return this.registry.isAnswering;
  }

  async addOffence(peerId: PeerId, reason: BanReason, points: number): Promise<ScoreAnswer | undefined> {
    const { registry } = this;
    const name = REASON_NAMES[reason] ?? reason;
    const delivered = registry.deliver<ScoreAnswer>(peerId, [
      (send) =>
        send(API.addBanScore, { peerId, reason: name, points }, ({ score, banned }) => ({ score, isNewBan: banned })),
    ]);
    const answer = await delivered.catch(() => undefined);
    if (answer !== undefined) registry.copy.scored(peerId, answer.score);
    return answer;
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
