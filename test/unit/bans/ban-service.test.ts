// The ban service with a fake node: enforcement on connections, lifting, stopping.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MAX_SUBJECTS } from '../../../src/bans/scores/peer-ban-manager.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { FlakyBanStore } from '../../fakes/flaky-ban-store.ts';
import { keysOf, startedBans } from '../../fakes/started-bans.ts';
import { eventually } from '../../support/eventually.ts';

const RELAY = peer(90);
/** Connected peers and their addresses in these tests. */
const PEERS = {
  near: [peer(1), ['/ip4/192.0.2.1/tcp/9905']],
  neighbour: [peer(2), ['/ip4/192.0.2.200/tcp/41000']],
  far: [peer(3), ['/ip4/198.51.100.1/tcp/9905']],
  mapped: [peer(4), ['/ip6/::ffff:192.0.2.1/tcp/9905']],
  six: [peer(5), ['/ip6/2001:db8:0:1::5/tcp/9905']],
  sixBeside: [peer(6), ['/ip6/2001:db8:0:2::5/tcp/9905']],
  both: [peer(7), ['/ip4/198.51.100.7/tcp/9905', '/ip6/2001:db8:0:1::7/tcp/9905']],
  relayed: [peer(8), [`/ip4/192.0.2.1/tcp/9905/p2p/${RELAY}/p2p-circuit/p2p/${peer(8)}`]],
  named: [peer(9), ['/dns4/peer.example/tcp/9905']],
  bare: [peer(10), []],
} as const;
type Name = keyof typeof PEERS;

async function crowd(options = {}) {
  const parts = await startedBans(options);
  for (const [id, addresses] of Object.values(PEERS)) parts.node.connect(id, ...addresses);
  return parts;
}

function names(ids: readonly string[]): Name[] {
  return (Object.keys(PEERS) as Name[]).filter((name) => ids.includes(PEERS[name][0]));
}

describe('a ban disconnects exactly the peers that it covers', () => {
  test.each<[string, Name[]]>([
    ['192.0.2.1', ['near', 'mapped']],
    ['192.0.2.1:9905', ['near', 'mapped']],
    ['::ffff:192.0.2.1', ['near', 'mapped']],
    ['192.0.2.0/24', ['near', 'neighbour', 'mapped']],
    ['192.0.2.77/25', ['near', 'mapped']],
    ['198.51.100.7', ['both']],
    ['0.0.0.0/0', ['near', 'neighbour', 'far', 'mapped', 'both']],
    ['2001:db8:0:1::/64', ['six', 'both']],
    ['2001:DB8:0:1:0::5', ['six']],
    ['::/0', ['six', 'sixBeside', 'both']],
    ['203.0.113.0/24', []],
    [peer(3), ['far']],
    [peer(8), ['relayed']],
    [peer(10), ['bare']],
    [peer(99), []],
  ])('%s', async (text, covered) => {
    const { bans, node, metrics } = await crowd();
    await bans.ban(text);
    expect(names(node.disconnected)).toEqual(covered);
    expect(node.disconnected).toHaveLength(covered.length);
    expect(metrics.count('teranode_p2p_ban_enforcements_total', { action: 'disconnected' })).toBe(covered.length);
  });

  test('a ban by another server disconnects the peers that it covers', async () => {
    const { bans, node, store, clock } = await crowd();
    const entry = {
      untilMs: clock.now() + 1000,
      createdAtMs: 1,
      reason: '',
      evidence: '',
      source: 'operator' as const,
      causedBy: undefined,
    };
    await store.inner.putBan({ ...entry, key: '192.0.2.0/24', kind: 'subnet' });
    store.tell({ type: 'ban', key: '192.0.2.0/24' });
    await eventually(() => expect(names(node.disconnected)).toEqual(['near', 'neighbour', 'mapped']));
    expect(bans.refusesAddress('192.0.2.5')).toBe(true);
  });

  test('a failure to disconnect is logged, and the ban stays in force', async () => {
    const { bans, node, log } = await crowd();
    node.failure = new Error('hangs');
    await bans.ban('192.0.2.0/24');
    await eventually(() => expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(3));
    expect(bans.refusesAddress('192.0.2.1')).toBe(true);
  });
});

