// A node that belongs to two networks receives the same announcement in both, signed separately. A message that passed
// in one network is forwarded once in the other without being processed again, so every free copy has one copy that was
// counted.
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { GossipMessage } from '../../ports/p2p-node.ts';
import { type ReportSize, unreported } from './report-size.ts';

/** Recent messages remembered; the copies of two networks arrive within seconds of each other. */
const MAX_REMEMBERED = 50_000;
const KEEP_MS = 60_000;

/** For the network with this name. */
export type PassedElsewhere = (network: string) => {
  passedElsewhere(envelope: GossipMessage): boolean;
  passed(envelope: GossipMessage): void;
};

/** With a single network nothing is remembered. */
export function passedElsewhere(networks: number, reportSize: ReportSize = unreported): PassedElsewhere {
  /** Author and bytes -> the networks and topics in which they passed. */
  const passed = new LRUCache<string, readonly string[]>({ max: MAX_REMEMBERED, ttl: KEEP_MS });
  reportSize('other_prefix', () => passed.size, MAX_REMEMBERED);
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
