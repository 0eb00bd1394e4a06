// What a store of bans promises, whatever database stands behind it. Run for SQLite and for a real PostgreSQL server.
import { afterEach, describe, expect, test } from 'vitest';
import type { BanEntry } from '../../src/domain/ban.ts';
import type { PeerId } from '../../src/domain/ids.ts';
import type { BanStore, SeenAddress, StoreChange } from '../../src/ports/ban-store.ts';
import { boundTests, purged } from './ban-store-bounds.ts';
import { entry, offence, PEER, T0 } from './ban-store-samples.ts';

export interface BanStoreUnderTest {
  /** Another store on the same database, not open yet. */
  store(): BanStore;
  /** Runs statements on that database, past every store. */
  sql(text: string): Promise<void>;
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const MANY_BANS = 110_000;

/** What people and peers write, and what breaks careless SQL. */
const ODD_TEXTS = ["'); DROP TABLE bans; --", '"quoted" \\ `back`', 'line\nbreak\r\ttab', '𝔘nicode ☂ é', '', '%_$1 ?'];

export function banStoreConformance(setUp: () => Promise<BanStoreUnderTest>): void {
  const opened: BanStore[] = [];

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()));
  });

  async function openOn(target: BanStoreUnderTest): Promise<BanStore> {
    const store = target.store();
    opened.push(store);
    await store.open();
    return store;
  }

  const fresh = async () => openOn(await setUp());

  describe('opening', () => {
    lifeTests({ setUp, openOn });
  });
  describe('bans', () => {
    banTests({ setUp, openOn, fresh });
  });
  describe('scores', () => {
    scoreTests({ setUp, openOn, fresh });
  });
  describe('addresses and purge', () => {
    purgeTests({ fresh });
  });
  describe('bounds', () => {
    boundTests({ setUp, openOn });
  });
  describe('rows of a Go deployment', () => {
    legacyTests({ setUp, openOn, fresh });
  });
}

export interface Tools {
  readonly setUp: () => Promise<BanStoreUnderTest>;
  readonly openOn: (target: BanStoreUnderTest) => Promise<BanStore>;
  readonly fresh: () => Promise<BanStore>;
}

