// Which peer to sync from by the rules of today.md: a snapshot in, a decision out. What our own validation confirmed of
// a peer comes before what the peer claims, and claims that nothing confirms are tried a few at a time.
import type { PeerId } from '../domain/ids.ts';
import type { PeerHistory } from '../domain/peer-history.ts';
import { BAD_REPUTATION, NEUTRAL_REPUTATION } from '../peers/histories/reputation.ts';
import type { Criterion } from '../ports/sync-status.ts';
import { bestDeliverers, heightOf, type SyncPeerRow } from './choose-sync-peer.ts';
import type { Fitness, FitPeer, SyncRound, Unfitness } from './evaluation.ts';
import type { WhyNobody } from './sync-policy.ts';
import type { Judged as JudgedRow } from './weighed.ts';

type Judged = JudgedRow<WorkCandidate>;

/** What is known about a peer. It need not be connected: blocks come from its DataHub. */
export interface WorkPeerRow extends SyncPeerRow {
  readonly storage: 'full' | 'pruned' | undefined;
  readonly history: PeerHistory | undefined;
}

export interface WorkCandidate extends WorkPeerRow {
  readonly failedAttempts: number;
  /** Unix ms of the last attempt to sync from it. */
  readonly triedMs: number | undefined;
}

/** What the rules need to know besides the peers. */
export interface WorkView extends Pick<SyncRound, 'ownHeight' | 'ownWork'> {
  /** Unix ms. */
  readonly nowMs: number;
  /** `p2p_full_delivery_freshness_window`: a validated block delivered within this time proves a peer. */
  readonly deliveryFreshMs: number;
}

export interface WorkSnapshot extends WorkView {
  readonly candidates: readonly WorkCandidate[];
  /** `p2p_force_sync_peer`: this peer or none, without checks. */
  readonly forcedPeer: PeerId | undefined;
  /** The sync peer before this choice, and whether it failed to deliver. */
  readonly previous: { readonly peerId: PeerId; readonly hasFailed: boolean } | undefined;
  /** Peers that may still be tried for an unconfirmed claim. */
  readonly probesLeft: number;
  /** Whether to wait for the check of the best peer's DataHub rather than to choose another peer. */
  readonly awaitsChecks: boolean;
  /** `p2p_allow_pruned_node_fallback`. */
  readonly allowsPruned: boolean;
}

export type WorkChoice =
  | { readonly outcome: 'chosen'; readonly peer: FitPeer }
  | { readonly outcome: 'nobody'; readonly why: Exclude<WhyNobody, 'awaiting_check'> }
  /** With the URLs to check. */
  | { readonly outcome: 'nobody'; readonly why: 'awaiting_check'; readonly urls: readonly string[] };

export const TRY_AGAIN_MS = 60_000;
/** Peers that differ by less are equally good (today.md, "Sync"). */
const BAND = { reputation: 5, score: 5, responseMs: 25, responseShare: 0.25 };
/** DataHubs that one choice asks to check; as many as Teranode checks at a time. */
const MAX_CHECKS = 8;
const UNKNOWN: ReadonlySet<Unfitness> = new Set(['not_connected', 'banned', 'no_datahub', 'no_best_hash']);

/**
 * Peers ahead by validated work; only without them peers whose claim is ahead. Full ones before others. Then the best
 * band of `compare`: the previous peer if it has not failed, else one of its best first deliverers at random. `random`
 * returns [0, 1).
 */
export function chooseByWork(snapshot: WorkSnapshot, random: () => number): WorkChoice {
  const { candidates, forcedPeer, awaitsChecks } = snapshot;
  if (forcedPeer !== undefined) return forcedChoice(forcedPeer, snapshot);
  const judged = candidates.map((row) => ({ row, fitness: workFitnessOf(row, snapshot) }));
  const pool = usable(judged, snapshot);
  const ready = preferred(awaitsChecks ? pool : pool.filter(isHealthy), snapshot);
  const winner = best(ready, snapshot, random);
  if (winner === undefined) return { outcome: 'nobody', why: whyNobody(judged.map(({ fitness }) => fitness)) };
  if (isHealthy(winner)) return { outcome: 'chosen', peer: fitPeer(winner, snapshot) };
  const unknown = [winner, ...ready.filter((row) => row !== winner && !isHealthy(row))];
  const urls = unknown.slice(0, MAX_CHECKS).map(({ dataHubUrl = '' }) => dataHubUrl);
  return { outcome: 'nobody', why: 'awaiting_check', urls };
}

