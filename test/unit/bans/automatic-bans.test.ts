// Automatic bans: always of the peer ID, of its address only when no other peer uses it; otherwise the evidence says
// why not.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { SEEN_KEEP_MS } from '../../../src/bans/enforcement/seen-addresses.ts';
import type { BanService } from '../../../src/bans/service.ts';
import type { BanEntry } from '../../../src/domain/ban.ts';
import type { Hash } from '../../../src/domain/ids.ts';
import { DAY_MS, peer } from '../../fakes/ban-parts.ts';
import { FlakyBanStore, memoryStore } from '../../fakes/flaky-ban-store.ts';
import { FakeClock } from '../../fakes/recorders.ts';
import { banOf, keysOf, startedBans } from '../../fakes/started-bans.ts';
import { eventually } from '../../support/eventually.ts';

const [bad, other] = [peer(1), peer(2)];
const AT = '192.0.2.1';
const DIRECT = `/ip4/${AT}/tcp/9905`;
const HASH = 'ab'.repeat(32) as Hash;
type Parts = Awaited<ReturnType<typeof startedBans>>;

afterEach(() => {
  vi.useRealTimers();
});

function offend(bans: BanService, id = bad): void {
  for (let i = 0; i < 2; i += 1)
    bans.addScore(id, 'spam', { role: 'author', rule: 'author_flood', topic: 'prefix-block', hash: HASH });
}

/** As the node does: calls the policy, and lists the peer as connected. */
function connect({ bans, node }: Pick<Parts, 'bans' | 'node'>, id = bad, ip = AT): void {
  node.connect(id, ip.includes(':') ? `/ip6/${ip}/tcp/9905` : `/ip4/${ip}/tcp/9905`);
  bans.connectionOpened(id, ip);
}

test('bans the peer and its address, equally long, when the peer alone is connected directly from one address', async () => {
  const parts = await startedBans();
  connect(parts);
  offend(parts.bans);
  const untilMs = parts.clock.now() + DAY_MS;
  expect(parts.bans.bans()).toMatchObject([
    { key: bad, kind: 'peer', untilMs, source: 'automatic', causedBy: undefined },
    { key: AT, kind: 'address', untilMs, source: 'automatic', causedBy: bad },
  ]);
  const [peerBan, addressBan] = parts.bans.bans();
  expect(peerBan?.reason).toMatch(/score 100 as author.*spam/);
  expect(peerBan?.evidence).toBe(`author_flood on prefix-block of ${HASH}; address ${AT} banned too`);
  expect(addressBan?.reason).toBe(`address of ${bad}`);
  expect(parts.node.disconnected).toContain(bad);
  expect(parts.metrics.count('teranode_p2p_ban_events_total', { reason: 'spam' })).toBe(1);
  await eventually(async () => expect(await parts.store.inner.loadBans()).toHaveLength(2));
});

test.each([
  ['an IPv6 address', '2001:DB8::1', '2001:db8::1'],
  ['a mapped one', `::ffff:${AT}`, AT],
])('bans %s in its canonical form', async (_what, ip, key) => {
  const parts = await startedBans();
  connect(parts, bad, ip);
  offend(parts.bans);
  expect(keysOf(parts.bans)).toEqual([bad, key]);
});

test('treats two spellings of one address as one address', async () => {
  const parts = await startedBans();
  connect(parts);
  parts.node.connect(bad, DIRECT, `/ip6/::ffff:${AT}/tcp/41000`, `/ip4/${AT}/tcp/42000`);
  offend(parts.bans);
  expect(keysOf(parts.bans)).toEqual([bad, AT]);
});

