// What the guards look at, put together from the parts that know it.

import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import type { Attribution } from '../peers/attribution.ts';
import { type DataHubUrlRules, dataHubUrlCheck } from '../peers/datahub/datahub-url.ts';
import type { Clock } from '../ports/clock.ts';
import type { SyncStatus } from '../ports/sync-status.ts';
import type { GuardView } from './guards.ts';
import { passedElsewhere } from './limits/passed-elsewhere.ts';
import { peerDiscoveryRate } from './limits/peer-discovery-rate.ts';
import { MAX_BUCKETS, type Rate, TokenBuckets } from './limits/rates.ts';
import { SequenceNumbers } from './limits/sequence-numbers.ts';
import { unwatched, type WatchSize } from './limits/watch-size.ts';

export interface PolicyOptions {
  readonly powLimitBits: number;
  /** `p2p_verify_header_pow`. */
  readonly verifiesHeaderPow: boolean;
  /** `p2p_require_header`. */
  readonly requiresHeader: boolean;
  readonly authorRate: Rate;
  readonly relayRate: Rate;
  readonly dataHubUrls: DataHubUrlRules;
  /** `p2p_max_target_ratio`: a header's target may be this many times our tip's; 0: any. Off where minimum-difficulty blocks are allowed. */
  readonly maxTargetRatio: number;
}

export interface ViewDependencies {
  readonly ownId: PeerId;
  readonly blocks: Attribution;
  readonly subtrees: Attribution;
  readonly chain: Pick<ChainTracker, 'heightOf' | 'tip' | 'isSyncing'>;
  readonly isBanned: (peerId: PeerId) => boolean;
  readonly sync: SyncStatus;
  /** Monotonic ms at which the peer's newest connection began; undefined: none, or not known. */
  readonly connectedSinceMs: (peerId: PeerId) => number | undefined;
  /** Topic prefixes that this node reads. */
  readonly prefixes: number;
  readonly clock: Clock;
  readonly watch?: WatchSize;
}

/** A tip older than this says that we are behind, and nothing of today's difficulty. */
const OLD_TIP_MS = 24 * 3_600_000;

/**
 * What is late may have been kept by anybody and is scored to nobody, so it must not use up what its author has; but neither may an author gain much by
 * numbers that look late: it has this share of the author's rate, on top.
 */
const LATE_SHARE = 1 / 10;

function lateRate({ perSecond, burst }: Rate): Rate {
  return { perSecond: perSecond * LATE_SHARE, burst: Math.max(1, burst * LATE_SHARE) };
}

export function guardView(deps: ViewDependencies, options: PolicyOptions): GuardView {
  const { ownId, blocks, subtrees, chain, clock, watch = unwatched } = deps;
  const authors = new TokenBuckets(clock, options.authorRate);
  const lateOnes = new TokenBuckets(clock, lateRate(options.authorRate));
  const relays = new TokenBuckets(clock, options.relayRate);
  const numbers = new SequenceNumbers(clock, watch);
  watch('author_rate', () => authors.size, MAX_BUCKETS);
  watch('author_rate_late', () => lateOnes.size, MAX_BUCKETS);
  watch('relay_rate', () => relays.size, MAX_BUCKETS);
  return {
    ownId,
    verifiesHeaderPow: options.verifiesHeaderPow,
    requiresHeader: options.requiresHeader,
    powLimitBits: options.powLimitBits,
    blockAnnouncedBy: (hash, author) => blocks.knows(hash, author),
    subtreeAnnouncedBy: (hash, author) => subtrees.knows(hash, author),
    mayRelayPeerDiscovery: peerDiscoveryRate(clock, watch),
    isBanned: deps.isBanned,
    ...passedElsewhere(deps.prefixes, watch),
    // While the node catches up from one peer, the news of others would only be in its way (spec: handlers skip while syncing).
    handsOn: (author, height) => {
      const peer = chain.isSyncing() ? deps.sync.syncPeer() : undefined;
      return peer === undefined || (author === peer.peerId && height >= peer.height);
    },
    authorRate: (author, seqno, atFirstHand) => {
      const connectedSinceMs = atFirstHand ? () => deps.connectedSinceMs(author) : undefined;
      if (!numbers.isLate(author, seqno, connectedSinceMs) || atFirstHand) return authors.take(author);
      return lateOnes.take(author) === 'ok' ? 'ok' : 'over';
    },
    relayRate: (relay) => relays.take(relay),
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
