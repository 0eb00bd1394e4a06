// Automatic bans: always the peer id; its address only where nobody else can be hit by that, and else it says why not.
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { BanSystem } from '../../../src/bans/ban-system.ts';
import { SEEN_KEEP_MS } from '../../../src/bans/seen-addresses.ts';
import type { Hash } from '../../../src/wire/ids.ts';
import { DAY_MS, peer } from '../../fakes/ban-parts.ts';
import type { FlakyBanStore } from '../../fakes/flaky-ban-store.ts';
import { startedBans } from '../../fakes/started-bans.ts';

const [bad, other] = [peer(1), peer(2)];
const AT = '192.0.2.1';
const DIRECT = `/ip4/${AT}/tcp/9905`;
const HASH = 'ab'.repeat(32) as Hash;
type Parts = Awaited<ReturnType<typeof startedBans>>;

afterEach(() => {
  vi.useRealTimers();
});

function offend(bans: BanSystem, id = bad): void {
  for (let i = 0; i < 2; i += 1)
    bans.addScore(id, 'spam', { role: 'author', rule: 'author_rate', topic: 'prefix-block', hash: HASH });
}

/** As the node does it: the gate's callback, and the peer among the connected. */
function connect({ bans, node }: Pick<Parts, 'bans' | 'node'>, id = bad, ip = AT): void {
  node.connect(id, ip.includes(':') ? `/ip6/${ip}/tcp/9905` : `/ip4/${ip}/tcp/9905`);
  bans.connectionOpened(id, ip);
}

test('of one who is connected directly, alone, from one address: both are banned, for as long, and cut', async () => {
  const parts = await startedBans();
  connect(parts);
  offend(parts.bans);
  const untilMs = parts.clock.now() + DAY_MS;
  expect(parts.bans.list.entries()).toMatchObject([
    { key: bad, kind: 'peer', untilMs, source: 'automatic', because: undefined },
    { key: AT, kind: 'address', untilMs, source: 'automatic', because: bad },
  ]);
  const [peerBan, addressBan] = parts.bans.list.entries();
  expect(peerBan?.reason).toMatch(/score 100 as author.*spam/);
  expect(peerBan?.evidence).toBe(`author_rate on prefix-block of ${HASH}; address ${AT} banned too`);
  expect(addressBan?.reason).toBe(`address of ${bad}`);
  expect(parts.node.disconnected).toContain(bad);
  await vi.waitFor(async () => expect(await parts.store.inner.loadBans()).toHaveLength(2));
});

test.each([
  ['an IPv6 address', '2001:DB8::1', '2001:db8::1'],
  ['a mapped one', `::ffff:${AT}`, AT],
])('%s is banned in its canonical form', async (_what, ip, key) => {
  const parts = await startedBans();
  connect(parts, bad, ip);
  offend(parts.bans);
  expect(parts.bans.list.listBanned()).toEqual([bad, key]);
});

test('two connections from one address, differently spelled, are one address', async () => {
  const parts = await startedBans();
  connect(parts);
  parts.node.connect(bad, DIRECT, `/ip6/::ffff:${AT}/tcp/41000`, `/ip4/${AT}/tcp/42000`);
  offend(parts.bans);
  expect(parts.bans.list.listBanned()).toEqual([bad, AT]);
});

describe('the address is left out, with the reason, when', () => {
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
        for (let i = 0; i < 50_001; i += 1) parts.bans.seen.saw(other, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
        connect(parts);
      },
    ],
  ])('%s', async (_what, why, arrange) => {
    const parts = await startedBans();
    arrange(parts);
    offend(parts.bans);
    expect(parts.bans.list.listBanned()).toEqual([bad]);
    expect(parts.bans.list.entries()[0]?.evidence).toMatch(/address not banned: /);
    expect(parts.bans.list.entries()[0]?.evidence).toMatch(why);
    const line = parts.log.lines.find(({ event }) => event === 'peer banned');
    expect(line?.fields.evidence).toMatch(why);
  });

  test('another peer left after being connected for days, less than a day ago', async () => {
    vi.useFakeTimers();
    const parts = await startedBans();
    connect(parts, other);
    parts.clock.advance(3 * SEEN_KEEP_MS);
    await vi.advanceTimersByTimeAsync(60_000);
    parts.node.leave(other);
    parts.clock.advance(SEEN_KEEP_MS / 2);
    connect(parts);
    offend(parts.bans);
    expect(parts.bans.list.listBanned()).toEqual([bad]);
  });

  test('another peer was there before a restart', async () => {
    const before = await startedBans();
    connect(before, other);
    await before.bans.list.add(peer(50));
    before.clock.advance(SEEN_KEEP_MS / 2);
    const after = await startedBans({}, before.store as FlakyBanStore, before.clock);
    connect(after);
    offend(after.bans);
    expect(after.bans.isBanned(bad)).toBe(true);
    expect(after.bans.refusesAddress(AT)).toBe(false);
  });
});

test('a day after the other was seen, the address is banned', async () => {
  const parts = await startedBans();
  connect(parts, other);
  parts.node.leave(other);
  parts.clock.advance(SEEN_KEEP_MS + 1);
  connect(parts);
  offend(parts.bans);
  expect(parts.bans.list.listBanned()).toEqual([bad, AT]);
});

test('addresses that a peer claims are nothing: only the socket’s count', async () => {
  const parts = await startedBans();
  connect(parts, bad, '192.0.2.66');
  connect(parts, other, '203.0.113.5');
  offend(parts.bans);
  expect(parts.bans.list.listBanned()).toEqual([bad, '192.0.2.66']);
  expect(parts.node.disconnected).not.toContain(other);
});

test('a ban of the address that somebody else set is neither shortened nor lifted with the peer’s', async () => {
  const parts = await startedBans();
  const untilMs = parts.clock.now() + 30 * DAY_MS;
  parts.node.failure = new Error('the connection is still closing');
  connect(parts);
  await parts.bans.list.add(AT, untilMs);
  offend(parts.bans);
  expect(parts.bans.list.banOf(AT)).toMatchObject({ untilMs, source: 'operator', because: undefined });
  expect(parts.bans.list.banOfPeer(bad)?.evidence).toMatch(/address not banned: it is banned already/);
  await parts.bans.unban(bad);
  expect(parts.bans.list.listBanned()).toEqual([AT]);
});

test.each(['author', 'relay'] as const)('an offender as %s, whitelisted, is neither banned nor cut', async (role) => {
  const parts = await startedBans({ isWhitelisted: (id) => id === bad });
  connect(parts);
  for (let i = 0; i < 9; i += 1) parts.bans.addScore(bad, 'spam', { role, rule: 'r', topic: '', hash: undefined });
  expect(parts.bans.list.listBanned()).toEqual([]);
  expect(parts.node.disconnected).toEqual([]);
});

test('an evidence without topic or hash reads well', async () => {
  const parts = await startedBans({ threshold: 20 });
  parts.bans.brokenFrame(bad);
  expect(parts.bans.list.entries()[0]?.evidence).toBe(
    'broken_frame; address not banned: its author is not connected directly',
  );
});
