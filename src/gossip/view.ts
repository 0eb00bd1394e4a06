// The facts that validators read, collected from the parts that keep them.

import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import type { Rate } from '../lib/token-bucket.ts';
import type { Attribution } from '../peers/attribution.ts';
import { type DataHubUrlRules, dataHubUrlCheck } from '../peers/datahub/datahub-url.ts';
import type { Clock } from '../ports/clock.ts';
import type { SyncStatus } from '../ports/sync-status.ts';
import type { GuardView } from './guards.ts';
import { passedElsewhere } from './limits/passed-elsewhere.ts';
import { peerDiscoveryRate } from './limits/peer-discovery-rate.ts';
import { MAX_BUCKETS, PeerRates } from './limits/rates.ts';
import { type ReportSize, unreported } from './limits/report-size.ts';
import { SequenceNumbers } from './limits/sequence-numbers.ts';

export interface PolicyOptions {
  readonly powLimitBits: number;
  /** `p2p_verify_header_pow`. */
  readonly verifiesHeaderPow: boolean;
  /** `p2p_require_header`. */
  readonly requiresHeader: boolean;
  readonly authorRate: Rate;
  readonly sourceRate: Rate;
  readonly dataHubUrls: DataHubUrlRules;
  /**
   * `p2p_max_target_ratio`: maximum ratio of a header's target to our tip's; 0: no limit, as where minimum-difficulty
   * blocks are allowed.
   */
  readonly maxTargetRatio: number;
}

export interface ViewDependencies {
  readonly ownId: PeerId;
  readonly blocks: Attribution;
  readonly subtrees: Attribution;
  readonly chain: Pick<ChainTracker, 'heightOf' | 'tip' | 'isSyncing'>;
  readonly isBanned: (peerId: PeerId) => boolean;
  readonly sync: SyncStatus;
  /**
   * Monotonic ms at which the peer's newest connection began; undefined when there is none or the node does not know.
   */
  readonly connectedSinceMs: (peerId: PeerId) => number | undefined;
  /** Number of topic prefixes that this node reads. */
  readonly prefixes: number;
  readonly clock: Clock;
  readonly reportSize?: ReportSize;
}

/** A tip older than this means that we are behind: it says nothing about today's difficulty. */
const OLD_TIP_MS = 24 * 3_600_000;

/**
 * Share of the author's rate for late messages, in a bucket of their own. A late message could be a replay by anybody,
 * so it must not use up the author's own tokens; and an author must not gain much by sending sequence numbers that look
 * late.
 */
const LATE_SHARE = 1 / 10;

function lateRate({ perSecond, burst }: Rate): Rate {
  return { perSecond: perSecond * LATE_SHARE, burst: Math.max(1, burst * LATE_SHARE) };
}

export function guardView(deps: ViewDependencies, options: PolicyOptions): GuardView {
  const { ownId, blocks, subtrees, chain, clock, reportSize = unreported } = deps;
  const authors = new PeerRates(clock, options.authorRate);
  const late = new PeerRates(clock, lateRate(options.authorRate));
  const sources = new PeerRates(clock, options.sourceRate);
  const numbers = new SequenceNumbers(clock, reportSize);
  reportSize('author_rate', () => authors.size, MAX_BUCKETS);
  reportSize('author_rate_late', () => late.size, MAX_BUCKETS);
  reportSize('relay_rate', () => sources.size, MAX_BUCKETS);
  return {
    ownId,
    verifiesHeaderPow: options.verifiesHeaderPow,
    requiresHeader: options.requiresHeader,
    powLimitBits: options.powLimitBits,
    blockAnnouncedBy: (hash, author) => blocks.knows(hash, author),
    subtreeAnnouncedBy: (hash, author) => subtrees.knows(hash, author),
    mayForwardPeerDiscovery: peerDiscoveryRate(clock, reportSize),
    isBanned: deps.isBanned,
    ...passedElsewhere(deps.prefixes, reportSize),
    // While the node catches up from one peer, announcements of others would only slow it down (spec: handlers skip
    // while syncing).
    shouldForward: (author, height) => {
      const peer = chain.isSyncing() ? deps.sync.syncPeer() : undefined;
      return peer === undefined || (author === peer.peerId && height >= peer.height);
    },
    authorRate: (author, seqno, isDirect) => {
      const connectedSinceMs = isDirect ? () => deps.connectedSinceMs(author) : undefined;
      if (!numbers.isLate(author, seqno, connectedSinceMs) || isDirect) return authors.take(author);
      return late.take(author) === 'ok' ? 'ok' : 'over';
    },
    sourceRate: (receivedFrom) => sources.take(receivedFrom),
    isReplay: (author, seqno) => numbers.isReplay(author, seqno),
    dataHubUrlFault: dataHubUrlCheck(options.dataHubUrls),
    ownHeightOf: (hash) => chain.heightOf(hash),
    easiestTarget: () => {
      const tip = chain.tip();
      const isOld = tip === undefined || clock.now() - tip.time * 1000 > OLD_TIP_MS;
      return isOld || options.maxTargetRatio === 0 ? undefined : tip.target * BigInt(options.maxTargetRatio);
    },
  };
}
