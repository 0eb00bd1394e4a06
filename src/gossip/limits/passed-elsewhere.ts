// A node between two versions of the network receives the same announcement under two topic prefixes, signed
// separately. A message that passed under one prefix is forwarded once under the other without being processed again,
// so every free copy has one copy that was counted.
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { GossipMessage } from '../../ports/p2p-node.ts';
import { type ReportSize, unreported } from './report-size.ts';

/** Recent messages remembered; copies under two prefixes arrive within seconds of each other. */
const MAX_REMEMBERED = 50_000;
const KEEP_MS = 60_000;

/** With a single prefix nothing is remembered. */
export function passedElsewhere(prefixes: number, reportSize: ReportSize = unreported) {
  /** Author and bytes -> the topics under which they passed. */
  const passed = new LRUCache<string, readonly string[]>({ max: MAX_REMEMBERED, ttl: KEEP_MS });
  reportSize('other_prefix', () => passed.size, MAX_REMEMBERED);
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
