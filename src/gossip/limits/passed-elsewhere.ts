// A node that belongs to two networks hears the same announcement in both, signed anew each time: a message that passed in one network is
// forwarded in the other and counts once; there once only, so that each copy that costs nothing stands for one that was counted.
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { GossipMessage } from '../../ports/p2p-node.ts';
import { unwatched, type WatchSize } from './watch-size.ts';

/** Messages that passed lately; the copies of two networks come within seconds of one another. */
const MAX_REMEMBERED = 50_000;
const KEEP_MS = 60_000;

/** What each network asks, by its name. */
export type PassedElsewhere = (network: string) => {
  passedElsewhere(envelope: GossipMessage): boolean;
  passed(envelope: GossipMessage): void;
};

/** Nothing is remembered while there is one network. */
export function passedElsewhere(networks: number, watch: WatchSize = unwatched): PassedElsewhere {
  /** Author and bytes -> the networks and topics in which they passed. */
  const passed = new LRUCache<string, readonly string[]>({ max: MAX_REMEMBERED, ttl: KEEP_MS });
  watch('other_prefix', () => passed.size, MAX_REMEMBERED);
  const key = ({ author, bytes }: GossipMessage) => `${author} ${hash('sha1', bytes, 'base64')}`;
  return (network) => ({
    passedElsewhere: (envelope) => {
      if (networks < 2) return false;
      const own = key(envelope);
      const here = `${network} ${envelope.topic}`;
      const places = passed.get(own);
      if (places === undefined || places.includes(here)) return false;
      passed.set(own, [...places, here], { ttl: passed.getRemainingTTL(own) });
      return true;
    },
    passed: (envelope) => {
      if (networks < 2) return;
      passed.set(key(envelope), [`${network} ${envelope.topic}`]);
    },
  });
}