/** Whether the peer qualifies, or the first rule that it breaks. A DataHub that was not checked yet breaks none. */
export function workFitnessOf(row: WorkCandidate, view: WorkView): Fitness {
  const no = (why: Unfitness): Fitness => ({ isFit: false, why });
  if (row.isBanned) return no('banned');
  if (row.dataHubUrl === undefined || row.dataHubUrl === '') return no('no_datahub');
  if (!isAhead(row, view))
    return no(row.claimed?.hash === undefined && !row.history?.validated ? 'no_best_hash' : 'not_ahead');
  if (reputationOf(row) < BAD_REPUTATION) return no('low_reputation');
  if (row.triedMs !== undefined && view.nowMs - row.triedMs < TRY_AGAIN_MS) return no('cooling_down');
  if (row.dataHubHealth === 'unhealthy') return no('datahub_unhealthy');
  return { isFit: true, peer: fitPeer(row, view) };
}

/** Ahead of us by validated work, or by a claim with a hash that our own chain does not disprove. */
export function isAhead(row: WorkPeerRow, view: WorkView): boolean {
  return isAheadByWork(row, view) || (row.claimed?.hash !== undefined && heightOf(row) > view.ownHeight);
}

export function isAheadByWork(row: WorkPeerRow, view: WorkView): boolean {
  return view.ownWork !== undefined && validatedWorkOf(row, view) > view.ownWork;
}

/** 0 for a peer that delivered an incomplete block lately, whatever was validated. */
export function validatedWorkOf({ history }: WorkPeerRow, view: WorkView): bigint {
  return isPenalized(history, view) ? 0n : (history?.validated?.chainWork ?? 0n);
}

export function reputationOf({ history }: WorkPeerRow): number {
  return history?.reputation ?? NEUTRAL_REPUTATION;
}

/** The peer as the session needs it: what to fetch is its best block, or the validated one when that is higher. */
export function fitPeer(row: WorkCandidate, view: WorkView): FitPeer {
  const { peerId, score, failedAttempts, deliveryShare, dataHubUrl = '', claimed } = row;
  const validated = row.history?.validated;
  const height = heightOf(row);
  const isProbe = !isAheadByWork(row, view) && !hasDelivered(row, view);
  const peer = { peerId, dataHubUrl, score, failedAttempts, deliveryShare, isProbe };
  if (claimed?.hash !== undefined && height >= (validated?.height ?? 0)) return { ...peer, height, hash: claimed.hash };
  if (validated === undefined) throw new RangeError('the peer has no known block');
  return { ...peer, height: validated.height, hash: validated.hash };
}

/**
 * Peers of the first kind that has any. One that failed just before comes after all others, of either kind: it could
 * otherwise be chosen for ever.
 */
export function usable(judged: readonly Judged[], snapshot: WorkSnapshot): readonly WorkCandidate[] {
  const { previous, probesLeft } = snapshot;
  const failed = previous?.hasFailed === true ? previous.peerId : undefined;
  const fit = judged.flatMap(({ row, fitness }) => (fitness.isFit ? [row] : []));
  const byWork = fit.filter((row) => isAheadByWork(row, snapshot));
  const byClaim = fit.filter((row) => !byWork.includes(row) && (probesLeft > 0 || hasDelivered(row, snapshot)));
  const others = (rows: readonly WorkCandidate[]) => rows.filter(({ peerId }) => peerId !== failed);
  if (others(byWork).length > 0) return others(byWork);
  if (judged.some((each) => each.row.peerId !== failed && isCoolingDown(each, snapshot))) return [];
  if (others(byClaim).length > 0) return others(byClaim);
  return byWork.length > 0 ? byWork : byClaim;
}

/** Ahead by validated work, and soon to be tried again. */
function isCoolingDown({ row, fitness }: Judged, view: WorkView): boolean {
  return !fitness.isFit && fitness.why === 'cooling_down' && isAheadByWork(row, view);
}

/**
 * Full nodes, or else the others where they are allowed. A peer that never delivered comes with the others when one of
 * the pool has delivered, or when an attempt with it failed: its claim to be full is as doubtful as its height.
 */
export function preferred(pool: readonly WorkCandidate[], snapshot: WorkSnapshot): readonly WorkCandidate[] {
  const full = pool.filter((row) => row.storage === 'full' && !isPenalized(row.history, snapshot));
  const hasProven = pool.some((row) => !isUnproven(row, snapshot) && !isPenalized(row.history, snapshot));
  const trusted = full.filter((row) => !isUnproven(row, snapshot) || (!hasProven && row.failedAttempts === 0));
  if (trusted.length > 0) return trusted;
  return snapshot.allowsPruned ? pool : full;
}

function best(rows: readonly WorkCandidate[], snapshot: WorkSnapshot, random: () => number): WorkCandidate | undefined {
  const { band } = bestBand(rows, snapshot);
  if (band.length === 0) return undefined;
  const incumbent = band.find(({ peerId }) => peerId === snapshot.previous?.peerId && !snapshot.previous.hasFailed);
  const ready = band.filter(isHealthy);
  const drawn = bestDeliverers(ready.length > 0 ? ready : band);
  return incumbent ?? drawn[Math.min(Math.floor(random() * drawn.length), drawn.length - 1)];
}

