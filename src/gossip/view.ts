// The facts that validators read, collected from the parts that keep them: one view per network, because sequence
// numbers and connections are those of one libp2p node, and what passed in one network is forwarded in the others.

import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import { type Rate, TokenBuckets } from '../lib/token-bucket.ts';
import type { Attribution } from '../peers/attribution.ts';
import { type DataHubUrlRules, dataHubUrlCheck } from '../peers/datahub/datahub-url.ts';
import type { Clock } from '../ports/clock.ts';
import type { P2PNetwork } from '../ports/network.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { SyncStatus } from '../ports/sync-status.ts';
import type { WireName } from '../wire/format.ts';
import type { GuardView } from './guards.ts';
import { passedElsewhere } from './limits/passed-elsewhere.ts';
import { peerDiscoveryRate } from './limits/peer-discovery-rate.ts';
import { MAX_BUCKETS, PeerRates, UNLIMITED, unscored } from './limits/rates.ts';
import { type ReportSize, unreported } from './limits/report-size.ts';
import { MAX_AUTHORS, SequenceNumbers } from './limits/sequence-numbers.ts';
import { SourceDebts } from './limits/source-debts.ts';

export interface PolicyOptions {
  readonly powLimitBits: number;
  /** `p2p_verify_header_pow`. */
  readonly verifiesHeaderPow: boolean;
  /** `p2p_require_header`. */
  readonly requiresHeader: boolean;
  readonly authorRate: Rate;
  readonly sourceRate: Rate;
  /** Bytes; default unlimited, as the rate of node statuses. */
  readonly authorBytes?: Rate;
  readonly sourceBytes?: Rate;
  readonly statusRate?: Rate;
  readonly dataHubUrls: (wire: WireName) => DataHubUrlRules;
  /** `p2p_max_unvalidated_advertised_height_lead`, for message-bus. */
  readonly maxHeightLead: number;
  /**
   * `p2p_max_target_ratio`: maximum ratio of a header's target to our tip's; 0: no limit, as where minimum-difficulty
   * blocks are allowed.
   */
  readonly maxTargetRatio: number;
}

/** What validators need of a network. */
export type GuardedNetwork = Pick<P2PNetwork, 'name' | 'wire'> & { readonly node: Pick<P2PNode, 'connectedSinceMs'> };