describe('does not ban the address, and says why, when', () => {
  test.each<[string, RegExp, (parts: Parts) => void]>([
    ['the author is not connected', /not connected directly/, () => {}],
    [
      'it has left',
      /not connected directly/,
      (parts) => {
        connect(parts);
        parts.node.leave(bad);
      },
    ],
    ['its address is not known', /not connected directly/, ({ node }) => node.connect(bad)],
    [
      'it is connected from two addresses',
      /several addresses/,
      (parts) => {
        connect(parts);
        parts.node.connect(bad, DIRECT, '/ip4/192.0.2.9/tcp/9905');
      },
    ],
    [
      'it comes through a relay',
      /through a relay/,
      ({ node }) => node.connect(bad, `${DIRECT}/p2p/${other}/p2p-circuit`),
    ],
    [
      'it comes directly and through a relay',
      /through a relay/,
      ({ node }) => node.connect(bad, DIRECT, `${DIRECT}/p2p/${other}/p2p-circuit`),
    ],
    ['it is connected by name', /several addresses|relay/, ({ node }) => node.connect(bad, '/dns4/a.example/tcp/9905')],
    [
      'another peer was there a day ago',
      /another peer was seen at 192\.0\.2\.1/,
      (parts) => {
        connect(parts, other);
        parts.node.leave(other);
        parts.clock.advance(SEEN_KEEP_MS);
        connect(parts);
      },
    ],
    [
      'another peer is there, differently spelled',
      /another peer was seen/,
      (parts) => {
        connect(parts, other, `::ffff:${AT}`);
        connect(parts);
      },
    ],
    [
      'another peer has been connected there for days',
      /another peer was seen/,
      (parts) => {
        connect(parts, other);
        parts.clock.advance(3 * SEEN_KEEP_MS);
        connect(parts);
      },
    ],
    [
      'who was seen there is no longer known',
      /no longer known/,
      (parts) => {
        for (let i = 0; i < 50_001; i += 1)
          parts.bans.connectionOpened(other, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
        connect(parts);
      },
    ],
  ])('%s', async (_what, why, arrange) => {
    const parts = await startedBans();
    arrange(parts);
    offend(parts.bans);
    expect(keysOf(parts.bans)).toEqual([bad]);
    expect(parts.bans.bans()[0]?.evidence).toMatch(/address not banned: /);
    expect(parts.bans.bans()[0]?.evidence).toMatch(why);
    const line = parts.log.lines.find(({ event }) => event === 'peer banned');
    expect(line?.fields.evidence).toMatch(why);
    // Tens of thousands of pending writes would otherwise delay the tests that follow.
    await parts.bans.stop();
  });

  test('another peer that was connected for days disconnected less than a day ago', async () => {
    vi.useFakeTimers();
    const parts = await startedBans();
    connect(parts, other);
    parts.clock.advance(3 * SEEN_KEEP_MS);
    await vi.advanceTimersByTimeAsync(60_000);
    parts.node.leave(other);
    parts.clock.advance(SEEN_KEEP_MS / 2);
    connect(parts);
    offend(parts.bans);
    expect(keysOf(parts.bans)).toEqual([bad]);
  });

  test('another peer was there before a restart', async () => {
    const before = await startedBans();
    connect(before, other);
    await before.bans.ban(peer(50));
    before.clock.advance(SEEN_KEEP_MS / 2);
    const after = await startedBans({}, before.store, before.clock);
    connect(after);
    offend(after.bans);
    expect(after.bans.isBanned(bad)).toBe(true);
    expect(after.bans.refusesAddress(AT)).toBe(false);
  });
});

test('bans the address a day after another peer was seen there', async () => {
  const parts = await startedBans();
  connect(parts, other);
  parts.node.leave(other);
  parts.clock.advance(SEEN_KEEP_MS + 1);
  connect(parts);
  offend(parts.bans);
  expect(keysOf(parts.bans)).toEqual([bad, AT]);
});

test('bans the address of the socket, never one that a peer claims', async () => {
  const parts = await startedBans();
  connect(parts, bad, '192.0.2.66');
  connect(parts, other, '203.0.113.5');
  offend(parts.bans);
  expect(keysOf(parts.bans)).toEqual([bad, '192.0.2.66']);
  expect(parts.node.disconnected).not.toContain(other);
});

test('neither shortens nor lifts a ban of the address that an operator set', async () => {
  const parts = await startedBans();
  const untilMs = parts.clock.now() + 30 * DAY_MS;
  parts.node.failure = new Error('the connection is still closing');
  connect(parts);
  await parts.bans.ban(AT, untilMs);
  offend(parts.bans);
  expect(banOf(parts.bans, AT)).toMatchObject({ untilMs, source: 'operator', causedBy: undefined });
  expect(banOf(parts.bans, bad)?.evidence).toMatch(/address not banned: it is banned already/);
  await parts.bans.unban(bad);
  expect(keysOf(parts.bans)).toEqual([AT]);
});

test.each(['author', 'relay'] as const)(
  'neither bans nor disconnects a whitelisted offender in the role %s',
  async (role) => {
    const parts = await startedBans({ isWhitelisted: (id) => id === bad });
    connect(parts);
    for (let i = 0; i < 9; i += 1) parts.bans.addScore(bad, 'spam', { role, rule: 'r', topic: '', hash: undefined });
    expect(keysOf(parts.bans)).toEqual([]);
    expect(parts.node.disconnected).toEqual([]);
  },
);

test('writes evidence without a topic or a hash', async () => {
  const parts = await startedBans({ threshold: 20 });
  parts.bans.addScore(bad, 'spam', { role: 'author', rule: 'operator', topic: '', hash: undefined });
  expect(parts.bans.bans()[0]?.evidence).toBe('operator; address not banned: its author is not connected directly');
});

describe('when the ban list is full', () => {
  test('the address of an automatic ban does not evict the ban of its peer', async () => {
    const parts = await startedBans({ maxEntries: 3 });
    for (const n of [1, 2]) await parts.bans.ban(`10.0.0.${n}`, parts.clock.now() + 30 * DAY_MS);
    connect(parts);
    offend(parts.bans);
    expect(keysOf(parts.bans)).toEqual(['10.0.0.1', '10.0.0.2', bad]);
    expect(banOf(parts.bans, bad)?.evidence).toMatch(/; address not banned: the ban list is full/);
  });

  test('an automatic ban evicts no ban of an operator, and a log line once a minute says so', async () => {
    const parts = await startedBans({ maxEntries: 2 });
    for (const n of [1, 2]) await parts.bans.ban(`10.0.0.${n}`);
    connect(parts);
    offend(parts.bans);
    expect(keysOf(parts.bans)).toEqual(['10.0.0.1', '10.0.0.2']);
    const said = () => parts.log.lines.filter(({ event }) => event.includes('full of bans by operators')).length;
    for (let i = 0; i < 10; i += 1) offend(parts.bans);
    expect(said()).toBe(1);
    parts.clock.advance(60_000);
    offend(parts.bans);
    expect(said()).toBe(2);
  });

  test('automatic bans of very many authors evict one another, and no ban of an operator', async () => {
    const parts = await startedBans({ maxEntries: 100 });
    const { bans, clock, log, metrics } = parts;
    await bans.ban('198.51.100.0/24', clock.now() + 1000);
    connect(parts, other);
    offend(bans, other);
    for (let n = 10; n < 310; n += 1) offend(bans, peer(n));
    expect(bans.isSubjectBanned('198.51.100.7')).toBe(true);
    expect(keysOf(bans).slice(0, 3)).toEqual(['198.51.100.0/24', other, AT]);
    // A tenth of the list is for authors that were not connected.
    expect(keysOf(bans)).toHaveLength(3 + 10);
    expect(bans.isBanned(peer(309))).toBe(true);
    expect(metrics.gaugeValue('teranode_p2p_bans_unconnected')).toBe(10);
    expect(metrics.gaugeValue('teranode_p2p_bans_unconnected_bound')).toBe(10);
    expect(metrics.count('teranode_p2p_bans_evicted_total', { class: 'unconnected' })).toBe(290);
    expect(log.lines.filter(({ level }) => level === 'warn').length).toBeLessThanOrEqual(20);
  });

  test('a ban because of an operator’s points is none of those that very many authors evict', async () => {
    const { bans } = await startedBans({ maxEntries: 100 });
    const facts = { role: 'author', rule: 'operator', topic: '', hash: undefined } as const;
    for (let i = 0; i < 2; i += 1) bans.addScore(other, 'spam', facts);
    expect(bans.isBanned(other)).toBe(true);
    for (let n = 10; n < 40; n += 1) offend(bans, peer(n));
    expect(bans.isBanned(other)).toBe(true);
  });

  test('bans beyond twenty at once are counted in one line per minute', async () => {
    vi.useFakeTimers();
    const { bans, log, clock } = await startedBans();
    for (let n = 0; n < 50; n += 1) offend(bans, peer(n));
    const said = (text: string) => log.lines.filter(({ event }) => event === text);
    expect(said('peer banned')).toHaveLength(20);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(said('more peers banned').map(({ fields }) => fields.peers)).toEqual([30]);
    clock.advance(60_000);
    offend(bans, peer(50));
    expect(said('peer banned').at(-1)?.fields).not.toHaveProperty('unloggedBefore');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(said('more peers banned')).toHaveLength(1);
  });

  test('of another server, only a tenth of it is for unconnected authors, also after a restart', async () => {
    const before = await startedBans({ maxEntries: 1000 });
    await before.bans.ban('198.51.100.0/24');
    for (let n = 0; n < 60; n += 1) offend(before.bans, peer(n));
    await before.bans.ban('192.0.2.0/24');
    const { bans } = await startedBans({ maxEntries: 100 }, before.store, before.clock);
    expect(bans.bans()).toHaveLength(12);
    expect(keysOf(bans)).toEqual(expect.arrayContaining(['198.51.100.0/24', '192.0.2.0/24']));
  });
});

test('bans of very many unconnected authors leave a shared store too, other bans stay in it', async () => {
  const store = new FlakyBanStore(memoryStore());
  store.isShared = true;
  const { bans, clock } = await startedBans({ maxEntries: 100 }, store);
  await bans.ban('198.51.100.0/24', clock.now() + 1000);
  for (let n = 10; n < 60; n += 1) offend(bans, peer(n));
  await eventually(async () => expect(await store.inner.loadBans()).toHaveLength(1 + 10));
  expect((await store.inner.loadBans()).map(({ key }) => key).sort()).toEqual(keysOf(bans).sort());
});

describe('several servers with one store', () => {
  async function two() {
    const inner = memoryStore();
    const stores = [new FlakyBanStore(inner), new FlakyBanStore(inner)] as const;
    for (const store of stores) store.isShared = true;
    // As PostgreSQL notifies the other server.
    stores[0].after = async ({ method, args }) => {
      if (method === 'putBan') stores[1].tell({ type: 'ban', key: (args[0] as BanEntry).key });
    };
    const clock = new FakeClock();
    return { a: await startedBans({}, stores[0], clock), b: await startedBans({}, stores[1], clock), inner };
  }

  const evidence = ({ bans }: Parts) => banOf(bans, bad)?.evidence;

  test('ban the address at both when no other peer was seen there, and the evidence says so', async () => {
    const { a, b } = await two();
    connect(a);
    offend(a.bans);
    expect(keysOf(a.bans)).toEqual([bad]);
    await eventually(() => expect(keysOf(b.bans)).toEqual([bad, AT]));
    expect(keysOf(a.bans)).toEqual([bad, AT]);
    expect(evidence(a)).toBe(`author_flood on prefix-block of ${HASH}; address ${AT} banned too`);
  });

  test('ban the address at neither when the other server saw another peer there', async () => {
    const { a, b, inner } = await two();
    connect(b, other);
    await eventually(async () => expect(await inner.loadAddressesAt(AT)).toHaveLength(1));
    connect(a);
    offend(a.bans);
    await eventually(() => expect(evidence(a)).toMatch(/address not banned: another peer was seen at 192\.0\.2\.1/));
    await eventually(() => expect(b.bans.isBanned(bad)).toBe(true));
    for (const { bans } of [a, b]) expect(keysOf(bans)).toEqual([bad]);
    expect(b.node.disconnected).not.toContain(other);
    expect(await inner.loadBans()).toMatchObject([{ key: bad, evidence: evidence(a) }]);
  });

  test('ban the address when the other peer was seen there more than a day ago', async () => {
    const { a, b, inner } = await two();
    b.bans.connectionOpened(other, AT);
    await eventually(async () => expect(await inner.loadAddressesAt(AT)).toHaveLength(1));
    a.clock.advance(SEEN_KEEP_MS + 1);
    connect(a);
    offend(a.bans);
    await eventually(() => expect(keysOf(a.bans)).toEqual([bad, AT]));
  });

  test('ban only the peer, and say why, while the store is unavailable', async () => {
    const { a } = await two();
    connect(a);
    a.store.isDown = true;
    offend(a.bans);
    await eventually(() =>
      expect(evidence(a)).toMatch(/address not banned: who was seen .* their store is unavailable/),
    );
    expect(keysOf(a.bans)).toEqual([bad]);
    a.store.isDown = false;
    await eventually(async () => expect(await a.store.inner.loadBans()).toHaveLength(1));
  });

  test('do not ban the address when the ban is lifted while the other servers are asked', async () => {
    const { a } = await two();
    connect(a);
    const answer = Promise.withResolvers<void>();
    a.store.before = ({ method }) => (method === 'loadAddressesAt' ? answer.promise : undefined);
    offend(a.bans);
    await a.bans.unban(bad);
    answer.resolve();
    await eventually(() => expect(a.store.argsOf('loadAddressesAt')).toHaveLength(1));
    await a.bans.ban(peer(60));
    expect(keysOf(a.bans)).toEqual([peer(60)]);
  });

  test('do not take over the ban of an address at which an unbanned peer was seen, also after a restart, and say why', async () => {
    const { a, b, inner } = await two();
    // Seen at the other server a moment ago, and not stored yet.
    b.store.refuses = ({ method }) => method === 'putAddress';
    connect(b, other);
    connect(a);
    offend(a.bans);
    await eventually(() => expect(a.bans.refusesAddress(AT)).toBe(true));
    await eventually(() => expect(b.bans.isBanned(bad)).toBe(true));
    for (const subject of [AT, bad]) await eventually(() => expect(b.bans.explain(subject).withheld).toHaveLength(1));
    expect(b.bans.explain(AT).withheld[0]).toContain(
      `not taken over: ${other}, which is not banned, was seen there within 24 h`,
    );
    expect(b.node.disconnected).toEqual([]);
    expect(b.bans.refusesAddress(AT)).toBe(false);
    await inner.putAddress({ address: AT, peerId: other, lastSeenMs: b.clock.now() });
    const again = await startedBans({}, new FlakyBanStore(inner), b.clock);
    expect(keysOf(again.bans)).toEqual([bad]);
  });

  test('take over the ban of an address at which only banned peers were seen, and every ban of an operator', async () => {
    const { a, b } = await two();
    connect(b, other);
    await a.bans.ban(other);
    await eventually(() => expect(b.bans.isBanned(other)).toBe(true));
    const ban = { reason: '', evidence: '', source: 'automatic', causedBy: bad } as const;
    const times = { untilMs: a.clock.now() + DAY_MS, createdAtMs: a.clock.now() };
    await a.store.putBan({ key: AT, kind: 'address', ...ban, ...times });
    await eventually(() => expect(b.bans.refusesAddress(AT)).toBe(true));
    connect(b, peer(3), '192.0.2.3');
    await a.bans.ban('192.0.2.3');
    await eventually(() => expect(b.bans.refusesAddress('192.0.2.3')).toBe(true));
  });

  test('lift a ban that was not taken over together with the ban of its peer', async () => {
    const { a, b, inner } = await two();
    b.store.refuses = ({ method }) => method === 'putAddress';
    connect(b, other);
    connect(a);
    offend(a.bans);
    await eventually(async () => expect(await inner.loadBans()).toHaveLength(2));
    await eventually(() => expect(b.bans.isBanned(bad)).toBe(true));
    await b.bans.unban(bad);
    expect(await inner.loadBans()).toEqual([]);
  });
});
