// Which connections are closed when there are too many. js-libp2p has no low-water mark and no grace period, so the choice is made here:
// a pure function of a snapshot, as Go's connection manager decides (above high water, down to low water, young ones spared).
import type { PeerId } from '../../wire/ids.ts';

export interface TrimCandidate {
  readonly peerId: PeerId;
  readonly connectedAtMs: number;
  /** Static and persistent bootstrap peers. */
  readonly isProtected: boolean;
  /** In the mesh of how many of our topics. */
  readonly meshTopics: number;
  readonly direction: 'inbound' | 'outbound';
}

export interface WaterMarks {
  readonly lowWater: number;
  readonly highWater: number;
  readonly graceMs: number;
}

/** Peers to disconnect, worst first; empty while there are no more than `highWater`. */
export function chooseToTrim(candidates: readonly TrimCandidate[], marks: WaterMarks, nowMs: number): PeerId[] {
  if (candidates.length <= marks.highWater) return [];
  const closable = candidates.filter((c) => !c.isProtected && nowMs - c.connectedAtMs >= marks.graceMs);
  // Least useful first: no mesh, then inbound, then the youngest.
  closable.sort(
    (a, b) =>
      a.meshTopics - b.meshTopics ||
      Number(a.direction === 'outbound') - Number(b.direction === 'outbound') ||
      b.connectedAtMs - a.connectedAtMs,
  );
  return closable.slice(0, candidates.length - marks.lowWater).map((c) => c.peerId);
}
