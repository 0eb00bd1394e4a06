// The ban list with a real store in memory: what is banned, until when, and what is evicted.
import { describe, expect, test } from 'vitest';
import { type BanEvent, BanList } from '../../../src/bans/list/ban-list.ts';
import type { BanFacts } from '../../../src/bans/list/new-ban.ts';
import { banParts, DAY_MS, openList, peer } from '../../fakes/ban-parts.ts';

const FACTS: BanFacts = { reason: 'r', evidence: 'e', source: 'automatic', causedBy: undefined };

describe.each([
  [
    '192.0.2.1',
    ['192.0.2.1', '192.0.2.1:9905', '::ffff:192.0.2.1', '[::ffff:c000:201]:1', '192.0.2.1/32', ' 192.0.2.1 '],
  ],
  ['192.0.2.1:9905', ['192.0.2.1', '192.0.2.1:1']],
  ['192.0.2.200/24', ['192.0.2.0', '192.0.2.255:80', '192.0.2.0/24', '192.0.2.64/26', '::ffff:192.0.2.7']],
  ['::ffff:192.0.2.0/120', ['192.0.2.0', '192.0.2.255', '192.0.2.0/24']],
  ['2001:db8::1', ['2001:db8::1', '2001:0DB8:0:0::0001', '[2001:db8::1]:9905', '2001:db8::1/128']],
  [
    '2001:db8:1:2:3:4:5:6/64',
    ['2001:db8:1:2::', '2001:db8:1:2:ffff:ffff:ffff:ffff', '[2001:db8:1:2::9]:1', '2001:db8:1:2::/65'],
  ],
  [peer(1), [peer(1), ` ${peer(1)}`]],
])('a ban of %s', (banned, covered) => {
  test.each(covered)('covers %s', async (text) => {
    const { list } = await openList();
    await list.add(banned);
    expect(list.isBanned(text)).toBe(true);
    expect(list.banOf(text)?.key).toBe(list.listBanned()[0]);
  });

  test.each([
    '192.0.3.1',
    '192.0.2.0/23',
    '0.0.0.0/0',
    '2001:db8:1:3::',
    '2001:db8:1:2::/63',
    '::/0',
    '::192.0.2.1',
    peer(2),
    '',
    'example.com',
    '192.0.2.1/33',
    'x'.repeat(10_240),
  ])('does not cover %s', async (text) => {
    const { list } = await openList();
    await list.add(banned);
    expect(list.isBanned(text)).toBe(false);
  });
});

describe('time', () => {
  test('a ban ends on time, by itself, and a ban with a shorter prefix applies then', async () => {
    const { list, clock } = await openList();
    await list.add('192.0.2.1', clock.now() + 1000);
    await list.add('192.0.2.0/24', clock.now() + 2000);
    clock.advance(999);
    expect(list.banOf('192.0.2.1')?.key).toBe('192.0.2.1');
    clock.advance(1);
    expect(list.banOf('192.0.2.1')?.key).toBe('192.0.2.0/24');
    expect(list.listBanned()).toEqual(['192.0.2.0/24']);
    clock.advance(1000);
    expect(list.isBanned('192.0.2.1')).toBe(false);
  });

  test('a ban without an end lasts the default duration', async () => {
    const { list, clock } = await openList({ defaultDurationMs: 5000 });
    const entry = await list.add(peer(1));
    expect(entry).toMatchObject({ untilMs: clock.now() + 5000, createdAtMs: clock.now(), source: 'operator' });
  });

  test('a second ban of a key replaces end, reason and evidence', async () => {
    const { list, clock, store } = await openList();
    await list.add('192.0.2.1', clock.now() + 9000);
    await list.add('192.0.2.1:80', clock.now() + 1000, { ...FACTS, reason: 'second' });
    expect(list.entries()).toHaveLength(1);
    expect(list.banOf('192.0.2.1')).toMatchObject({ untilMs: clock.now() + 1000, reason: 'second' });
    expect(await store.inner.loadBans()).toEqual(list.entries());
  });

  test('purge removes the bans that have ended, reports each, and keeps the others', async () => {
    const { list, clock, metrics } = await openList();
    const events: BanEvent[] = [];
    await list.add('192.0.2.1', clock.now() + 1000);
    await list.add('192.0.2.2', clock.now() + 1001);
    list.subscribe((event) => events.push(event));
    clock.advance(1000);
    list.purge();
    expect(events).toMatchObject([{ type: 'removed', why: 'expired', entry: { key: '192.0.2.1' } }]);
    expect(metrics.gaugeValue('teranode_p2p_bans')).toBe(1);
  });
});

