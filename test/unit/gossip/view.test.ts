// What the guards look at: that each question goes to the part that knows, and when a header counts as too easy.
import { describe, expect, test } from 'vitest';
import type { OwnTip } from '../../../src/chain/tracker.ts';
import type { Hash } from '../../../src/domain/ids.ts';
import { guardViews, type PolicyOptions } from '../../../src/gossip/view.ts';
import { Attribution } from '../../../src/peers/attribution.ts';
import { GO_P2P, MESSAGE_BUS, type WireFormat } from '../../../src/wire/format.ts';
import { targetFromCompact } from '../../../src/wire/header.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { DAY_MS, peer } from '../../fakes/ban-parts.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

const [author, other, receivedFrom, own] = [peer(1), peer(2), peer(3), peer(4)];
const HASH = 'ab'.repeat(32) as Hash;
/** Of a block in 2025. */
const TARGET = targetFromCompact(0x18_0b_0c_0d) as bigint;

function setUp(options: Partial<PolicyOptions> = {}, wires: readonly WireFormat[] = [GO_P2P]) {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const attribution = (kind: 'block' | 'subtree') =>
    new Attribution({ clock, metrics }, { kind, maxAnnouncements: 10, ttlMs: 1000 });
  const chain: { tip: OwnTip | undefined } = { tip: undefined };
  /** Monotonic ms at which they began. */
  const connections = new Map<string, number>();
  const deps = {
    ownId: own,
    blocks: attribution('block'),
    subtrees: attribution('subtree'),
    chain: {
      heightOf: (hash: Hash) => (hash === HASH ? 7 : undefined),
      tip: () => chain.tip,
      isSyncing: () => false,
    },
    isBanned: (id: string) => id === other,
    isLowReputation: () => false,
    isInGoodStanding: (id: string) => id === other,
    sync: { syncPeer: () => undefined },
    clock,
  };
  const node = { connectedSinceMs: (id: string) => connections.get(id) };
  const policy = {
    powLimitBits: NETWORKS.mainnet.powLimitBits,
    verifiesHeaderPow: true,
    requiresHeader: false,
    authorRate: { perSecond: 1, burst: 2 },
    sourceRate: { perSecond: 1, burst: 3 },
    dataHubUrls: () => ({ allowsPrivate: false, blacklist: ['bad.example.com'] }),
    maxHeightLead: 10_000,
    maxTargetRatio: 16,
    ...options,
  };
  const networks = wires.map((wire, i) => ({ name: `p${i}`, wire, node }));
  const views = guardViews(deps, policy, networks).map(({ view }) => view);
  const [view] = views;
  if (view === undefined) throw new Error('no view');
  const tipAged = (ageMs: number) => {
    chain.tip = { hash: HASH, height: 7, target: TARGET, time: Math.floor((clock.now() - ageMs) / 1000) };
  };
  return { ...deps, view, views, tipAged, connections };
}

describe('easiest plausible target', () => {
  test.each<[string, Partial<PolicyOptions>, number | undefined, bigint | undefined]>([
    ['sixteen times that of a recent tip', {}, 600_000, TARGET * 16n],
    ['its very target with ratio 1', { maxTargetRatio: 1 }, 600_000, TARGET],
    ['that of a tip from the future', {}, -7_200_000, TARGET * 16n],
    ['that of a tip of just under a day', {}, DAY_MS - 1000, TARGET * 16n],
    ['any while the tip is older than a day', {}, DAY_MS + 1000, undefined],
    ['any while the tip is of years ago', {}, 365 * DAY_MS, undefined],
    ['any without a tip', {}, undefined, undefined],
    ['any with ratio 0', { maxTargetRatio: 0 }, 600_000, undefined],
  ])('is %s', (_what, options, ageMs, expected) => {
    const { view, tipAged } = setUp(options);
    if (ageMs !== undefined) tipAged(ageMs);
    expect(view.easiestTarget()).toBe(expected);
  });

  test('follows the tip and the clock', () => {
    const { view, tipAged, clock } = setUp();
    expect(view.easiestTarget()).toBeUndefined();
    tipAged(0);
    expect(view.easiestTarget()).toBe(TARGET * 16n);
    clock.advance(DAY_MS + 1001);
    expect(view.easiestTarget()).toBeUndefined();
  });
});

