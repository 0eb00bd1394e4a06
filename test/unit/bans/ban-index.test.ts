// Random bans and lookups, compared with a linear search that uses ipaddr.js.
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { expect, test } from 'vitest';
import { BanIndex, banWith, entryOf } from '../../../src/bans/list/ban-index.ts';
import { parseBanKey } from '../../../src/bans/list/ban-key.ts';
import type { BanEntry, BanKey } from '../../../src/domain/ban.ts';
import { parseIp } from '../../../src/lib/ip.ts';
import { peer } from '../../fakes/ban-parts.ts';

const NOW_MS = 1000;

/** Few addresses and prefixes, so that bans cover looked-up addresses, and one another. */
const address = fc.oneof(
  fc.tuple(fc.constantFrom(0, 10, 192), fc.constantFrom(0, 1, 255)).map(([a, b]) => `${a}.${b}.0.1`),
  fc
    .tuple(fc.constantFrom('2001:db8', 'fe80:0', 'd800:dc00'), fc.constantFrom('0', '8000', 'dfff'))
    .map(([a, b]) => `${a}:${b}::1`),
  fc.constantFrom('::ffff:10.1.0.1', '::1', '::ffff:0:1'),
  fc.ipV4(),
);
const prefix = fc.oneof(fc.constantFrom(0, 1, 8, 15, 16, 17, 24, 31, 32, 33, 47, 48, 64, 127, 128), fc.nat(128));
const subnet = fc.tuple(address, prefix).map(([text, bits]) => `${text}/${bits}`);
const person = fc.nat(5).map(peer);
const step = fc.record({
  act: fc.constantFrom('set', 'set', 'set', 'delete', 'clear'),
  text: fc.oneof(address, subnet, subnet, person),
  untilMs: fc.constantFrom(NOW_MS - 1, NOW_MS, NOW_MS + 1, NOW_MS + 500),
});

function entryFor(key: BanKey, untilMs: number): BanEntry {
  return {
    key: key.key,
    kind: key.kind,
    untilMs,
    createdAtMs: 0,
    reason: '',
    evidence: '',
    source: 'operator',
    causedBy: undefined,
  };
}

/** Keys of the bans that cover an address, the longest prefix first. */
function naive(bans: ReadonlyMap<string, BanEntry>, text: string, maxPrefix: number): string[] {
  const ip = ipaddr.process(text.includes(':') ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text);
  return [...bans.values()]
    .filter(({ kind, untilMs }) => kind !== 'peer' && untilMs > NOW_MS)
    .map(({ key }) => ({ key, cidr: key.includes('/') ? key : `${key}/${key.includes(':') ? 128 : 32}` }))
    .map(({ key, cidr }) => ({ key, range: ipaddr.parseCIDR(cidr) }))
    .filter(
      ({ range: [base, bits] }) => base.kind() === ip.kind() && bits <= maxPrefix && ip.match(base as never, bits),
    )
    .sort((a, b) => b.range[1] - a.range[1])
    .map(({ key }) => key);
}

test('finds the ban with the longest prefix that covers an address and has not ended, as a linear search does', () => {
  const lookups = fc.array(fc.tuple(address, fc.oneof(fc.constant(128), prefix)), { minLength: 1, maxLength: 10 });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), lookups, (steps, asked) => {
      const index = new BanIndex();
      const model = new Map<string, BanEntry>();
      for (const { act, text, untilMs } of steps) {
        const key = parseBanKey(text);
        if (key === undefined) continue;
        if (act === 'clear') {
          index.clear();
          model.clear();
        } else if (act === 'delete') {
          index.delete(key);
          model.delete(key.key);
        } else {
          index.set(banWith(key, entryFor(key, untilMs)));
          model.set(key.key, entryFor(key, untilMs));
        }
      }
      expect(index.size).toBe(model.size);
      expect(Array.from(index.bans(), entryOf)).toEqual([...model.values()]);
      for (const [text, maxPrefix] of asked) {
        const ip = parseIp(text);
        if (ip === undefined) throw new Error(`${text} is an address`);
        expect(index.address(ip, NOW_MS, maxPrefix)?.key, `${text} up to ${maxPrefix}`).toBe(
          naive(model, text, maxPrefix)[0],
        );
      }
      for (let n = 0; n <= 5; n += 1) {
        const ban = model.get(peer(n));
        expect(index.peer(peer(n), NOW_MS)).toEqual((ban?.untilMs ?? 0) > NOW_MS ? ban : undefined);
      }
    }),
    { numRuns: 1000 },
  );
});

test('a lookup takes no longer with 110,000 bans than with ten', () => {
  const index = new BanIndex();
  for (let i = 0; i < 110_000; i += 1) {
    const key = parseBanKey(`10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`) as BanKey;
    index.set(banWith(key, entryFor(key, NOW_MS + 1)));
  }
  for (const bits of [8, 12, 16, 24]) {
    const key = parseBanKey(`192.168.0.0/${bits}`) as BanKey;
    index.set(banWith(key, entryFor(key, NOW_MS + 1)));
  }
  const ips = ['10.1.173.175', '10.255.0.1', '192.168.0.77', '8.8.8.8'].map((text) => parseIp(text));
  const startedMs = performance.now();
  let found = 0;
  for (let i = 0; i < 200_000; i += 1) {
    const ip = ips[i % ips.length];
    if (ip !== undefined && index.address(ip, NOW_MS) !== undefined) found += 1;
  }
  expect(found).toBe(100_000);
  // A search from end to end would take minutes; this leaves room for a slow machine.
  expect(performance.now() - startedMs).toBeLessThan(2000);
});
