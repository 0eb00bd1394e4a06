// Peers seen at addresses within a day.
import { describe, expect, test } from 'vitest';
import { SEEN_KEEP_MS, SeenAddresses } from '../../../src/bans/enforcement/seen-addresses.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { SeenAddress } from '../../../src/ports/ban-store.ts';
import { banParts, peer } from '../../fakes/ban-parts.ts';
import { startedBans } from '../../fakes/started-bans.ts';
import { eventually } from '../../support/eventually.ts';

const [one, two, three] = [peer(1), peer(2), peer(3)];
const AT = '192.0.2.1';

async function opened(parts = banParts()) {
  const seen = new SeenAddresses(parts);
  await parts.link.open(new AbortController().signal);
  await seen.init();
  return { ...parts, seen };
}

test('another peer prevents the ban of an address for a day, the banned peer itself does not', async () => {
  const { seen, clock } = await opened();
  expect(seen.othersAt(AT, one)).toBe('none');
  seen.saw(one, AT);
  expect(seen.othersAt(AT, one)).toBe('none');
  expect(seen.othersAt(AT, two)).toBe('seen');
  clock.advance(SEEN_KEEP_MS);
  expect(seen.othersAt(AT, two)).toBe('seen');
  clock.advance(1);
  expect(seen.othersAt(AT, two)).toBe('none');
});

test.each([
  ['::ffff:192.0.2.1', AT],
  ['2001:DB8:0:0::1', '2001:db8::1'],
])('remembers a connection from %s as one from %s', async (spelled, canonical) => {
  const { bans } = await startedBans();
  bans.connectionOpened(one, spelled);
  expect(bans.explain(one).addressesSeen).toEqual([canonical]);
});

test.each(['', 'localhost', 'fe80::1%eth0', '192.0.2.1:80'])(
  'does not remember %j, which is not an address',
  async (text) => {
    const { bans, metrics } = await startedBans();
    bans.connectionOpened(one, text);
    expect(metrics.gaugeValue('teranode_p2p_seen_addresses')).toBe(0);
  },
);

test('shows the addresses of a peer within a day', async () => {
  const { seen, clock } = await opened();
  seen.saw(one, AT);
  clock.advance(SEEN_KEEP_MS);
  seen.saw(one, '192.0.2.2');
  seen.saw(two, '192.0.2.3');
  expect(seen.addressesOf(one)).toEqual([AT, '192.0.2.2']);
  clock.advance(1);
  expect(seen.addressesOf(one)).toEqual(['192.0.2.2']);
});

test('survives a restart, and writes the same pair at most once in ten minutes', async () => {
  const { seen, clock, store } = await opened();
  for (let minute = 0; minute < 25; minute += 1) {
    seen.saw(one, AT);
    clock.advance(60_000);
  }
  await eventually(() => expect(store.argsOf('putAddress')).toHaveLength(3));
  const again = await opened(banParts(store, clock));
  expect(again.seen.othersAt(AT, two)).toBe('seen');
  clock.advance(SEEN_KEEP_MS);
  expect(again.seen.othersAt(AT, two)).toBe('none');
});

test('shows the fifty latest of very many addresses of a peer', async () => {
  const { seen } = await opened();
  for (let i = 0; i < 200; i += 1) seen.saw(one, `192.0.2.${i}`);
  seen.saw(one, '192.0.2.0');
  expect(seen.addressesOf(one)).toHaveLength(50);
  expect(seen.addressesOf(one).slice(-2)).toEqual(['192.0.2.199', '192.0.2.0']);
});

describe('limits', () => {
  test('purge forgets pairs older than a day and counts correctly', async () => {
    const { seen, clock, metrics } = await opened();
    const pairs = () => metrics.gaugeValue('teranode_p2p_seen_addresses');
    for (const id of [one, two]) seen.saw(id, AT);
    clock.advance(SEEN_KEEP_MS);
    seen.saw(two, AT);
    seen.saw(three, '192.0.2.2');
    expect(pairs()).toBe(3);
    clock.advance(1);
    seen.purge();
    expect(pairs()).toBe(2);
    expect(seen.othersAt(AT, three)).toBe('seen');
    clock.advance(SEEN_KEEP_MS);
    seen.purge();
    expect(pairs()).toBe(0);
  });

  test('beyond the limit the oldest address is forgotten, and for a day the answer is unknown', async () => {
    const { seen, clock, metrics } = await opened();
    const bound = metrics.gaugeValue('teranode_p2p_seen_addresses_bound');
    seen.saw(one, '198.51.100.1');
    seen.saw(one, '198.51.100.2');
    for (let i = 0; i < bound - 2; i += 1) seen.saw(three, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    expect(seen.othersAt('203.0.113.1', one)).toBe('none');
    seen.saw(one, '198.51.100.1');
    seen.saw(one, AT);
    expect(metrics.gaugeValue('teranode_p2p_seen_addresses')).toBe(bound);
    expect(metrics.count('teranode_p2p_seen_addresses_evicted_total')).toBe(1);
    expect(seen.othersAt('198.51.100.1', two)).toBe('seen');
    expect(seen.othersAt('198.51.100.2', two)).toBe('unknown');
    expect(seen.othersAt('203.0.113.1', one)).toBe('unknown');
    clock.advance(SEEN_KEEP_MS + 1);
    expect(seen.othersAt('203.0.113.1', one)).toBe('none');
  });

  test('one address with very many peers stays within the limit, and its latest peers are known', async () => {
    const { seen, metrics } = await opened();
    const nth = (n: number) => `peer ${n}` as PeerId;
    const bound = metrics.gaugeValue('teranode_p2p_seen_addresses_bound');
    for (let i = 0; i < bound + 10; i += 1) seen.saw(nth(i), AT);
    expect(metrics.gaugeValue('teranode_p2p_seen_addresses')).toBe(bound);
    expect(seen.othersAt(AT, nth(bound + 20))).toBe('seen');
    expect(seen.addressesOf(nth(bound + 9))).toEqual([AT]);
    expect(seen.addressesOf(nth(0))).toEqual([]);
  });

  test('of a store with more pairs the latest are loaded, and the answer about others is unknown', async () => {
    const parts = banParts();
    const bound = 50_000;
    const rows: SeenAddress[] = Array.from({ length: bound + 5 }, (_each, i) => ({
      address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`,
      peerId: one,
      lastSeenMs: parts.clock.now() - i,
    }));
    // As both stores give them: the newest first.
    parts.store.loadAddresses = async () => rows;
    const { seen } = await opened(parts);
    expect(seen.othersAt('10.0.0.0', two)).toBe('seen');
    expect(seen.othersAt(`10.0.195.${(bound + 4) & 255}`, two)).toBe('unknown');
  });
});