describe('malformed input changes nothing', () => {
  const { clock } = banParts();
  test.each([
    ['no text', '', undefined],
    ['a name', 'example.com', undefined],
    ['/33', '192.0.2.0/33', undefined],
    ['a port too high', '192.0.2.1:70000', undefined],
    ['10 KB', '1'.repeat(10_240), undefined],
    ['now', '192.0.2.1', clock.now()],
    ['the past', '192.0.2.1', clock.now() - 1],
    ['zero', '192.0.2.1', 0],
    ['a negative time', peer(1), -1],
    ['NaN', peer(1), Number.NaN],
    ['minus infinity', peer(1), Number.NEGATIVE_INFINITY],
  ])('%s', async (_what, text, untilMs) => {
    const { list, store } = await openList();
    const events: BanEvent[] = [];
    list.subscribe((event) => events.push(event));
    await expect(async () => await list.add(text, untilMs)).rejects.toMatchObject({ code: 'INPUT_INVALID' });
    if (untilMs === undefined) await expect(list.remove(text)).rejects.toMatchObject({ code: 'INPUT_INVALID' });
    expect(list.entries()).toEqual([]);
    expect(events).toEqual([]);
    expect(store.argsOf('putBan')).toEqual([]);
    expect(store.argsOf('removeBan')).toEqual([]);
  });

  test('limits the end to the last date, and the length of texts', async () => {
    const { list } = await openList();
    const facts = { ...FACTS, reason: 'x'.repeat(9000), evidence: 'y'.repeat(9000) };
    const entry = await list.add(peer(1), Number.POSITIVE_INFINITY, facts);
    expect(new Date(entry.untilMs).getUTCFullYear()).toBe(9999);
    expect(entry.reason.length + entry.evidence.length).toBeLessThanOrEqual(1000);
  });
});

describe('removing', () => {
  test('a spelling with host bits, IPv4-mapped or with a port lifts the ban of its key, here and in the store', async () => {
    const { list, store } = await openList();
    for (const [banned, spelled] of [
      ['10.1.2.0/24', '10.1.2.77/24'],
      ['10.1.2.3', '[::ffff:10.1.2.3]:80'],
      ['2001:db8::/32', '2001:DB8:1::/32'],
    ] as const) {
      await list.add(banned);
      expect((await list.remove(spelled)).map(({ key }) => key)).toEqual([banned]);
      expect(list.isBanned(banned)).toBe(false);
      expect(await store.inner.loadBans()).toEqual([]);
    }
  });

  test('lifts exactly the key: a surrounding subnet and an address inside stay banned', async () => {
    const { list } = await openList();
    await list.add('10.0.0.0/8');
    await list.add('10.1.2.3');
    expect(await list.remove('10.1.2.4')).toEqual([]);
    expect((await list.remove('10.0.0.0/8')).map(({ key }) => key)).toEqual(['10.0.0.0/8']);
    expect(list.listBanned()).toEqual(['10.1.2.3']);
  });

  test('the ban of a peer lifts the bans that it caused, and no others', async () => {
    const { list } = await openList();
    await list.add(peer(1));
    await list.add('192.0.2.1', undefined, { ...FACTS, causedBy: peer(1) });
    await list.add('192.0.2.2', undefined, { ...FACTS, causedBy: peer(2) });
    const lifted = await list.remove(peer(1));
    expect(lifted.map(({ key }) => key).sort()).toEqual(['192.0.2.1', peer(1)].sort());
    expect(list.listBanned()).toEqual(['192.0.2.2']);
  });

  test('does not report a ban that had ended already as lifted', async () => {
    const { list, clock } = await openList();
    await list.add('192.0.2.1', clock.now() + 1000);
    clock.advance(1000);
    expect(await list.remove('192.0.2.1')).toEqual([]);
  });

  test('removes a ban that only the store has', async () => {
    const { list, store } = await openList();
    const entry = await list.add(peer(1));
    await list.remove(peer(1));
    await store.inner.putBan(entry);
    await list.remove(peer(1));
    expect(await store.inner.loadBans()).toEqual([]);
  });
});

describe('subscribers', () => {
  test('stay after clear, receive each change in order, and can unsubscribe', async () => {
    const { list } = await openList();
    const told: string[] = [];
    const listener = (event: BanEvent) => told.push(`${event.type} ${event.entry.key}`);
    list.subscribe(listener);
    await list.add('192.0.2.1');
    await list.add('192.0.2.2');
    await list.clear();
    await list.add('192.0.2.3');
    list.unsubscribe(listener);
    await list.add('192.0.2.4');
    const [one, two, three] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
    expect(told).toEqual([`added ${one}`, `added ${two}`, `removed ${one}`, `removed ${two}`, `added ${three}`]);
  });

  test('that throw are logged, and prevent neither the others nor the ban', async () => {
    const { list, log } = await openList();
    const told: string[] = [];
    list.subscribe(() => {
      throw new Error('broken');
    });
    list.subscribe((event) => told.push(event.type));
    await list.add('192.0.2.1');
    expect(told).toEqual(['added']);
    expect(list.isBanned('192.0.2.1')).toBe(true);
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  });

  test('are called after the change', async () => {
    const { list } = await openList();
    const seen: boolean[] = [];
    list.subscribe(({ entry }) => seen.push(list.isBanned(entry.key)));
    await list.add('192.0.2.1');
    await list.remove('192.0.2.1');
    expect(seen).toEqual([true, false]);
  });
});

