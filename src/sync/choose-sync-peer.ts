// Whom to sync from: a snapshot in, a decision out, so that every rule can be looked at without a network. What a peer claims is believed until
// it is disproved, or nothing came of asking the peer: then all others go before it.
import type { BlockHash, PeerId } from '../domain/ids.ts';

/** What is known of a peer. */
export interface SyncPeerRow {
  readonly peerId: PeerId;
  readonly isConnected: boolean;
  readonly isBanned: boolean;
  /** Ban score, 0 for a spotless peer. */
  readonly score: number;
  /** Where the peer says that it stands. */
  readonly claimed: { readonly height: number; readonly hash: BlockHash | undefined } | undefined;
  /** A block that the peer announced and whose true height our own chain tells: see `heightOf`. */
  readonly proven: { readonly height: number; readonly hash: BlockHash | undefined } | undefined;
  readonly dataHubUrl: string | undefined;
  readonly dataHubHealth: 'unknown' | 'healthy' | 'unhealthy';
  /** Unix ms of its last message that passed. */
  readonly lastMessageMs: number | undefined;
}

/** Choices of a peer that came to nothing. */
export interface Misses {
  readonly count: number;
  /** On the clock of `SyncSnapshot.nowMs`. */
  readonly restsUntilMs: number;
}

export interface SyncCandidate extends SyncPeerRow {
  readonly misses: Misses;
}

export interface SyncSnapshot {
  readonly ownHeight: number;
  readonly candidates: readonly SyncCandidate[];
  /** `p2p_force_sync_peer`: this one or nobody. */
  readonly forcedPeer: PeerId | undefined;
  /** The sync peer before; taken again only when nobody else with as few misses qualifies. */
  readonly previousPeer: PeerId | undefined;
  readonly nowMs: number;
}

/** A peer that qualifies, with what is needed to fetch from it. */
export interface FitPeer {
  readonly peerId: PeerId;
  /** As far as it is believed. */
  readonly height: number;
  readonly hash: BlockHash;
  readonly dataHubUrl: string;
  readonly score: number;
  readonly misses: number;
}

/** The first rule that a peer breaks. From `resting` on it is ahead of us. */
export type Unfitness =
  | 'not_connected'
  | 'banned'
  | 'no_best_hash'
  | 'not_ahead'
  | 'resting'
  | 'no_datahub'
  | 'datahub_unhealthy';

export type Fitness =
  | { readonly isFit: true; readonly peer: FitPeer }
  | { readonly isFit: false; readonly why: Unfitness };

/**
 * Why nobody: `no_peers` of whom a best block is known; `level` with all of them; some are ahead and `none_usable`; `forced_absent` and
 * `forced_unusable` where one peer is forced.
 */
export type WhyNobody = 'no_peers' | 'level' | 'none_usable' | 'forced_absent' | 'forced_unusable';

export type Choice =
  | { readonly outcome: 'chosen'; readonly peer: FitPeer }
  | { readonly outcome: 'nobody'; readonly why: WhyNobody };

/**
 * Fewest misses, so that no liar is tried twice before everybody else was; then lowest score, then highest, then by chance. `random` gives
 * [0, 1); with the same numbers the choice is the same, whatever the order.
 */
export function chooseSyncPeer(snapshot: SyncSnapshot, random: () => number): Choice {
  const { candidates, forcedPeer, previousPeer } = snapshot;
  if (forcedPeer !== undefined) return forcedChoice(forcedPeer, snapshot);
  const judged = candidates.map((candidate) => fitnessOf(candidate, snapshot));
  const fit = judged.flatMap((each) => (each.isFit ? [each.peer] : []));
  if (fit.length === 0) return { outcome: 'nobody', why: whyNobody(judged) };
  const fewest = Math.min(...fit.map(({ misses }) => misses));
  const first = fit.filter(({ misses }) => misses === fewest);
  const others = first.filter(({ peerId }) => peerId !== previousPeer);
  return { outcome: 'chosen', peer: best(others.length > 0 ? others : first, random) };
}

/** Whether we may sync from the peer, or the first rule against it. */
export function fitnessOf(
  candidate: SyncCandidate,
  { ownHeight, nowMs }: Pick<SyncSnapshot, 'ownHeight' | 'nowMs'>,
): Fitness {
  const { peerId, claimed, dataHubUrl, score, misses } = candidate;
  const no = (why: Unfitness): Fitness => ({ isFit: false, why });
  if (!candidate.isConnected) return no('not_connected');
  if (candidate.isBanned) return no('banned');
  if (claimed?.hash === undefined) return no('no_best_hash');
  const height = heightOf(candidate);
  if (height <= ownHeight) return no('not_ahead');
  if (nowMs < misses.restsUntilMs) return no('resting');
  if (dataHubUrl === undefined || dataHubUrl === '') return no('no_datahub');
  if (candidate.dataHubHealth === 'unhealthy') return no('datahub_unhealthy');
  return { isFit: true, peer: { peerId, height, hash: claimed.hash, dataHubUrl, score, misses: misses.count } };
}

/**
 * The claimed height, or the true one of the claimed block where our chain tells it. What was proven of other blocks says nothing against the
 * claim: our chain can only prove what it has or what builds on it, and whoever is many blocks ahead has announced blocks that do neither.
 */
function heightOf({ claimed, proven }: SyncCandidate): number {
  if (claimed === undefined) return 0;
  return proven !== undefined && proven.hash === claimed.hash
    ? Math.min(claimed.height, proven.height)
    : claimed.height;
}

function forcedChoice(forcedPeer: PeerId, snapshot: SyncSnapshot): Choice {
  const candidate = snapshot.candidates.find(({ peerId }) => peerId === forcedPeer);
  if (candidate === undefined) return { outcome: 'nobody', why: 'forced_absent' };
  const fitness = fitnessOf(candidate, snapshot);
  if (fitness.isFit) return { outcome: 'chosen', peer: fitness.peer };
  return { outcome: 'nobody', why: fitness.why === 'not_ahead' ? 'level' : 'forced_unusable' };
}

function whyNobody(judged: readonly Fitness[]): WhyNobody {
  const known = judged.filter((each) => each.isFit || !['not_connected', 'banned', 'no_best_hash'].includes(each.why));
  if (known.length === 0) return 'no_peers';
  return known.every((each) => !each.isFit && each.why === 'not_ahead') ? 'level' : 'none_usable';
}

function best(fit: readonly FitPeer[], random: () => number): FitPeer {
  const ranked = [...fit].sort((a, b) => a.score - b.score || b.height - a.height || (a.peerId < b.peerId ? -1 : 1));
  const [first] = ranked;
  if (first === undefined) throw new RangeError('nobody to choose from');
  const ties = ranked.filter(({ score, height }) => score === first.score && height === first.height);
  if (ties.length === 1) return first;
  return ties[Math.min(Math.floor(random() * ties.length), ties.length - 1)] ?? first;
}