export interface ViewDependencies {
  readonly ownId: PeerId;
  readonly blocks: Attribution;
  readonly subtrees: Attribution;
  readonly chain: Pick<ChainTracker, 'heightOf' | 'tip' | 'isSyncing'>;
  readonly isBanned: (peerId: PeerId) => boolean;
  /** Whether the peer is connected and has a reputation too low to sync from. */
  readonly isLowReputation: (peerId: PeerId) => boolean;
  /** Whether the peer is connected or was heard with a valid message, and has no ban score. */
  readonly isInGoodStanding: (peerId: PeerId) => boolean;
  readonly sync: SyncStatus;
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

/**
 * A view for each network, in their order. Rates of propagation sources hold for all networks together, those of
 * authors for all networks of a wire: on two wires an author announces everything twice.
 */
export function guardViews<N extends GuardedNetwork>(
  deps: ViewDependencies,
  options: PolicyOptions,
  networks: readonly N[],
): readonly { readonly network: N; readonly view: GuardView }[] {
  const { clock, reportSize = unreported } = deps;
  const rates = peerRates(clock, options, reportSize, new Set(networks.map(({ wire }) => wire.name)));
  const elsewhere = passedElsewhere(clock, networks, reportSize);
  const debts = new SourceDebts(clock, reportSize);
  const shared = sharedView(deps, options, reportSize);
  const urlFaults = {
    'go-p2p': dataHubUrlCheck(options.dataHubUrls('go-p2p')),
    'message-bus': dataHubUrlCheck(options.dataHubUrls('message-bus')),
  };
  const cutHeight = (height: number) => Math.min(height, (deps.chain.tip()?.height ?? 0) + options.maxHeightLead);
  const numbers = new Map(networks.map(({ node }) => [node, new SequenceNumbers(clock)] as const));
  const authors = () => [...numbers.values()].reduce((sum, { size }) => sum + size, 0);
  reportSize('replay', authors, MAX_AUTHORS * numbers.size);
  return networks.map((network) => {
    const { node } = network;
    const ofNode = numbers.get(node) ?? new SequenceNumbers(clock);
    const { ofAuthor, ofLateMessages, ofStatus, charge } = rates.onWire(network.wire.name);
    const view: GuardView = {
      ...shared,
      ...elsewhere(network),
      wire: network.wire.name,
      maxGossipBytes: network.wire.maxGossipBytes,
      dataHubUrlFault: urlFaults[network.wire.name],
      countedHeight: (height) => (network.wire.name === 'message-bus' ? cutHeight(height) : height),
      authorRate: (author, seqno, isDirect, bytes) => {
        const connectedSinceMs = isDirect ? () => node.connectedSinceMs?.(author) : undefined;
        const isLate = ofNode.isLate(author, seqno, connectedSinceMs);
        const taken = !isLate || isDirect ? ofAuthor(author, bytes) : ofLateMessages(author, bytes);
        // A flood through others may be a recording that somebody plays again.
        return taken === 'flood' && !isDirect ? 'over' : taken;
      },
      sourceRate: (receivedFrom, author, bytes) => {
        const rate = rates.ofSource(receivedFrom, bytes);
        const isHeard = rate !== 'ok' || author === receivedFrom || !debts.isInDebt(receivedFrom);
        return isHeard || deps.isInGoodStanding(author) ? rate : 'over';
      },
      chargeSource: (receivedFrom) => debts.charge(receivedFrom),
      mayTellStatus: (author, seqno) => ofStatus(author, ofNode.isHighest(author, seqno)),
      spent: charge,
      isReplay: (author, seqno) => ofNode.isReplay(author, seqno),
      mayBeOld: (author, seqno) => ofNode.mayBeOld(author, seqno),
    };
    return { network, view };
  });
}

function peerRates(clock: Clock, options: PolicyOptions, reportSize: ReportSize, wires: ReadonlySet<WireName>) {
  const { authorRate, authorBytes = UNLIMITED, sourceRate, sourceBytes, statusRate = UNLIMITED } = options;
  const authorsOnWire = () => ({
    own: new PeerRates(clock, authorRate, authorBytes),
    late: new PeerRates(clock, lateRate(authorRate), lateRate(authorBytes)),
    statuses: new TokenBuckets<string>(statusRate, MAX_BUCKETS),
  });
  const authors = new Map([...wires].map((wire) => [wire, authorsOnWire()] as const));
  const sources = new PeerRates(clock, sourceRate, sourceBytes);
  const size = (bucket: 'own' | 'late' | 'statuses') => () =>
    [...authors.values()].reduce((sum, rates) => sum + rates[bucket].size, 0);
  reportSize('author_rate', size('own'), MAX_BUCKETS * wires.size);
  reportSize('author_rate_late', size('late'), MAX_BUCKETS * wires.size);
  reportSize('status_rate', size('statuses'), MAX_BUCKETS * wires.size);
  reportSize('relay_rate', () => sources.size, MAX_BUCKETS);
  return {
    onWire: (wire: WireName) => {
      const { own, late, statuses } = authors.get(wire) ?? authorsOnWire();
      return {
        ofAuthor: (author: PeerId, bytes: number) => own.take(author, bytes),
        ofLateMessages: (author: PeerId, bytes: number) => {
          const taken = late.take(author, bytes);
          return taken === 'ok' ? taken : unscored(taken);
        },
        // A status that is not the author's latest message may be a replay, which must not use up the author's tokens.
        ofStatus: (author: PeerId, isLatest: boolean) =>
          statuses.take(isLatest ? author : `${author} late`, clock.monotonic()),
        charge: (author: PeerId, ms: number) => own.charge(author, ms),
      } as const;
    },
    ofSource: (receivedFrom: PeerId, bytes: number) => sources.take(receivedFrom, bytes),
  } as const;
}

type OfNetwork =
  | 'wire'
  | 'maxGossipBytes'
  | 'dataHubUrlFault'
  | 'countedHeight'
  | 'authorRate'
  | 'sourceRate'
  | 'chargeSource'
  | 'mayTellStatus'
  | 'spent'
  | 'isReplay'
  | 'mayBeOld'
  | 'passedElsewhere'
  | 'passed'
  | 'isFirstOnWire';

/** What is the same in every network. */
function sharedView(
  deps: ViewDependencies,
  options: PolicyOptions,
  reportSize: ReportSize,
): Omit<GuardView, OfNetwork> {
  const { ownId, blocks, subtrees, chain, clock } = deps;
  return {
    ownId,
    verifiesHeaderPow: options.verifiesHeaderPow,
    requiresHeader: options.requiresHeader,
    powLimitBits: options.powLimitBits,
    blockAnnouncedBy: (hash, author) => blocks.knows(hash, author),
    subtreeAnnouncedBy: (hash, author) => subtrees.knows(hash, author),
    mayForwardPeerDiscovery: peerDiscoveryRate(clock, reportSize),
    isBanned: deps.isBanned,
    isLowReputation: deps.isLowReputation,
    // While the node catches up from one peer, announcements of others would only slow it down (spec: handlers skip
    // while syncing).
    shouldForward: (author, height) => {
      const peer = chain.isSyncing() ? deps.sync.syncPeer() : undefined;
      return peer === undefined || (author === peer.peerId && height >= peer.height);
    },
    ownHeightOf: (hash) => chain.heightOf(hash),
    easiestTarget: () => {
      const tip = chain.tip();
      const isOld = tip === undefined || clock.now() - tip.time * 1000 > OLD_TIP_MS;
      return isOld || options.maxTargetRatio === 0 ? undefined : tip.target * BigInt(options.maxTargetRatio);
    },
  };
}
