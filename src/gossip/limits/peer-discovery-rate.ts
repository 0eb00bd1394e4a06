// How often peer-discovery bytes of an author are forwarded on a topic. Real listeners send them every 5 s, so once per
// 4 s is enough.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../../domain/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import { type ReportSize, unreported } from './report-size.ts';

const INTERVAL_MS = 4000;
/** Pairs of author and topic remembered; the one unused for longest is evicted and may be forwarded once early. */
const MAX_ENTRIES = 20_000;

/** True at most once per author, topic and 4 s. */
export function peerDiscoveryRate(
  clock: Clock,
  reportSize: ReportSize = unreported,
): (topic: string, author: PeerId) => boolean {
  const lastAtMs = new LRUCache<string, number>({ max: MAX_ENTRIES });
  reportSize('peer_discovery', () => lastAtMs.size, MAX_ENTRIES);
  return (topic, author) => {
    const key = `${author} ${topic}`;
    const now = clock.monotonic();
    const last = lastAtMs.get(key);
    if (last !== undefined && now - last < INTERVAL_MS) return false;
    lastAtMs.set(key, now);
    return true;
  };
}