test('reads settings and facts from the parts that keep them', () => {
  const { view } = setUp({ requiresHeader: true, verifiesHeaderPow: false });
  expect(view).toMatchObject({ ownId: own, requiresHeader: true, verifiesHeaderPow: false, powLimitBits: 0x1d00ffff });
  expect([view.ownHeightOf(HASH), view.ownHeightOf('cd'.repeat(32) as Hash)]).toEqual([7, undefined]);
  expect([view.isBanned(author), view.isBanned(other)]).toEqual([false, true]);
  expect(
    ['http://bad.example.com', 'http://10.0.0.1', 'ftp://x.example.com', 'http://ok.example.com'].map((url) =>
      view.dataHubUrlFault(url),
    ),
  ).toEqual(['blacklisted', 'private', 'form', undefined]);
});

test('keeps blocks and subtrees, authors and propagation sources apart', () => {
  const { view, blocks, subtrees } = setUp();
  blocks.record(HASH, { author, receivedFrom, dataHubUrl: '' });
  expect([view.blockAnnouncedBy(HASH, author), view.subtreeAnnouncedBy(HASH, author)]).toEqual([true, false]);
  expect(view.blockAnnouncedBy(HASH, receivedFrom)).toBe(false);
  subtrees.record(HASH, { author: other, receivedFrom, dataHubUrl: '' });
  expect([view.subtreeAnnouncedBy(HASH, author), view.subtreeAnnouncedBy(HASH, other)]).toEqual([false, true]);
  const takes = (times: number, take: () => string) => Array.from({ length: times }, take);
  let seqno = 100n;
  const authorRate = (id: typeof author) => {
    seqno += 1n;
    return view.authorRate(id, seqno, false, 0);
  };
  expect(takes(3, () => authorRate(author))).toEqual(['ok', 'ok', 'over_scored']);
  expect(takes(4, () => view.sourceRate(author, other, 0))).toEqual(['ok', 'ok', 'ok', 'over_scored']);
  expect(authorRate(other)).toBe('ok');
});

test('hears a neighbour in debt with its own messages and those of authors in good standing only', () => {
  const { view } = setUp({ sourceRate: { perSecond: 0, burst: 0 } });
  const rates = () => [author, receivedFrom, other].map((id) => view.sourceRate(receivedFrom, id, 0));
  expect(rates()).toEqual(['ok', 'ok', 'ok']);
  for (let i = 0; i < 100; i += 1) view.chargeSource(receivedFrom);
  expect(rates()).toEqual(['over', 'ok', 'ok']);
  expect(view.sourceRate(other, author, 0)).toBe('ok');
});

test('keeps its own memory of replays and rates', () => {
  const { view, clock } = setUp();
  const another = setUp().view;
  view.authorRate(author, 5n, false, 0);
  expect(view.isReplay(author, 5n)).toBe(false);
  clock.advance(60_000);
  expect([view.isReplay(author, 4n), another.isReplay(author, 4n)]).toEqual([true, false]);
});

test('limits late messages of an author to a tenth of its rate in a bucket of their own, and never scores them', () => {
  const { view, clock } = setUp({ authorRate: { perSecond: 2, burst: 20 } });
  view.authorRate(author, 100n, false, 0);
  clock.advance(60_000);
  const rates = (seqnos: readonly bigint[]) => seqnos.map((seqno) => view.authorRate(author, seqno, false, 0));
  expect(rates([1n, 2n, 3n, 4n, 100n])).toEqual(['ok', 'ok', 'over', 'over', 'over']);
  const growing = Array.from({ length: 21 }, (_each, i) => BigInt(101 + i));
  expect(rates(growing)).toEqual([...growing.slice(1).map(() => 'ok'), 'over_scored']);
  clock.advance(10_000);
  expect(rates([5n, 6n, 7n, 8n])).toEqual(['ok', 'ok', 'over', 'over']);
  expect(view.authorRate(author, 204n, false, 0)).toBe('ok');
});

test('allows at least one late message with a small burst, and any number without a limit', () => {
  const { view } = setUp();
  const unlimited = setUp({ authorRate: { perSecond: 0, burst: 0 } }).view;
  for (const each of [view, unlimited]) each.authorRate(author, 100n, false, 0);
  expect([1n, 2n].map((seqno) => view.authorRate(author, seqno, false, 0))).toEqual(['ok', 'over']);
  expect([1n, 2n, 3n].map((seqno) => unlimited.authorRate(author, seqno, false, 0))).toEqual(['ok', 'ok', 'ok']);
});

test('takes late messages that the author itself sends from its own bucket, and scores them', () => {
  const { view } = setUp();
  const rates = (seqnos: readonly bigint[]) => seqnos.map((seqno) => view.authorRate(author, seqno, true, 0));
  expect(rates([100n, 1n, 2n, 3n])).toEqual(['ok', 'ok', 'over_scored', 'over']);
});

