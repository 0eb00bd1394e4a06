// Scores of authors that another service keeps: the ban service with such a service in front of it.

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SqliteBanStore } from '../../../src/adapters/sql/sqlite-ban-store.ts';
import type { BanServiceOptions } from '../../../src/bans/service.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { ScoreAnswer, ScoreAuthority } from '../../../src/ports/score-authority.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { FlakyBanStore } from '../../fakes/flaky-ban-store.ts';
import { FakeClock, recordingLogger } from '../../fakes/recorders.ts';
import { banOf, keysOf, startedBans } from '../../fakes/started-bans.ts';
import { temporaryFolder } from '../../support/cleanup.ts';
import { eventually } from '../../support/eventually.ts';

const ID = peer(1);
const FACTS = { role: 'author', rule: 'header_mismatch', topic: 'block', hash: undefined } as const;

/** A service that answers what a test sets. */
class FakeAuthority implements ScoreAuthority {
  keeper: 'this node' | 'blockchain service' = 'blockchain service';
  isUp = true;
  banned: PeerId[] = [];
  clears = 0;
  readonly offences: unknown[][] = [];
  answer: ScoreAnswer | undefined | Promise<ScoreAnswer | undefined> = { score: 7, isNewBan: false };
  private readonly scores = new Map<PeerId, number>();

  keptBy() {
    return this.keeper;
  }

  isAnswering(): boolean {
    return this.isUp;
  }

  async addOffence(peerId: PeerId, ...rest: unknown[]): Promise<ScoreAnswer | undefined> {
    this.offences.push([peerId, ...rest]);
    const answer = await this.answer;
    if (answer !== undefined) this.scores.set(peerId, answer.score);
    return answer;
  }

  scoreOf(peerId: PeerId): number | undefined {
    return this.scores.get(peerId);
  }

  async bannedPeers(): Promise<readonly PeerId[] | undefined> {
    return this.isUp ? this.banned : undefined;
  }

  async clearBans(): Promise<void> {
    this.clears += 1;
    this.banned = [];
  }
}

interface Start {
  readonly options?: Partial<BanServiceOptions>;
  readonly authority?: FakeAuthority;
  readonly store?: FlakyBanStore;
  readonly clock?: FakeClock;
}

async function started({ options, authority = new FakeAuthority(), store, clock }: Start = {}) {
  return { ...(await startedBans(options, store, clock, authority)), authority };
}

/** A service that keeps its bans over a restart; each start is half a minute after the one before. */
function restartable(authority: FakeAuthority): () => ReturnType<typeof started> {
  const path = join(temporaryFolder('bans'), 'bans.db');
  const clock = new FakeClock();
  return async () => {
    clock.advance(30_000);
    const store = new FlakyBanStore(new SqliteBanStore({ log: recordingLogger() }, { path }));
    return await started({ authority, store, clock });
  };
}

describe('offences', () => {
  test('the score of an author is what the service answers, and no own score bans', async () => {
    const { bans, authority } = await started();
    for (let i = 0; i < 5; i += 1) expect(bans.addScore(ID, 'spam', FACTS)).toMatchObject({ ban: undefined });
    expect(await bans.addScore(ID, 'spam', FACTS).counted).toBe(7);
    expect(authority.offences).toContainEqual([ID, 'spam', 50]);
    expect(bans.scoreOf(ID)).toBe(7);
    expect(keysOf(bans)).toEqual([]);
    expect(bans.explain(ID)).toMatchObject({
      scoreKeptBy: 'blockchain service',
      scores: [{ role: 'author', score: 7 }],
      offences: expect.arrayContaining([expect.objectContaining({ rule: 'header_mismatch' })]),
    });
  });

  test('of a rule with points of its own are reported under its name, up to half of the threshold', async () => {
    const { bans, authority } = await started();
    const facts = { role: 'author', topic: '', hash: undefined } as const;
    bans.addScore(ID, 'protocol_violation', { ...facts, rule: 'author_mismatch' });
    for (let i = 0; i < 90; i += 1) bans.addScore(ID, 'protocol_violation', { ...facts, rule: 'hash_form' });
    expect(authority.offences[0]).toEqual([ID, 'protocol_violation', 20]);
    expect(authority.offences.slice(1)).toEqual(Array(30).fill([ID, 'hash_form', 1]));
    const full = new FakeAuthority();
    full.answer = { score: 55, isNewBan: false };
    const other = await started({ authority: full });
    await other.bans.addScore(ID, 'spam', { ...facts, rule: 'operator' }).counted;
    other.bans.addScore(ID, 'protocol_violation', { ...facts, rule: 'hash_form' });
    expect(full.offences).toEqual([[ID, 'spam', 50]]);
  });

  test('a ban by the service is carried out like one of our own, with its evidence and the address', async () => {
    const { bans, authority, node } = await started();
    node.connect(ID, '/ip4/192.0.2.7/tcp/1');
    authority.answer = { score: 120, isNewBan: true };
    await bans.addScore(ID, 'invalid_block', FACTS).counted;
    expect(keysOf(bans)).toEqual([ID, '192.0.2.7']);
    expect(banOf(bans, ID)).toMatchObject({
      source: 'service',
      reason: 'score 120 at the blockchain service, last for invalid_block',
      evidence: 'header_mismatch on block; address 192.0.2.7 banned too',
    });
    expect(node.disconnected).toEqual([ID]);
  });

  test('while the service does not answer, own scores decide at once, and offences are reported all the same', async () => {
    const { bans, authority } = await started();
    authority.isUp = false;
    authority.answer = new Promise(() => {});
    bans.addScore(ID, 'spam', FACTS);
    expect(bans.scoreOf(ID)).toBe(50);
    bans.addScore(ID, 'spam', FACTS);
    expect(banOf(bans, ID)).toMatchObject({ source: 'automatic' });
    expect(authority.offences).toHaveLength(2);
  });

  test('an answer that does not come in time leaves the decision to own scores', async () => {
    const { bans, authority } = await started();
    authority.answer = new Promise(() => {});
    bans.addScore(ID, 'spam', FACTS);
    bans.addScore(ID, 'spam', FACTS);
    expect(keysOf(bans)).toEqual([]);
    await eventually(() => expect(keysOf(bans)).toEqual([ID]));
  });

  test('a ban that the service answers too late is carried out', async () => {
    const { bans, authority } = await started();
    authority.isUp = false;
    const { promise, resolve } = Promise.withResolvers<ScoreAnswer>();
    authority.answer = promise;
    expect(await bans.addScore(ID, 'invalid_block', FACTS).counted).toBe(10);
    resolve({ score: 100, isNewBan: true });
    await eventually(() => expect(banOf(bans, ID)).toMatchObject({ source: 'service' }));
  });

  test('offences as propagation source, in shadow mode and of whitelisted peers stay here', async () => {
    const whitelisted = peer(2);
    const { bans, authority } = await started({
      options: { isWhitelisted: (id) => id === whitelisted, isShadow: (rule) => rule === 'replay' },
    });
    authority.banned = [whitelisted];
    bans.addScore(ID, 'spam', { ...FACTS, role: 'relay' });
    bans.addScore(ID, 'spam', { ...FACTS, rule: 'replay' });
    bans.addScore(whitelisted, 'spam', FACTS);
    expect(authority.offences).toEqual([]);
    expect(bans.scoreOf(ID)).toBe(50);
    expect(bans.scoreOf(whitelisted)).toBe(50);
    bans.addScore(ID, 'spam', { ...FACTS, role: 'relay' });
    expect(keysOf(bans)).toEqual([ID]);
  });

  test('where the service keeps no scores, own scores decide and nothing is reported', async () => {
    const { bans, authority } = await started();
    authority.keeper = 'this node';
    authority.isUp = false;
    for (let i = 0; i < 2; i += 1) bans.addScore(ID, 'spam', FACTS);
    expect(keysOf(bans)).toEqual([ID]);
    expect(authority.offences).toEqual([]);
    expect(bans.explain(ID)).toMatchObject({ scoreKeptBy: 'this node', scores: [{ role: 'author', score: 100 }] });
  });
});

