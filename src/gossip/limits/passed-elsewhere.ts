// A node that belongs to two networks receives the same announcement in both, signed separately. A message that passed
// in one network is forwarded once in the other without being processed again, so every free copy has one copy that was
// counted. Copies on two wires differ in their bytes: they are recognised by hash and author once they are decoded.
import { hash as digest } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../ports/clock.ts';
import type { P2PNetwork } from '../../ports/network.ts';
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { GuardView } from '../guards.ts';
import { type ReportSize, unreported } from './report-size.ts';

/** Recent messages remembered; the copies of two networks arrive within seconds of each other. */
const MAX_REMEMBERED = 50_000;
const KEEP_MS = 60_000;

type Network = Pick<P2PNetwork, 'name' | 'wire'>;
type Views = Pick<GuardView, 'passedElsewhere' | 'passed' | 'isFirstOnWire'>;

/** The part of each network's view. With a single network, or a single wire, nothing is remembered. */
export function passedElsewhere(
  clock: Clock,
  networks: readonly Network[],
  reportSize: ReportSize = unreported,
): (network: Network) => Views {
  /** Author and bytes -> the networks and topics in which they passed. */
  // It takes 2 MB for its bound at once.
  const max = networks.length > 1 ? MAX_REMEMBERED : 1;
  const passed = new LRUCache<string, readonly string[]>({
    max,
    ttl: KEEP_MS,
    ttlResolution: 0,
    perf: { now: () => clock.monotonic() },
  });
  reportSize('other_prefix', () => passed.size, MAX_REMEMBERED);
  const hasWires = new Set(networks.map(({ wire }) => wire.name)).size > 1;
  /** Wire, hash and author of announcements. */
  const announced = new LRUCache<string, true>({ max: hasWires ? MAX_REMEMBERED : 1 });
  reportSize('other_wire', () => announced.size, MAX_REMEMBERED);
  const key = ({ author, bytes }: GossipMessage) => `${author} ${digest('sha1', bytes, 'base64')}`;
  return ({ name, wire }) => ({
    passedElsewhere: (envelope) => {
      if (networks.length < 2) return false;
      const own = key(envelope);
      const here = `${name} ${envelope.topic}`;
      const places = passed.get(own);
      if (places === undefined || places.includes(here)) return false;
      passed.set(own, [...places, here], { ttl: passed.getRemainingTTL(own) });
      return true;
    },
    passed: (envelope) => {
      if (networks.length < 2) return;
      passed.set(key(envelope), [`${name} ${envelope.topic}`]);
    },
    isFirstOnWire: (hash, author) => {
      if (!hasWires) return false;
      const here = `${wire.name} ${hash} ${author}`;
      if (announced.has(here)) return false;
      announced.set(here, true);
      return true;
    },
  });
}