/** The first peer by `compare`, and all that are as good as it. */
export function bestBand(
  rows: readonly WorkCandidate[],
  snapshot: WorkSnapshot,
): { readonly first: WorkCandidate | undefined; readonly band: readonly WorkCandidate[] } {
  const ranked = [...rows].sort((a, b) => compare(a, b, snapshot) || (a.peerId < b.peerId ? -1 : 1));
  const [first] = ranked;
  return { first, band: first === undefined ? [] : ranked.filter((row) => isAsGood(row, first, snapshot)) };
}

/** Negative when `a` comes before `b`. */
function compare(a: WorkCandidate, b: WorkCandidate, view: WorkView): number {
  return (
    compareProof(a, b, view) ||
    reputationOf(b) - reputationOf(a) ||
    responseOf(a) - responseOf(b) ||
    a.score - b.score ||
    (b.history?.validated?.height ?? 0) - (a.history?.validated?.height ?? 0)
  );
}

/**
 * A validated block delivered lately, then validated work. Peers with neither: the fewest failed attempts, so that no
 * dishonest peer is tried twice before all others were, then connected peers, because other identities are free.
 */
function compareProof(a: WorkCandidate, b: WorkCandidate, view: WorkView): number {
  const [workA, workB] = [validatedWorkOf(a, view), validatedWorkOf(b, view)];
  const byProof =
    Number(hasDelivered(b, view)) - Number(hasDelivered(a, view)) || Number(workB > workA) - Number(workB < workA);
  if (byProof !== 0 || !isUnproven(a, view)) return byProof;
  return a.failedAttempts - b.failedAttempts || Number(b.isConnected) - Number(a.isConnected);
}

/** Whether the row is in the band of the first one. */
function isAsGood(row: WorkCandidate, first: WorkCandidate, view: WorkView): boolean {
  return whyOutOfBand(row, first, view) === undefined;
}

/** By what the row is not in the band of the first one; undefined when it is. */
export function whyOutOfBand(row: WorkCandidate, first: WorkCandidate, view: WorkView): Criterion | undefined {
  if (compareProof(row, first, view) !== 0) {
    if (hasDelivered(row, view) !== hasDelivered(first, view)) return 'delivered_lately';
    if (validatedWorkOf(row, view) !== validatedWorkOf(first, view)) return 'validated_work';
    return row.failedAttempts === first.failedAttempts ? 'connection' : 'failed_attempts';
  }
  if (Math.abs(reputationOf(row) - reputationOf(first)) > BAND.reputation) return 'reputation';
  if (Math.abs(row.score - first.score) > BAND.score) return 'ban_score';
  return isAsFast(responseOf(row), responseOf(first)) ? undefined : 'response_time';
}

/** Unknown response times equal each other only. */
function isAsFast(ms: number, firstMs: number): boolean {
  if (!Number.isFinite(ms) || !Number.isFinite(firstMs)) return ms === firstMs;
  return Math.abs(ms - firstMs) <= Math.max(BAND.responseMs, BAND.responseShare * firstMs);
}

/** Infinite while unknown, so that known ones come first. */
function responseOf({ history }: WorkPeerRow): number {
  const ms = history?.avgResponseMs ?? 0;
  return ms > 0 ? ms : Number.POSITIVE_INFINITY;
}

function hasDelivered({ history }: WorkPeerRow, { nowMs, deliveryFreshMs }: WorkView): boolean {
  return (
    history?.lastBlockMs !== undefined && history.blocksReceived > 0 && nowMs - history.lastBlockMs <= deliveryFreshMs
  );
}

function isUnproven(row: WorkPeerRow, view: WorkView): boolean {
  return !hasDelivered(row, view) && validatedWorkOf(row, view) === 0n;
}

function isPenalized(history: PeerHistory | undefined, { nowMs }: WorkView): boolean {
  return nowMs < (history?.fullStoragePenaltyUntilMs ?? 0);
}

export function isHealthy({ dataHubHealth }: WorkPeerRow): boolean {
  return dataHubHealth === 'healthy';
}

function forcedChoice(forcedPeer: PeerId, snapshot: WorkSnapshot): WorkChoice {
  const row = snapshot.candidates.find(({ peerId }) => peerId === forcedPeer);
  if (row === undefined) return { outcome: 'nobody', why: 'forced_absent' };
  if (!row.dataHubUrl) return { outcome: 'nobody', why: 'forced_unusable' };
  if (!isAhead(row, snapshot)) return { outcome: 'nobody', why: 'level' };
  return { outcome: 'chosen', peer: { ...fitPeer(row, snapshot), isProbe: false } };
}

function whyNobody(judged: readonly Fitness[]): 'no_peers' | 'level' | 'none_usable' {
  const known = judged.filter((each) => each.isFit || !UNKNOWN.has(each.why));
  if (known.length === 0) return 'no_peers';
  return known.every((each) => !each.isFit && each.why === 'not_ahead') ? 'level' : 'none_usable';
}
