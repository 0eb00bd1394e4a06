// Between two versions of the network the same announcement comes under two topic prefixes, signed anew each time: what passed under one is
// relayed under the other and counts once; there once only, so that for each copy that costs nothing there is one that was counted.
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { GossipMessage } from '../../ports/p2p-node.ts';
import { unwatched, type WatchSize } from './watch-size.ts';

/** Messages that passed lately; two prefixes' copies come within seconds of one another. */
const MAX_REMEMBERED = 50_000;
const KEEP_MS = 60_000;

/** Nothing is remembered while there is one prefix. */
export function passedElsewhere(prefixes: number, watch: WatchSize = unwatched) {
  /** Author and bytes -> the topics under which they passed. */
  const passed = new LRUCache<string, readonly string[]>({ max: MAX_REMEMBERED, ttl: KEEP_MS });
  watch('other_prefix', () => passed.size, MAX_REMEMBERED);
  const key = ({ author, bytes }: GossipMessage) => `${author} ${hash('sha1', bytes, 'base64')}`;
  return {
    passedElsewhere: (envelope: GossipMessage): boolean => {
      if (prefixes < 2) return false;
      const own = key(envelope);
      const topics = passed.get(own);
      if (topics === undefined || topics.includes(envelope.topic)) return false;
      passed.set(own, [...topics, envelope.topic], { ttl: passed.getRemainingTTL(own) });
      return true;
    },
    passed: (envelope: GossipMessage): void => {
      if (prefixes < 2) return;
      passed.set(key(envelope), [envelope.topic]);
    },
  };
}
