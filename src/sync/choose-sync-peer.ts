// Which peer to sync from by the rules of wire.md: a snapshot in, a decision out, so that every rule can be tested
// without a network. A peer's claim is believed until it is disproved or an attempt to sync from the peer fails: then
// all other peers come first.
import type { BlockHash, PeerId } from '../domain/ids.ts';
import type { Criterion } from '../ports/sync-status.ts';
import type { Fitness, FitPeer, Unfitness } from './evaluation.ts';
import type { Choice, WeighedChoice, WhyNobody } from './sync-policy.ts';
import { type Weighed, weigh } from './weighed.ts';

/** What is known about a peer. */
export interface SyncPeerRow {
  readonly peerId: PeerId;
  readonly isConnected: boolean;
  readonly isBanned: boolean;
  /** Ban score; 0 for a peer without offences. */
  readonly score: number;
  /** Its share of the first deliveries to us, from 0 to 1; 0 where that does not count. */
  readonly deliveryShare: number;
  /** The best block that the peer claims. */
  readonly claimed: { readonly height: number; readonly hash: BlockHash | undefined } | undefined;
  /** A block that the peer announced, with its true height from our own chain: see `heightOf`. */
  readonly proven: { readonly height: number; readonly hash: BlockHash | undefined } | undefined;
  readonly dataHubUrl: string | undefined;
  readonly dataHubHealth: 'unknown' | 'healthy' | 'unhealthy';
  /** Unix ms of its last message that passed validation. */
  readonly lastMessageMs: number | undefined;
}

/** Earlier attempts to sync from a peer. */
export interface PeerAttempts {
  /** Number of failed ones. */
  readonly failed: number;
  /** On the clock of `SyncSnapshot.nowMs`. */
  readonly coolDownUntilMs: number;
}

export interface SyncCandidate extends SyncPeerRow {
  readonly attempts: PeerAttempts;
}

export interface SyncSnapshot {
  readonly ownHeight: number;
  readonly candidates: readonly SyncCandidate[];
  /** `p2p_force_sync_peer`: this peer or none. */
  readonly forcedPeer: PeerId | undefined;
  /** The sync peer before this choice; chosen again only when no other peer with as few failed attempts qualifies. */
  readonly previousPeer: PeerId | undefined;
  readonly nowMs: number;
}

/**
 * The peer with the fewest failed attempts, so that no dishonest peer is tried twice before every other peer was; then
 * the lowest score, then the greatest height, then the best first deliverers, then at random. `random` returns [0, 1);
 * with the same numbers the choice is the same, whatever the order of candidates.
 */
export function chooseSyncPeer(snapshot: SyncSnapshot, random: () => number): Choice {
  const { candidates, forcedPeer, previousPeer } = snapshot;
  if (forcedPeer !== undefined) return forcedChoice(forcedPeer, snapshot);
  const judged = candidates.map((candidate) => fitnessOf(candidate, snapshot));
  const fit = judged.flatMap((each) => (each.isFit ? [each.peer] : []));
  if (fit.length === 0) return { outcome: 'nobody', why: whyNobody(judged) };
  const fewest = Math.min(...fit.map(({ failedAttempts }) => failedAttempts));
  const first = fit.filter(({ failedAttempts }) => failedAttempts === fewest);
  const others = first.filter(({ peerId }) => peerId !== previousPeer);
  return { outcome: 'chosen', peer: best(others.length > 0 ? others : first, random) };
}

/** The same, with why each peer was chosen or passed over. */
export function weighedChoice(snapshot: SyncSnapshot, random: () => number): WeighedChoice {
  const choice = chooseSyncPeer(snapshot, random);
  return { ...choice, weighed: weighedByClaims(snapshot, choice.outcome === 'chosen' ? choice.peer : undefined) };
}