function lifeTests({ setUp, openOn }: Pick<Tools, 'setUp' | 'openOn'>): void {
  test('before open and after close every call is refused as unavailable', async () => {
    const store = (await setUp()).store();
    await expect(store.loadBans()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await store.open();
    await store.open();
    expect(await store.loadBans()).toEqual([]);
    await Promise.all([store.close(), store.close()]);
    await store.close();
    await expect(store.putBan(entry())).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await expect(store.addOffence(offence())).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });

  test('a store opened again holds all that it held', async () => {
    const target = await setUp();
    const first = await openOn(target);
    await first.putBan(entry());
    await first.addOffence(offence());
    await first.putAddress({ address: '203.0.113.7', peerId: PEER, lastSeenMs: T0 });
    await first.close();
    await first.open();
    for (const store of [first, await openOn(target)]) {
      expect(await store.loadBans()).toEqual([entry()]);
      expect(await store.loadScores()).toEqual({
        scores: [{ subject: PEER, role: 'author', score: 10, atMs: T0 }],
        offences: [offence()],
      });
      expect(await store.loadAddresses()).toEqual([{ address: '203.0.113.7', peerId: PEER, lastSeenMs: T0 }]);
    }
  });

  test('tables of a newer program are left alone', async () => {
    const target = await setUp();
    await (await openOn(target)).putBan(entry());
    await target.sql("UPDATE teranode_p2p_meta SET value = '99' WHERE key = 'schema'");
    await expect(target.store().open()).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await target.sql("UPDATE teranode_p2p_meta SET value = '1' WHERE key = 'schema'");
    expect(await (await openOn(target)).loadBans()).toEqual([entry()]);
  });

  test('a listener does not hear of its own store’s changes', async () => {
    const store = await openOn(await setUp());
    const heard: StoreChange[] = [];
    const unsubscribe = store.subscribe((change) => heard.push(change));
    await store.putBan(entry());
    unsubscribe();
    unsubscribe();
    expect(heard).toEqual([]);
  });
}

function banTests({ setUp, openOn, fresh }: Tools): void {
  test('what is put is found, alone and among all', async () => {
    const store = await fresh();
    const subnet = entry({ key: '2001:db8::/32', kind: 'subnet', source: 'operator', causedBy: undefined });
    const peer = entry({ key: PEER, kind: 'peer', source: 'imported', untilMs: 8_640_000_000_000_000 });
    for (const each of [entry(), subnet, peer]) await store.putBan(each);
    expect(byKey(await store.loadBans())).toEqual(byKey([entry(), subnet, peer]));
    expect(await store.loadBan(subnet.key)).toEqual(subnet);
    expect(await store.loadBan('198.51.100.1')).toBeUndefined();
  });

  test('putting a key again changes every field of it', async () => {
    const store = await fresh();
    await store.putBan(entry());
    const changed = entry({
      kind: 'peer',
      untilMs: T0 + 5,
      createdAtMs: T0 + 1,
      reason: 'other',
      evidence: 'none',
      source: 'operator',
      causedBy: undefined,
    });
    await store.putBan(changed);
    expect(await store.loadBans()).toEqual([changed]);
  });

  test('removing takes one, and nothing when there is none', async () => {
    const store = await fresh();
    const other = entry({ key: '203.0.113.8' });
    await store.putBan(entry());
    await store.putBan(other);
    await store.removeBan('198.51.100.1');
    await store.removeBan(entry().key);
    await store.removeBan(entry().key);
    expect(await store.loadBans()).toEqual([other]);
  });

  test('removing a peer takes what its ban brought about, and nothing of another', async () => {
    const store = await fresh();
    const other = entry({ key: '203.0.113.9', causedBy: 'QmOther' as PeerId });
    for (const each of [entry(), entry({ key: PEER, kind: 'peer', causedBy: undefined }), other])
      await store.putBan(each);
    await store.removeBan(PEER);
    expect(await store.loadBans()).toEqual([other]);
  });

  test('clearing takes all bans and leaves the scores', async () => {
    const store = await fresh();
    await store.putBan(entry());
    await store.addOffence(offence());
    await store.clearBans();
    await store.clearBans();
    expect(await store.loadBans()).toEqual([]);
    expect((await store.loadScores()).scores).toHaveLength(1);
  });

  test('any text comes back as it was', async () => {
    const store = await fresh();
    for (const text of ODD_TEXTS) {
      const odd = entry({ key: `key ${text}`, reason: text, evidence: text, causedBy: text as PeerId });
      await store.putBan(odd);
      expect(await store.loadBan(odd.key)).toEqual(odd);
      const noted = offence({ subject: `subject ${text}`, rule: text, topic: text });
      await store.addOffence(noted);
      expect((await store.loadScoresOf(noted.subject)).offences).toEqual([noted]);
    }
    expect(await store.loadBans()).toHaveLength(ODD_TEXTS.length);
  });

  test('a zero byte keeps no ban from being kept', async () => {
    const store = await fresh();
    await store.putBan(entry({ key: 'a\0b', evidence: 'x\0y' }));
    expect(await store.loadBan('a\0b')).toMatchObject({ key: 'a\ufffdb', evidence: 'x\ufffdy' });
    await store.addOffence(offence({ subject: 's\0', topic: 't\0' }));
    expect((await store.loadScoresOf('s\0')).scores).toHaveLength(1);
    await store.resetScores(['s\0']);
    await store.removeBan('a\0b');
    expect([await store.loadBans(), (await store.loadScores()).scores]).toEqual([[], []]);
  });

  test('a number that is none is refused for good, and the store goes on', async () => {
    const store = await fresh();
    await expect(store.putBan(entry({ untilMs: 0.5 }))).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await expect(store.addOffence(offence({ points: 0.5 }))).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect((await store.loadScores()).offences).toEqual([]);
    await store.putBan(entry());
    expect(await store.loadBans()).toEqual([entry()]);
  });

  test('110,000 bans are loaded within seconds', async () => {
    const target = await setUp();
    const store = await openOn(target);
    await target.sql(`
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${MANY_BANS})
      INSERT INTO teranode_p2p_bans (key, kind, until_ms, created_at_ms, reason, evidence, source, because)
      SELECT 'key' || CAST(i AS TEXT), 'address', ${T0} + i, ${T0}, 'spam', 'rule too_many, topic subtree, hash',
        'automatic', NULL FROM n`);
    const startedMs = performance.now();
    const bans = await store.loadBans();
    expect(performance.now() - startedMs).toBeLessThan(5000);
    expect(bans).toHaveLength(MANY_BANS);
    expect(bans.find(({ key }) => key === `key${MANY_BANS}`)?.untilMs).toBe(T0 + MANY_BANS);
    await purged(store, T0 + MANY_BANS - 1);
    expect(await store.loadBans()).toHaveLength(1);
  });
}

function scoreTests({ setUp, openOn, fresh }: Tools): void {
  test('a first offence makes the score; hash and topic may be missing', async () => {
    const store = await fresh();
    const bare = offence({ hash: undefined, topic: '' });
    expect(await store.addOffence(bare)).toEqual({ subject: PEER, role: 'author', score: 10, atMs: T0 });
    expect((await store.loadScoresOf(PEER)).offences).toEqual([bare]);
  });

  test('a point leaves with each whole minute; the rest of the minute is kept', async () => {
    const store = await fresh();
    const scoreAfter = async (sinceT0Ms: number, points: number) => {
      const { score, atMs } = await store.addOffence(offence({ points, atMs: T0 + sinceT0Ms }));
      return [score, atMs - T0];
    };
    expect(await scoreAfter(0, 50)).toEqual([50, 0]);
    // Two minutes and a half: two points gone, half a minute counts on.
    expect(await scoreAfter(150_000, 10)).toEqual([58, 120_000]);
    expect(await scoreAfter(180_000, 1)).toEqual([58, 180_000]);
    expect(await scoreAfter(180_000 + 59_999, 1)).toEqual([59, 180_000]);
    // Fully decayed: it starts anew at the time of the offence.
    expect(await scoreAfter(DAY_MS + 1, 7)).toEqual([7, DAY_MS + 1]);
  });

  test('points raise the score up to a ceiling, and never lower one that is above it', async () => {
    const store = await fresh();
    const scoreAfter = async (points: number, ceiling?: number) =>
      (await store.addOffence(offence({ points }), ceiling)).score;
    expect([await scoreAfter(30, 50), await scoreAfter(30, 50), await scoreAfter(1, 50)]).toEqual([30, 50, 50]);
    expect([await scoreAfter(20), await scoreAfter(1, 50), await scoreAfter(10, Number.POSITIVE_INFINITY)]).toEqual([
      70, 70, 80,
    ]);
  });

  test('an offence from before the score’s moment adds its points and gives back none', async () => {
    const store = await fresh();
    await store.addOffence(offence({ points: 50 }));
    const late = await store.addOffence(offence({ points: 10, atMs: T0 - 10 * MINUTE_MS }));
    expect(late).toEqual({ subject: PEER, role: 'author', score: 60, atMs: T0 });
    expect((await store.loadScoresOf(PEER)).offences.map(({ atMs }) => atMs - T0)).toEqual([-10 * MINUTE_MS, 0]);
  });

  test('roles and subjects are counted apart, and read together', async () => {
    const store = await fresh();
    await store.addOffence(offence());
    await store.addOffence(offence({ role: 'relay', points: 20, atMs: T0 + 1 }));
    await store.addOffence(offence({ role: 'datahub', subject: 'hub.example:8090', points: 30, atMs: T0 + 2 }));
    const of = await store.loadScoresOf(PEER);
    expect(of.scores.map(({ role, score }) => `${role} ${score}`).sort()).toEqual(['author 10', 'relay 20']);
    expect(of.offences.map(({ role }) => role)).toEqual(['author', 'relay']);
    const all = await store.loadScores();
    expect(all.scores.map(({ score }) => score).sort()).toEqual([10, 20, 30]);
    expect(all.offences.map(({ points }) => points)).toEqual([10, 10 + 10, 30]);
    expect(await store.loadScoresOf('nobody')).toEqual({ scores: [], offences: [] });
  });

  test('the latest fifty offences of a subject are kept, whatever order they came in', async () => {
    const store = await fresh();
    await store.addOffence(offence({ subject: 'other' }));
    for (let i = 0; i < 60; i += 1)
      await store.addOffence(offence({ role: i % 2 === 0 ? 'author' : 'relay', points: 1, atMs: T0 + i }));
    await store.addOffence(offence({ points: 1, atMs: T0 - 1 }));
    const { offences } = await store.loadScoresOf(PEER);
    expect(offences.map(({ atMs }) => atMs - T0)).toEqual(Array.from({ length: 50 }, (_each, i) => i + 10));
    expect((await store.loadScoresOf('other')).offences).toHaveLength(1);
  });

  test('of offences that two stores add at once none is lost', async () => {
    const target = await setUp();
    const stores = [await openOn(target), await openOn(target)];
    const twenty = Array.from({ length: 20 }, (_each, i) => i);
    const [mine = [], theirs = []] = await Promise.all(
      stores.map((store) => Promise.all(twenty.map(() => store.addOffence(offence({ points: 3 }))))),
    );
    const scores = [...mine, ...theirs].map(({ score }) => score).sort((a, b) => a - b);
    expect(scores).toEqual(Array.from({ length: 40 }, (_each, i) => 3 * (i + 1)));
    const { scores: kept, offences } = (await stores[0]?.loadScoresOf(PEER)) ?? { scores: [], offences: [] };
    expect([kept[0]?.score, offences.length]).toEqual([120, 40]);
  });

  test('a reset takes a subject’s scores and offences in every role', async () => {
    const store = await fresh();
    await store.addOffence(offence());
    await store.addOffence(offence({ role: 'relay' }));
    await store.addOffence(offence({ subject: 'other' }));
    await store.addOffence(offence({ subject: 'second' }));
    await store.resetScores([PEER, 'second', PEER]);
    await store.resetScores(['nobody']);
    await store.resetScores([]);
    expect(await store.loadScoresOf(PEER)).toEqual({ scores: [], offences: [] });
    expect(await store.loadScores()).toMatchObject({
      scores: [{ subject: 'other' }],
      offences: [{ subject: 'other' }],
    });
    expect((await store.addOffence(offence({ points: 1 }))).score).toBe(1);
  });
}

function purgeTests({ fresh }: Pick<Tools, 'fresh'>): void {
  const seen = (address: string, lastSeenMs: number, peerId = PEER): SeenAddress => ({ address, peerId, lastSeenMs });

  test('an address is kept for each peer, with the time it was seen last', async () => {
    const store = await fresh();
    const other = 'QmOther' as PeerId;
    await store.putAddress(seen('203.0.113.7', T0));
    await store.putAddress(seen('203.0.113.7', T0 + 5));
    await store.putAddress(seen('203.0.113.7', T0 + 1));
    await store.putAddress(seen('203.0.113.7', T0, other));
    await store.putAddress(seen('203.0.113.70', T0 - 1));
    const newestFirst = (all: SeenAddress[]) => all.sort((a, b) => b.lastSeenMs - a.lastSeenMs);
    const there = [seen('203.0.113.7', T0 + 5), seen('203.0.113.7', T0, other)];
    expect(newestFirst(await store.loadAddressesAt('203.0.113.7'))).toEqual(there);
    expect(await store.loadAddressesAt('203.0.113.8')).toEqual([]);
    expect(newestFirst(await store.loadAddresses()).slice(0, 2)).toEqual(there);
    expect(await store.loadAddresses()).toHaveLength(3);
  });

  test('purge forgets what ended and nothing else', async () => {
    const store = await fresh();
    const nowMs = T0 + 10 * MINUTE_MS;
    await store.putBan(entry({ key: 'ended', untilMs: nowMs }));
    await store.putBan(entry({ key: 'lasting', untilMs: nowMs + 1 }));
    await store.addOffence(offence({ subject: 'decayed', points: 10 }));
    await store.addOffence(offence({ subject: 'point left', points: 10, atMs: T0 + 1 }));
    await store.addOffence(offence({ subject: 'two roles', role: 'author', points: 1 }));
    await store.addOffence(offence({ subject: 'two roles', role: 'relay', points: 99 }));
    await store.putAddress(seen('old', nowMs - DAY_MS - 1));
    await store.putAddress(seen('young', nowMs - DAY_MS));
    await purged(store, nowMs);
    expect((await store.loadBans()).map(({ key }) => key)).toEqual(['lasting']);
    const { scores, offences } = await store.loadScores();
    expect(scores.map(({ subject, role }) => `${subject} ${role}`).sort()).toEqual([
      'point left author',
      'two roles relay',
    ]);
    expect(offences.map(({ subject, role }) => `${subject} ${role}`).sort()).toEqual([
      'point left author',
      'two roles relay',
    ]);
    expect((await store.loadAddresses()).map(({ address }) => address)).toEqual(['young']);
  });
}

function legacyTests({ setUp, openOn, fresh }: Tools): void {
  const table = (timeType: string) =>
    `CREATE TABLE bans (key TEXT PRIMARY KEY, expiration_time ${timeType}, subnet TEXT)`;
  const TIMES = {
    '203.0.113.7:9905': '2031-01-02T03:04:05Z',
    '::ffff:198.51.100.1': '2031-01-02T03:04:05.678+02:00',
    '10.0.0.0/8': '2031-06-02T23:59:59-11:30',
    "it's": '2001-01-01T00:00:00Z',
  };

  test('none without a table, or with one that is somebody else’s', async () => {
    expect(await (await fresh()).legacyBans()).toEqual([]);
    const target = await setUp();
    await target.sql("CREATE TABLE bans (key TEXT, reason TEXT); INSERT INTO bans VALUES ('203.0.113.7', 'x')");
    const store = await openOn(target);
    expect(await store.legacyBans()).toEqual([]);
    expect(await store.loadBans()).toEqual([]);
  });

  // Go's own type, and the text that it is in a database made by hand.
  test.each(['TIMESTAMP WITH TIME ZONE', 'TEXT'])('times of type %s are read as RFC 3339', async (timeType) => {
    const target = await setUp();
    await target.sql(table(timeType));
    for (const [key, time] of Object.entries(TIMES)) {
      const quoted = key.replaceAll("'", "''");
      await target.sql(
        `INSERT INTO bans (key, expiration_time, subnet) VALUES ('${quoted}', '${time}', '${quoted}/x')`,
      );
    }
    await target.sql("INSERT INTO bans (key) VALUES ('bare')");
    const rows = await (await openOn(target)).legacyBans();
    for (const { expiration } of rows.filter(({ key }) => key !== 'bare'))
      expect(expiration).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/);
    const read = rows.map(({ key, subnet, expiration }) => [key, subnet, Date.parse(expiration)]);
    const written = Object.entries(TIMES).map(([key, time]) => [key, `${key}/x`, Date.parse(time)]);
    expect(read.sort()).toEqual([...written, ['bare', '', Number.NaN]].sort());
  });

  test('they are taken over once, whoever asks again', async () => {
    const target = await setUp();
    await target.sql(`${table('TEXT')}; INSERT INTO bans VALUES ('203.0.113.7', '2031-01-02T03:04:05Z', '')`);
    const store = await openOn(target);
    for (let i = 0; i < 2; i += 1)
      expect(await store.legacyBans()).toEqual([
        { key: '203.0.113.7', subnet: '', expiration: '2031-01-02T03:04:05Z' },
      ]);
    await store.legacyTaken();
    await store.legacyTaken();
    expect(await store.legacyBans()).toEqual([]);
    await store.close();
    expect(await (await openOn(target)).legacyBans()).toEqual([]);
  });
}

function byKey(entries: readonly BanEntry[]): BanEntry[] {
  return [...entries].sort((a, b) => (a.key < b.key ? -1 : 1));
}