describe('the connection policy', () => {
  test('refuses banned addresses in every spelling and banned peers, and accepts all others', async () => {
    const { bans, clock, metrics } = await startedBans();
    await bans.ban('192.0.2.0/24', clock.now() + 1000);
    await bans.ban('2001:db8:0:1::/64', clock.now() + 2000);
    await bans.ban(peer(1), clock.now() + 2000);
    const asked = [
      '192.0.2.1',
      '::ffff:192.0.2.1',
      '2001:db8:0:1::9',
      '192.0.3.1',
      '2001:db8:0:2::9',
      '',
      'x',
      peer(1),
    ];
    expect(asked.map((ip) => bans.refusesAddress(ip))).toEqual([true, true, true, ...Array(5).fill(false)]);
    expect([peer(1), peer(2)].map((id) => bans.refusesPeer(id))).toEqual([true, false]);
    expect(bans.isBanned(peer(1))).toBe(true);
    expect(metrics.count('teranode_p2p_ban_enforcements_total', { action: 'address_refused' })).toBe(3);
    expect(metrics.count('teranode_p2p_ban_enforcements_total', { action: 'peer_refused' })).toBe(1);
    clock.advance(1000);
    expect(bans.refusesAddress('192.0.2.1')).toBe(false);
    expect(bans.refusesPeer(peer(1))).toBe(true);
  });

  test('disconnects a peer that was banned while its connection was being opened', async () => {
    const { bans, node } = await startedBans();
    await bans.ban('192.0.2.0/24');
    await bans.ban(peer(3));
    bans.connectionOpened(peer(1), '192.0.2.9');
    bans.connectionOpened(peer(2), '192.0.3.9');
    bans.connectionOpened(peer(3), '192.0.3.10');
    bans.connectionOpened(peer(4), undefined);
    expect(node.disconnected).toEqual([peer(1), peer(3)]);
  });

  test('enforces the bans of the store as soon as it has started, before a node is attached', async () => {
    const { bans, store, clock } = await startedBans();
    await bans.ban('192.0.2.0/24');
    await bans.ban(peer(1));
    const again = await startedBans({}, store, clock);
    expect(again.bans.refusesAddress('192.0.2.1')).toBe(true);
    expect(again.bans.refusesPeer(peer(1))).toBe(true);
  });
});

describe('lifting', () => {
  test('the ban of a peer lifts the address bans that it caused, forgets its scores and allows dials again', async () => {
    const { bans, node, store } = await startedBans();
    node.connect(peer(1), '/ip4/192.0.2.1/tcp/9905');
    bans.connectionOpened(peer(1), '192.0.2.1');
    for (let i = 0; i < 2; i += 1)
      bans.addScore(peer(1), 'spam', { role: 'author', rule: 'r', topic: 't', hash: undefined });
    expect(keysOf(bans)).toEqual([peer(1), '192.0.2.1']);
    const lifted = await bans.unban(` ${peer(1)} `);
    expect(lifted).toEqual({ hadAny: true, coveredBy: undefined, isStored: true });
    expect(keysOf(bans)).toEqual([]);
    expect(bans.scoreOf(peer(1))).toBe(0);
    expect(bans.refusesAddress('192.0.2.1') || bans.refusesPeer(peer(1))).toBe(false);
    expect(node.dialRetries).toBeGreaterThan(0);
    expect(await store.inner.loadBans()).toEqual([]);
    expect((await store.inner.loadScores()).scores).toEqual([]);
    bans.addScore(peer(1), 'unknown', { role: 'author', rule: 'r', topic: 't', hash: undefined });
    expect(bans.isBanned(peer(1))).toBe(false);
  });

  test('the ban of an address leaves the peer banned that caused it', async () => {
    const { bans, node } = await startedBans();
    node.connect(peer(1), '/ip4/192.0.2.1/tcp/9905');
    for (let i = 0; i < 2; i += 1)
      bans.addScore(peer(1), 'spam', { role: 'author', rule: 'r', topic: 't', hash: undefined });
    await bans.unban('192.0.2.1:80');
    expect(keysOf(bans)).toEqual([peer(1)]);
    expect(bans.scoreOf(peer(1))).toBe(100);
  });

  test('refuses malformed texts and changes nothing', async () => {
    const { bans, node } = await startedBans();
    await bans.ban(peer(1));
    for (const text of ['', 'x', '192.0.2.0/33', `${peer(1)}x`])
      await expect(bans.unban(text)).rejects.toMatchObject({ code: 'INPUT_INVALID' });
    expect(keysOf(bans)).toEqual([peer(1)]);
    await Promise.resolve();
    expect(node.dialRetries).toBe(0);
  });

  test('all bans forgets the scores of banned peers, and no others, and retries dials once', async () => {
    const { bans, node, store, metrics } = await startedBans();
    const facts = { role: 'author', rule: 'r', topic: 't', hash: undefined } as const;
    for (let n = 0; n < 50; n += 1) for (let i = 0; i < 2; i += 1) bans.addScore(peer(n), 'spam', facts);
    await bans.ban('192.0.2.0/24');
    bans.addScore(peer(60), 'spam', facts);
    await bans.clear();
    expect(keysOf(bans)).toEqual([]);
    expect(metrics.gaugeValue('teranode_p2p_scores')).toBe(1);
    expect(bans.explain(peer(60)).scores).toEqual([{ role: 'author', score: 50 }]);
    expect((await store.inner.loadScores()).scores).toHaveLength(1);
    expect(await store.inner.loadBans()).toEqual([]);
    expect(node.dialRetries).toBe(1);
  });

  test('all bans also forgets scores that only the store has, so that the next small offence bans nobody again', async () => {
    const { bans, store } = await startedBans({ maxEntries: 20_000, threshold: 50 });
    const facts = { role: 'author', rule: 'r', topic: 't', hash: undefined } as const;
    bans.addScore(peer(0), 'spam', facts);
    await eventually(async () => expect((await store.inner.loadScoresOf(peer(0))).scores).toHaveLength(1));
    for (let n = 1; n <= MAX_SUBJECTS; n += 1) bans.addScore(peer(n), 'unknown', facts);
    expect([bans.isBanned(peer(0)), bans.scoreOf(peer(0))]).toEqual([true, 0]);
    await bans.clear();
    expect((await store.inner.loadScoresOf(peer(0))).scores).toEqual([]);
    bans.addScore(peer(0), 'protocol_violation', facts);
    await eventually(async () => expect((await store.inner.loadScoresOf(peer(0))).scores).toHaveLength(1));
    expect(bans.isBanned(peer(0))).toBe(false);
  });

  test('all bans is not dropped from the queue of writes, with as many scores as the queue holds', async () => {
    const store = new FlakyBanStore();
    store.putBan = async () => {};
    store.addOffence = async ({ subject, role, points: score, atMs }) => ({ subject, role, score, atMs });
    store.resetScores = async (subjects) => subjects.forEach((subject) => void reset.add(subject));
    const reset = new Set<string>();
    const { bans, metrics } = await startedBans({ maxEntries: 100_000 }, store);
    const ids = Array.from({ length: 10_000 }, (_each, n) => peer(n));
    for (const id of ids) {
      bans.addScore(id, 'unknown', { role: 'author', rule: 'r', topic: 't', hash: undefined });
      void bans.ban(id);
    }
    await bans.clear();
    expect(keysOf(bans)).toEqual([]);
    expect(metrics.gaugeValue('teranode_p2p_scores')).toBe(0);
    expect(store.argsOf('clearBans')).toHaveLength(1);
    expect(reset.size).toBe(ids.length);
  });
});