describe('the limit', () => {
  test('evicts the ban that ends soonest, also from the store, with a log line', async () => {
    const { list, store, log, clock } = await openList({ maxEntries: 3 });
    const events: BanEvent[] = [];
    list.subscribe((event) => events.push(event));
    for (const [n, seconds] of [
      [1, 30],
      [2, 10],
      [3, 20],
    ] as const) {
      await list.add(`192.0.2.${n}`, clock.now() + seconds * 1000);
    }
    await list.add('192.0.2.4', clock.now() + 5000);
    expect(list.listBanned()).toEqual(['192.0.2.1', '192.0.2.3', '192.0.2.4']);
    expect(events.find(({ type }) => type === 'removed')).toMatchObject({ why: 'full', entry: { key: '192.0.2.2' } });
    expect(log.lines.filter(({ level }) => level === 'warn')).toMatchObject([{ fields: { key: '192.0.2.2' } }]);
    expect((await store.inner.loadBans()).map(({ key }) => key).sort()).toEqual(list.listBanned());
  });

  test('an automatic ban evicts automatic bans only, however long they last; without any it is not added', async () => {
    const { list, clock } = await openList({ maxEntries: 3 });
    const at = (seconds: number) => clock.now() + seconds * 1000;
    await list.add('192.0.2.1', at(10));
    await list.add('192.0.2.2', at(3000), FACTS);
    await list.add('192.0.2.3', at(2000), { ...FACTS, source: 'imported' });
    expect(list.tryAdd('192.0.2.4', at(20), FACTS)?.key).toBe('192.0.2.4');
    expect(list.listBanned()).toEqual(['192.0.2.1', '192.0.2.3', '192.0.2.4']);
    await list.add('192.0.2.5', at(5));
    expect(list.listBanned()).toEqual(['192.0.2.1', '192.0.2.3', '192.0.2.5']);
    expect(list.tryAdd('192.0.2.6', at(20), FACTS)).toBeUndefined();
    await list.add('192.0.2.6', at(20), FACTS);
    expect(list.listBanned()).toEqual(['192.0.2.1', '192.0.2.3', '192.0.2.5']);
    await list.add('192.0.2.7', at(1));
    expect(list.listBanned()).toEqual(['192.0.2.1', '192.0.2.3', '192.0.2.7']);
  });

  test('a ban never evicts the ban that caused it', async () => {
    const { list, clock } = await openList({ maxEntries: 2 });
    await list.add('192.0.2.1');
    await list.add(peer(1), clock.now() + 1000, FACTS);
    const caused = { ...FACTS, causedBy: peer(1) };
    expect(list.tryAdd('192.0.2.2', clock.now() + 1000, caused)).toBeUndefined();
    expect(list.listBanned()).toEqual(['192.0.2.1', peer(1)]);
  });

  test('a second ban of a key in a full list evicts nothing', async () => {
    const { list } = await openList({ maxEntries: 2 });
    for (const text of ['192.0.2.1', '192.0.2.2', '192.0.2.1']) await list.add(text);
    expect(list.listBanned()).toEqual(['192.0.2.1', '192.0.2.2']);
  });

  test('of a store with more bans, those that end last are in force, with a log line', async () => {
    const { store, clock, ...parts } = await openList();
    for (const [n, seconds] of [
      [1, 10],
      [2, 30],
      [3, 20],
      [4, 40],
    ] as const)
      await parts.list.add(`192.0.2.${n}`, clock.now() + seconds * 1000);
    const again = banParts(store, clock);
    const list = new BanList(again, { defaultDurationMs: DAY_MS, maxEntries: 2 });
    await again.link.open(AbortSignal.timeout(1000));
    await list.init();
    expect(list.listBanned().sort()).toEqual(['192.0.2.2', '192.0.2.4']);
    expect(again.log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    // Another server with a larger bound may want them.
    expect(await store.inner.loadBans()).toHaveLength(4);
  });
});

test('init puts the bans of the store in force that have not ended', async () => {
  const { store, clock, list } = await openList();
  await list.add('192.0.2.0/24', clock.now() + 1000, { ...FACTS, causedBy: peer(3) });
  await list.add(peer(1), clock.now() + 2000, FACTS);
  clock.advance(1000);
  const again = await openList({}, banParts(store, clock));
  expect(again.list.entries()).toEqual(list.entries());
  expect(again.list.listBanned()).toEqual([peer(1)]);
});
