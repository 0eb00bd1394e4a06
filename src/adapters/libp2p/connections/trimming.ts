// Selects the connections to close when there are too many, as Go's connection manager does (js-libp2p has no low-water
// mark and no grace period): above high water, down to low water, young ones spared. In Go a peer that opens hundreds
// of connections evicts all others, whose connections are old enough. Here connections of a crowded address go first,
// young ones too when the node is crowded, and newcomers evict nobody.
import type { PeerId } from '../../../domain/ids.ts';

export interface TrimCandidate {
  readonly peerId: PeerId;
  readonly connectedAtMs: number;
  /** Static and persistent bootstrap peers. */
  readonly isProtected: boolean;
  /** Number of our topics in whose mesh the peer is. */
  readonly meshTopics: number;
  /** Whether it subscribes to any of our topics. */
  readonly subscribes: boolean;
  readonly direction: 'inbound' | 'outbound';
  /** Who shares an address with it; undefined for relayed connections. */
  readonly group: string | undefined;
}

export interface WaterMarks {
  readonly lowWater: number;
  readonly highWater: number;
  readonly graceMs: number;
}

/**
 * Peers of one address that are treated as any others: a few nodes may share an address; hundreds are an attack, or can
 * wait.
 */
export const CROWD = 8;

/** Inbound connections never exceed this many times the high-water mark, whatever happens between two trims. */
const HARD_LIMIT_FACTOR = 2;
const HARD_LIMIT_EXTRA = 64;

export function hardLimit(highWater: number): number {
  return highWater * HARD_LIMIT_FACTOR + HARD_LIMIT_EXTRA;
}

/**
 * Half-way between the high-water mark and the hard limit: from here on connections of crowded addresses are neither
 * spared nor accepted.
 */
export function crowdedAt(highWater: number): number {
  return Math.ceil((highWater + hardLimit(highWater)) / 2);
}

/** Peers to disconnect, worst first; empty while there are no more than `highWater`. */
export function chooseToTrim(candidates: readonly TrimCandidate[], marks: WaterMarks, nowMs: number): PeerId[] {
  if (candidates.length <= marks.highWater) return [];
  const excess = candidates.length - marks.lowWater;
  const isSettled = ({ connectedAtMs }: TrimCandidate) => nowMs - connectedAtMs >= marks.graceMs;
  const ranks = ranksInGroup(candidates);
  const rank = (candidate: TrimCandidate) => ranks.get(candidate) ?? 0;
  const byUse = [...candidates].filter((c) => !c.isProtected).sort(leastUsefulFirst);
  const isCrowded = candidates.length >= crowdedAt(marks.highWater);
  const crowd = new Set(byUse.filter((c) => c.meshTopics === 0 && rank(c) >= CROWD));
  const crowding = [...crowd]
    .filter((c) => isCrowded || isSettled(c))
    .sort((a, b) => rank(b) - rank(a))
    .slice(0, excess);
  // A crowd, closed or spared, costs its own address only: others are closed when there are too many without it.
  const crowdedGroups = new Set([...crowd].map(({ group }) => group));
  const isTooMany = candidates.length - crowd.size > marks.highWater;
  const settledLeft = candidates.filter((c) => isSettled(c) && !crowd.has(c)).length;
  const others = byUse
    .filter((c) => isSettled(c) && !crowd.has(c) && (isTooMany || crowdedGroups.has(c.group)))
    .slice(0, Math.max(0, Math.min(excess - crowd.size, settledLeft - marks.lowWater)));
  return [...crowding, ...others].map((c) => c.peerId);
}

/** Peers without a mesh first, then those without our topics, then inbound, then the youngest. */
function leastUsefulFirst(a: TrimCandidate, b: TrimCandidate): number {
  return (
    a.meshTopics - b.meshTopics ||
    Number(a.subscribes) - Number(b.subscribes) ||
    Number(a.direction === 'outbound') - Number(b.direction === 'outbound') ||
    b.connectedAtMs - a.connectedAtMs
  );
}

/** For each candidate, how many of the same address are more useful. */
function ranksInGroup(candidates: readonly TrimCandidate[]): ReadonlyMap<TrimCandidate, number> {
  const ranks = new Map<TrimCandidate, number>();
  const counts = new Map<string, number>();
  for (const candidate of [...candidates].sort((a, b) => leastUsefulFirst(b, a))) {
    const { group } = candidate;
    if (group === undefined) continue;
    const count = counts.get(group) ?? 0;
    ranks.set(candidate, count);
    counts.set(group, count + 1);
  }
  return ranks;
}