describe('bans that the service lists', () => {
  test('hold here from the start, and end here when they are no longer listed, also after a restart', async () => {
    const authority = new FakeAuthority();
    const start = restartable(authority);
    authority.banned = [ID, peer(2)];
    const first = await start();
    expect(keysOf(first.bans)).toEqual([ID, peer(2)]);
    expect(banOf(first.bans, ID)).toMatchObject({ source: 'service', reason: 'banned at the blockchain service' });
    await first.bans.stop();
    authority.isUp = false;
    const second = await start();
    expect(keysOf(second.bans)).toEqual([ID, peer(2)]);
    await second.bans.stop();
    authority.isUp = true;
    authority.banned = [peer(2)];
    const { bans } = await start();
    expect(keysOf(bans)).toEqual([peer(2)]);
    await bans.stop();
  });

  test('neither replace nor end bans of operators and bans that own scores led to', async () => {
    const authority = new FakeAuthority();
    const start = restartable(authority);
    const { bans } = await start();
    await bans.ban(ID, undefined, 'by hand');
    authority.isUp = false;
    for (let i = 0; i < 2; i += 1) bans.addScore(peer(2), 'spam', FACTS);
    await bans.stop();
    authority.isUp = true;
    authority.banned = [ID];
    const next = await start();
    expect(banOf(next.bans, ID)).toMatchObject({ source: 'operator', reason: 'by hand' });
    expect(banOf(next.bans, peer(2))).toMatchObject({ source: 'automatic' });
    await next.bans.stop();
  });

  test('that another server took from a service of its own are not lifted by this one', async () => {
    const authority = new FakeAuthority();
    const store = new FlakyBanStore();
    const clock = new FakeClock();
    store.isShared = true;
    authority.banned = [ID];
    await started({ authority, store, clock });
    authority.banned = [];
    clock.advance(30_000);
    const other = await started({ authority, store, clock });
    expect(keysOf(other.bans)).toEqual([ID]);
  });
});

describe('operators', () => {
  test('lifting all bans lifts those of the service too', async () => {
    const authority = new FakeAuthority();
    authority.banned = [ID];
    const { bans } = await started({ authority });
    await bans.clear();
    expect(keysOf(bans)).toEqual([]);
    expect(authority.clears).toBe(1);
  });

  test('a lifted ban that the service still lists is not taken over again, and own scores decide about that peer', async () => {
    const { bans, authority } = await started();
    authority.answer = { score: 100, isNewBan: true };
    await bans.addScore(ID, 'spam', FACTS).counted;
    authority.banned = [ID];
    await bans.unban(ID);
    expect(keysOf(bans)).toEqual([]);
    const reported = authority.offences.length;
    expect(bans.addScore(ID, 'spam', FACTS).score).toBe(50);
    expect(authority.offences).toHaveLength(reported);
    expect(bans.addScore(ID, 'spam', FACTS).ban).toBeDefined();
    expect(banOf(bans, ID)).toMatchObject({ source: 'automatic' });
  });
});
