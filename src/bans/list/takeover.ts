// Whether an address that another server banned automatically is banned here too: not when a peer that is not banned
// was seen there.
import type { BanEntry } from '../../domain/ban.ts';
import type { PeerId } from '../../domain/ids.ts';

export interface TakeoverView {
  /** Peers seen at a canonical address within 24 hours. */
  readonly peersAt: (address: string) => readonly PeerId[];
  readonly isBanned: (peerId: PeerId) => boolean;
}

/**
 * The reason to leave a stored ban out here; undefined when it applies here too, as all others than automatic address
 * bans do.
 */
export function whyNotTakenOver(entry: BanEntry, { peersAt, isBanned }: TakeoverView): string | undefined {
  const { key, kind, source, causedBy } = entry;
  if (source !== 'automatic' || kind !== 'address' || causedBy === undefined) return undefined;
  const other = peersAt(key).find((id) => id !== causedBy && !isBanned(id));
  return other === undefined ? undefined : `${other}, which is not banned, was seen there within 24 h`;
}