describe('malformed RPCs', () => {
  test('penalize the peer that sent them as propagation source, at most once a second per peer', async () => {
    const { bans, clock, metrics } = await startedBans();
    for (let i = 0; i < 5; i += 1) bans.malformedRpc(peer(1));
    clock.advance(999);
    bans.malformedRpc(peer(1));
    bans.malformedRpc(peer(2));
    for (const n of [1, 2]) expect(bans.explain(peer(n)).scores).toEqual([{ role: 'relay', score: 5 }]);
    expect(metrics.gaugeValue('teranode_p2p_scores')).toBe(2);
    clock.advance(1);
    bans.malformedRpc(peer(1));
    expect(bans.scoreOf(peer(1))).toBe(10);
    expect(bans.explain(peer(1)).offences[0]).toMatchObject({ reason: 'protocol_violation', rule: 'broken_frame' });
  });

  test('are limited per peer for the latest 1,000 peers', async () => {
    const { bans } = await startedBans();
    for (let n = 0; n < 3000; n += 1) bans.malformedRpc(peer(n));
    bans.malformedRpc(peer(2999));
    expect(bans.scoreOf(peer(2999))).toBe(5);
  });
});

describe('time and stopping', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  test('every minute removes ended bans and decayed scores from memory and store, and retries dials', async () => {
    const { bans, node, clock, store, metrics } = await startedBans();
    await bans.ban('192.0.2.1', clock.now() + 1000);
    bans.addScore(peer(1), 'unknown', { role: 'author', rule: 'r', topic: 't', hash: undefined });
    clock.advance(60_000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(metrics.gaugeValue('teranode_p2p_bans')).toBe(0);
    expect(metrics.gaugeValue('teranode_p2p_scores')).toBe(0);
    expect(await store.inner.loadBans()).toEqual([]);
    expect((await store.inner.loadScores()).scores).toEqual([]);
    expect(node.dialRetries).toBe(1);
  });

  test('stop may be called twice, writes what is pending, is bounded in time, and leaves no timer', async () => {
    const { bans, store } = await startedBans();
    void bans.ban(peer(1));
    await Promise.all([bans.stop(), bans.stop()]);
    expect(store.argsOf('putBan')).toHaveLength(1);
    expect(store.argsOf('close')).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
    const slow = new FlakyBanStore();
    const other = await startedBans({}, slow);
    slow.before = ({ method }) => (method === 'putBan' ? new Promise(() => {}) : undefined);
    void other.bans.ban(peer(1));
    const stopping = other.bans.stop();
    await vi.advanceTimersByTimeAsync(1000);
    await stopping;
    expect(other.bans.isBanned(peer(1))).toBe(true);
  });

  test('a failed start leaves no timer', async () => {
    const store = new FlakyBanStore();
    store.isDown = true;
    const starting = startedBans({}, store);
    const failed = expect(starting).rejects.toMatchObject({ code: 'STORE_FAILED' });
    store.refuses = () => true;
    store.isDown = false;
    await vi.advanceTimersByTimeAsync(1000);
    await failed;
    expect(vi.getTimerCount()).toBe(0);
  });
});