function weighedByClaims(snapshot: SyncSnapshot, winner: FitPeer | undefined): Weighed {
  const { candidates, nowMs } = snapshot;
  const judged = candidates.map((row) => ({ row, fitness: fitnessOf(row, snapshot) }));
  const fit = judged.flatMap(({ fitness }) => (fitness.isFit ? [fitness.peer] : []));
  const drawn = new Set(winner && drawnFrom(fit, winner, snapshot).map(({ peerId }) => peerId));
  return weigh(judged, {
    winner: winner?.peerId,
    whyLost: (row) => whyLost(row, winner, snapshot, drawn),
    factsOf: (row) => ({
      height: row.claimed === undefined ? undefined : heightOf(row),
      banScore: row.score,
      failedAttempts: row.attempts.failed,
      coolDownMs: row.attempts.coolDownUntilMs > nowMs ? row.attempts.coolDownUntilMs - nowMs : undefined,
      dataHubHealth: row.dataHubHealth,
      firstDeliveryShare: row.deliveryShare,
      storage: undefined,
      reputation: undefined,
    }),
  });
}

/** In the order in which `chooseSyncPeer` compares. */
function whyLost(
  row: SyncCandidate,
  winner: FitPeer | undefined,
  snapshot: SyncSnapshot,
  drawn: ReadonlySet<PeerId>,
): Criterion {
  if (snapshot.forcedPeer !== undefined || winner === undefined) return 'forced';
  if (row.attempts.failed > winner.failedAttempts) return 'failed_attempts';
  if (row.peerId === snapshot.previousPeer) return 'previous_sync_peer';
  if (row.score > winner.score) return 'ban_score';
  if (heightOf(row) < winner.height) return 'height';
  return drawn.has(row.peerId) ? 'random' : 'first_deliveries';
}

/** The peers of which the winner was drawn. */
function drawnFrom(fit: readonly FitPeer[], winner: FitPeer, { previousPeer }: SyncSnapshot): readonly FitPeer[] {
  const { failedAttempts, score, height } = winner;
  const isEqual = (peer: FitPeer) =>
    peer.failedAttempts === failedAttempts && peer.score === score && peer.height === height;
  return bestDeliverers(fit.filter((peer) => peer.peerId !== previousPeer && isEqual(peer)));
}

/** Whether the peer qualifies, or the first rule that it breaks. */
export function fitnessOf(
  candidate: SyncCandidate,
  { ownHeight, nowMs }: Pick<SyncSnapshot, 'ownHeight' | 'nowMs'>,
): Fitness {
  const { peerId, claimed, dataHubUrl, score, deliveryShare, attempts } = candidate;
  const no = (why: Unfitness): Fitness => ({ isFit: false, why });
  if (!candidate.isConnected) return no('not_connected');
  if (candidate.isBanned) return no('banned');
  if (claimed?.hash === undefined) return no('no_best_hash');
  const height = heightOf(candidate);
  if (height <= ownHeight) return no('not_ahead');
  if (nowMs < attempts.coolDownUntilMs) return no('cooling_down');
  if (dataHubUrl === undefined || dataHubUrl === '') return no('no_datahub');
  if (candidate.dataHubHealth === 'unhealthy') return no('datahub_unhealthy');
  const failedAttempts = attempts.failed;
  return {
    isFit: true,
    peer: { peerId, height, hash: claimed.hash, dataHubUrl, score, failedAttempts, deliveryShare, isProbe: false },
  };
}

/**
 * The claimed height, or the true height of the claimed block where our chain has it. Proven heights of other blocks do
 * not contradict the claim: our chain can only prove blocks that it has or that build on it, and a peer that is many
 * blocks ahead has announced neither.
 */
export function heightOf({ claimed, proven }: Pick<SyncPeerRow, 'claimed' | 'proven'>): number {
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
  if (first === undefined) throw new RangeError('there is no peer to choose from');
  const ties = ranked.filter(({ score, height }) => score === first.score && height === first.height);
  if (ties.length === 1) return first;
  const drawn = bestDeliverers(ties);
  return drawn[Math.min(Math.floor(random() * drawn.length), drawn.length - 1)] ?? first;
}

/**
 * Of equal peers those with at least half the share of first deliveries that the best of them has: a peer that brings
 * blocks first is near, and the choice among several stays random. All of them when none has a share.
 */
export function bestDeliverers<Peer extends { readonly deliveryShare: number }>(
  equal: readonly Peer[],
): readonly Peer[] {
  const greatest = Math.max(0, ...equal.map(({ deliveryShare }) => deliveryShare));
  return equal.filter(({ deliveryShare }) => deliveryShare >= greatest / 2);
}
