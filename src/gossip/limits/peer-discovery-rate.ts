// How often an author's peer-discovery bytes are relayed on a topic: real listeners send them every 5 s, so once in 4 s is enough.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../../domain/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import { unwatched, type WatchSize } from './watch-size.ts';

const INTERVAL_MS = 4000;
/** Authors times topics remembered; the one not heard of for longest leaves first and may be relayed once early. */
const MAX_ENTRIES = 20_000;

/** True at most once for an author, topic and 4 s. */
export function peerDiscoveryRate(
  clock: Clock,
  watch: WatchSize = unwatched,
): (topic: string, author: PeerId) => boolean {
  const lastAtMs = new LRUCache<string, number>({ max: MAX_ENTRIES });
  watch('peer_discovery', () => lastAtMs.size, MAX_ENTRIES);
  return (topic, author) => {
    const key = `${author} ${topic}`;
    const now = clock.monotonic();
    const last = lastAtMs.get(key);
    if (last !== undefined && now - last < INTERVAL_MS) return false;
    lastAtMs.set(key, now);
    return true;
  };
}
