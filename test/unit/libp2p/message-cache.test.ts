// The cache of recent messages beside gossipsub's own, whose place it takes.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MessageCache } from '../../../node_modules/@libp2p/gossipsub/dist/src/message-cache.js';
import { CompactMessageCache } from '../../../src/adapters/libp2p/gossipsub/message-cache.ts';
import { PrometheusMetrics } from '../../../src/adapters/metrics/prometheus.ts';

const MAX_NUMBER = 20;

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');
const idOf = (number: number) => {
  const msgId = Buffer.from(`author ÿ${String(number).padStart(4, '0')}`, 'latin1');
  return { msgId, msgIdStr: latin1(msgId) };
};
const plain = (value: unknown) =>
  JSON.parse(JSON.stringify(value, (_, each) => (each instanceof Set ? [...each].sort() : each)) ?? 'null');
const inHex = (value: Uint8Array) => `${value.length} ${Buffer.from(value.subarray(0, 100)).toString('hex')}`;
/** Bytes as text, so that a Buffer and a Uint8Array are the same. */
const shown = (message: object | undefined) =>
  message &&
  Object.fromEntries(
    Object.entries(message)
      .sort()
      .map(([key, value]) => [key, value instanceof Uint8Array ? inHex(value) : value]),
  );

/** What the cache holds, and what it would tell neighbours of. */
function summary(cache: CompactMessageCache | MessageCache): string {
  const told = cache.getGossipIDs(new Set(['subtrees'])).get('subtrees') ?? [];
  const kept = Array.from({ length: MAX_NUMBER + 1 }, (_, i) => {
    const { msgId, msgIdStr } = idOf(i);
    return [cache.msgs.has(msgIdStr), shown(cache.get(msgId))];
  });
  return JSON.stringify([cache.size, told.map(latin1), kept]);
}

const bytes = fc.option(fc.uint8Array({ maxLength: 100 }), { nil: undefined });
const message = fc.record({
  topic: fc.constantFrom('blocks', 'subtrees'),
  from: bytes,
  seqno: bytes,
  data: fc.oneof(
    { weight: 9, arbitrary: bytes },
    { weight: 1, arbitrary: fc.constant(new Uint8Array(70_000).fill(7)) },
  ),
  signature: bytes,
  key: bytes,
});
const number = fc.nat({ max: MAX_NUMBER });
const peer = fc.constantFrom('a', 'b');
const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ put: message, number, isValidated: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ duplicate: number, peer }) },
  { weight: 2, arbitrary: fc.record({ iwant: number, peer }) },
  { weight: 2, arbitrary: fc.record({ validate: number }) },
  { weight: 1, arbitrary: fc.record({ remove: number }) },
  { weight: 2, arbitrary: fc.constant({ shift: true }) },
);

test('keeps, returns and forgets messages as the cache of gossipsub does', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 100, size: 'max' }), (commands) => {
      const own = new CompactMessageCache({ metrics: new PrometheusMetrics() });
      const library = new MessageCache(3, 5, latin1);
      // gossipsub puts no message in again that it removed, as its ID is remembered for two minutes.
      const removed = new Set<number>();
      for (const each of commands) {
        if ('put' in each) {
          if (removed.has(each.number)) continue;
          const defined = Object.fromEntries(Object.entries(each.put).filter(([, value]) => value !== undefined));
          const given = defined as typeof each.put & { topic: string };
          const copy = { ...given, ...(given.data && { data: given.data.slice() }) } as never;
          expect(own.put(idOf(each.number), copy, each.isValidated)).toBe(
            library.put(idOf(each.number), given as never, each.isValidated),
          );
          // The cache has copies.
          (copy as { data?: Uint8Array }).data?.fill(0);
        } else if ('duplicate' in each) {
          for (const cache of [own, library]) cache.observeDuplicate(idOf(each.duplicate).msgIdStr, each.peer);
        } else if ('iwant' in each) {
          const [a, b] = [own, library].map((cache) => cache.getWithIWantCount(idOf(each.iwant).msgIdStr, each.peer));
          expect([a?.count, shown(a?.msg)]).toEqual([b?.count, shown(b?.msg)]);
        } else if ('validate' in each || 'remove' in each) {
          const id = idOf('validate' in each ? each.validate : each.remove).msgIdStr;
          if ('remove' in each) removed.add(each.remove);
          const [a, b] = [own, library].map((cache) => ('remove' in each ? cache.remove(id) : cache.validate(id)));
          expect([shown(a?.message), plain(a?.originatingPeers)]).toEqual([
            shown(b?.message),
            plain(b?.originatingPeers),
          ]);
        } else for (const cache of [own, library]) cache.shift();
        expect(summary(own)).toBe(summary(library));
        // gossipsub's goes on counting what it removed.
        if (removed.size === 0) expect(own.notValidatedCount).toBe(library.notValidatedCount);
      }
    }),
    { numRuns: 40 },
  );
});

test('evicts the oldest messages beyond its bound, counts them, and is empty five heartbeats later', async () => {
  const metrics = new PrometheusMetrics();
  const cache = new CompactMessageCache({ metrics }, { maxBytes: 100_000 });
  const data = new Uint8Array(1000);
  for (let i = 0; i < 300; i += 1) {
    cache.put(idOf(i), { topic: 'blocks', data }, i % 2 === 0);
    if (i % 100 === 99) cache.shift();
  }
  const { body: text } = await metrics.scrape();
  const value = (name: string) => Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
  expect(value('teranode_p2p_gossip_kept_bytes')).toBeLessThanOrEqual(100_000);
  expect(value('teranode_p2p_gossip_kept_bytes_bound')).toBe(100_000);
  expect(value('teranode_p2p_gossip_kept_evicted_total')).toBe(300 - cache.size);
  expect(cache.size).toBe(84);
  expect(cache.get(idOf(299).msgId)).toEqual({ topic: 'blocks', data });
  expect(cache.get(idOf(300 - 85).msgId)).toBeUndefined();
  expect(cache.getGossipIDs(new Set(['blocks'])).get('blocks')).toHaveLength(42);
  for (let i = 0; i < 5; i += 1) cache.shift();
  expect([cache.size, cache.notValidatedCount]).toEqual([0, 0]);
  expect((await metrics.scrape()).body).toMatch(/^teranode_p2p_gossip_kept_bytes 0$/m);
});
