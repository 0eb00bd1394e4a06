// What the guards can ask, put together from the parts that know the answers: one view per network, because sequence numbers and connections
// are those of one libp2p node, and what passed in one network is forwarded in the others.

import type { FsmWatch } from '../chain/fsm-watch.ts';
import type { OwnChain } from '../chain/own-chain.ts';
import type { PeerId } from '../domain/ids.ts';
import type { Attribution } from '../peers/attribution.ts';
import { type DataHubUrlRules, dataHubUrlCheck } from '../peers/datahub/datahub-url.ts';
import type { Clock } from '../ports/clock.ts';
import type { P2PNetwork } from '../ports/network.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { SyncStatus } from '../ports/sync-status.ts';
import type { GuardView } from './guards.ts';
import { passedElsewhere } from './limits/passed-elsewhere.ts';
import { peerDiscoveryRate } from './limits/peer-discovery-rate.ts';
import { MAX_BUCKETS, type Rate, TokenBuckets } from './limits/rates.ts';
import { MAX_AUTHORS, SequenceNumbers } from './limits/sequence-numbers.ts';
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

/** What the guards need of a network. */
export type GuardedNetwork = Pick<P2PNetwork, 'name'> & { readonly node: Pick<P2PNode, 'connectedSinceMs'> };

export interface ViewDependencies {
  readonly ownId: PeerId;
  readonly blocks: Attribution;
  readonly subtrees: Attribution;
  readonly ownChain: Pick<OwnChain, 'heightOf' | 'tip'>;
  readonly isBanned: (peerId: PeerId) => boolean;
  readonly fsm: Pick<FsmWatch, 'isSyncing'>;
  readonly sync: SyncStatus;
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

/** A view for each network, in their order. Rates hold for all networks together. */
export function guardViews<N extends GuardedNetwork>(
  deps: ViewDependencies,
  options: PolicyOptions,
  networks: readonly N[],
): readonly { readonly network: N; readonly view: GuardView }[] {
  const { clock, watch = unwatched } = deps;
  const rates = authorAndSourceRates(clock, options, watch);
  const elsewhere = passedElsewhere(networks.length, watch);
  const shared = sharedView(deps, options, watch);
  const numbers = new Map(networks.map(({ node }) => [node, new SequenceNumbers(clock)] as const));
  const entries = () => [...numbers.values()].reduce((sum, { size }) => sum + size, 0);
  watch('replay', entries, MAX_AUTHORS * numbers.size);
  return networks.map((network) => {
    const { node } = network;
    const ofNode = numbers.get(node) ?? new SequenceNumbers(clock);
    const view: GuardView = {
      ...shared,
      ...elsewhere(network.name),
      authorRate: (author, seqno, atFirstHand) => {
        const connectedSinceMs = atFirstHand ? () => node.connectedSinceMs?.(author) : undefined;
        const isLate = ofNode.isLate(author, seqno, connectedSinceMs);
        return !isLate || atFirstHand ? rates.ofAuthor(author) : rates.ofLateMessages(author);
      },
      relayRate: rates.ofSource,
      isReplay: (author, seqno) => ofNode.isReplay(author, seqno),
    };
    return { network, view };
  });
}

function authorAndSourceRates(clock: Clock, options: PolicyOptions, watch: WatchSize) {
  const authors = new TokenBuckets(clock, options.authorRate);
  const lateOnes = new TokenBuckets(clock, lateRate(options.authorRate));
  const sources = new TokenBuckets(clock, options.relayRate);
  watch('author_rate', () => authors.size, MAX_BUCKETS);
  watch('author_rate_late', () => lateOnes.size, MAX_BUCKETS);
  watch('relay_rate', () => sources.size, MAX_BUCKETS);
  return {
    ofAuthor: (author: PeerId) => authors.take(author),
    ofLateMessages: (author: PeerId) => (lateOnes.take(author) === 'ok' ? 'ok' : 'over'),
    ofSource: (source: PeerId) => sources.take(source),
  } as const;
}

type NetworkMembers = 'authorRate' | 'relayRate' | 'isReplay' | 'passedElsewhere' | 'passed';

/** What is the same in every network. */
function sharedView(deps: ViewDependencies, options: PolicyOptions, watch: WatchSize): Omit<GuardView, NetworkMembers> {
  const { ownId, blocks, subtrees, ownChain, clock } = deps;
  return {
    ownId,
    verifiesHeaderPow: options.verifiesHeaderPow,
    requiresHeader: options.requiresHeader,
    powLimitBits: options.powLimitBits,
    blockAnnouncedBy: (hash, author) => blocks.knows(hash, author),
    subtreeAnnouncedBy: (hash, author) => subtrees.knows(hash, author),
    mayRelayPeerDiscovery: peerDiscoveryRate(clock, watch),
    isBanned: deps.isBanned,
    // While the node catches up from one peer, the news of others would only be in its way (spec: handlers skip while syncing).
    handsOn: (author, height) => {
      const peer = deps.fsm.isSyncing() ? deps.sync.syncPeer() : undefined;
      return peer === undefined || (author === peer.peerId && height >= peer.height);
    },
    dataHubUrlFault: dataHubUrlCheck(options.dataHubUrls),
    ownHeightOf: (hash) => ownChain.heightOf(hash),
    easiestTarget: () => {
      const tip = ownChain.tip();
      const isOld = tip === undefined || clock.now() - tip.time * 1000 > OLD_TIP_MS;
      return isOld || options.maxTargetRatio === 0 ? undefined : tip.target * BigInt(options.maxTargetRatio);
    },
  };
}