test('recognises a restart by a connection that began after the highest number', () => {
  const { view, clock, connections } = setUp();
  connections.set(author, clock.monotonic());
  clock.advance(1000);
  const hears = (id: typeof author, seqno: bigint) => {
    view.authorRate(id, seqno, true, 0);
    return !view.isReplay(id, seqno);
  };
  expect([hears(author, 100n), hears(other, 100n)]).toEqual([true, true]);
  clock.advance(60_000);
  expect([hears(author, 1n), hears(other, 1n)]).toEqual([false, false]);
  connections.set(author, clock.monotonic());
  expect([hears(author, 2n), hears(other, 2n)]).toEqual([true, false]);
});

describe('with both wires', () => {
  const BOTH = [MESSAGE_BUS, GO_P2P];

  test('each has its own rules for DataHub URLs', () => {
    const allowed = { 'message-bus': true, 'go-p2p': false };
    const dataHubUrls: PolicyOptions['dataHubUrls'] = (wire) => ({ allowsPrivate: allowed[wire], blacklist: [] });
    const faults = setUp({ dataHubUrls }, BOTH).views.map((view) => view.dataHubUrlFault('http://10.0.0.1'));
    expect(faults).toEqual([undefined, 'private']);
  });

  test('a claimed height counts up to the lead above our own on message-bus, and as it is on go-p2p', () => {
    const { views, tipAged } = setUp({ maxHeightLead: 10 }, BOTH);
    const counted = (height: number) => views.map((view) => view.countedHeight(height));
    expect(counted(4_000_000_000)).toEqual([10, 4_000_000_000]);
    tipAged(0);
    expect([counted(17), counted(18), counted(3)]).toEqual([
      [17, 17],
      [17, 18],
      [3, 3],
    ]);
  });

  test('an announcement is the first on each of them once', () => {
    const { views } = setUp({}, BOTH);
    const first = (id: typeof author) => views.map((view) => view.isFirstOnWire(HASH, id));
    expect([first(author), first(author), first(other)]).toEqual([
      [true, true],
      [false, false],
      [true, true],
    ]);
    const one = setUp({}, [GO_P2P, GO_P2P]).views.map((view) => view.isFirstOnWire(HASH, author));
    expect(one).toEqual([false, false]);
  });
});

test('counts bytes of authors and propagation sources, a tenth for late messages, and scores an author only', () => {
  const UNLIMITED = { perSecond: 0, burst: 0 };
  const { view, clock } = setUp({
    authorRate: UNLIMITED,
    sourceRate: UNLIMITED,
    authorBytes: { perSecond: 10, burst: 1000 },
    sourceBytes: { perSecond: 10, burst: 3000 },
  });
  view.authorRate(author, 100n, false, 0);
  clock.advance(60_000);
  expect([1n, 2n].map((seqno) => view.authorRate(author, seqno, false, 100))).toEqual(['ok', 'bytes']);
  expect([101n, 102n, 103n].map((seqno) => view.authorRate(author, seqno, false, 1000))).toEqual([
    'ok',
    'bytes_scored',
    'bytes',
  ]);
  expect([1, 2, 3, 4].map(() => view.sourceRate(receivedFrom, author, 1000))).toEqual([
    'ok',
    'ok',
    'ok',
    'bytes_scored',
  ]);
});

test('limits the node statuses of an author; older ones that somebody sends again have a bucket of their own', () => {
  const { view, clock } = setUp({ authorRate: { perSecond: 0, burst: 0 }, statusRate: { perSecond: 1, burst: 2 } });
  const tell = (seqno: bigint) => {
    view.authorRate(author, seqno, false, 0);
    return view.mayTellStatus(author, seqno);
  };
  expect([100n, 101n, 102n].map(tell)).toEqual([true, true, false]);
  clock.advance(2000);
  expect([1n, 2n, 3n].map(tell)).toEqual([true, true, false]);
  expect([103n, 104n, 105n].map(tell)).toEqual([true, true, false]);
  expect(view.mayTellStatus(other, 1n)).toBe(true);
});

test('charges an author for the time of its slow messages', () => {
  const { view, clock } = setUp({ authorRate: { perSecond: 0, burst: 0 } });
  for (let i = 0; i < 60; i += 1) view.spent(author, 100);
  expect(view.authorRate(author, 1n, false, 0)).toBe('time');
  expect(view.authorRate(other, 1n, false, 0)).toBe('ok');
  clock.advance(3000);
  expect(view.authorRate(author, 2n, false, 0)).toBe('ok');
});
