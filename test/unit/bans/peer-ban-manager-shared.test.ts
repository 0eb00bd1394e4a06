// Scores of several servers with one store, shadow mode, and limits.
import { describe, expect, test } from 'vitest';
import { MAX_SUBJECTS } from '../../../src/bans/scores/peer-ban-manager.ts';
import type { OffenceFacts, ScoreRow } from '../../../src/domain/offence.ts';
import { DECAY_INTERVAL_MS } from '../../../src/domain/score-decay.ts';
import { banParts, peer } from '../../fakes/ban-parts.ts';
import { FlakyBanStore, memoryStore } from '../../fakes/flaky-ban-store.ts';
import { managed } from '../../fakes/managed-scores.ts';
import { FakeClock } from '../../fakes/recorders.ts';
import { waitFor } from '../../support/wait.ts';

const [bad, other] = [peer(1), peer(2)];
const FACTS: OffenceFacts = { role: 'author', rule: 'r', topic: 't', hash: undefined };
const byRule = (rule: string): OffenceFacts => ({ ...FACTS, rule });

describe('two servers with one store', () => {
  async function two() {
    const inner = memoryStore();
    const clock = new FakeClock();
    const [a, b] = [
      await managed({}, banParts(new FlakyBanStore(inner), clock)),
      await managed({}, banParts(new FlakyBanStore(inner), clock)),
    ];
    return { a, b, inner, clock };
  }

  test('add up their offences, and only the server that saw the last one bans', async () => {
    const { a, b } = await two();
    a.manager.addScore(bad, 'spam', FACTS);
    await a.settled();
    expect(b.manager.addScore(bad, 'spam', FACTS)).toMatchObject({ score: 50, reachedThreshold: false });
    await b.settled();
    expect(b.manager.getBanScore(bad)).toBe(100);
    expect(b.bans).toHaveLength(1);
    expect(a.bans).toHaveLength(0);
  });

  test('adopt each other’s scores, which ban nobody by themselves', async () => {
    const { a, b } = await two();
    for (let i = 0; i < 3; i += 1) a.manager.addScore(bad, 'spam', FACTS);
    await a.settled();
    b.store.tell({ type: 'score', subject: bad });
    await waitFor(() => b.manager.getBanScore(bad) === 150, { what: 'the score of the other server' });
    expect(b.manager.reasons(bad)).toHaveLength(3);
    expect(b.bans).toEqual([]);
    await a.manager.reset(bad);
    b.store.tell({ type: 'score', subject: bad });
    await waitFor(() => b.manager.getBanScore(bad) === 0, { what: 'the reset of the other server' });
    expect(b.manager.reasons(bad)).toEqual([]);
  });

  test('read all scores again after a lost connection, new and removed ones', async () => {
    const { a, b } = await two();
    b.manager.addScore(bad, 'spam', FACTS);
    await b.settled();
    a.manager.addScore(other, 'spam', FACTS);
    await a.settled();
    await a.manager.reset(bad);
    b.store.tell({ type: 'all' });
    await waitFor(() => b.manager.getBanScore(other) === 50, { what: 'the score of the other server' });
    expect(b.manager.getBanScore(bad)).toBe(0);
  });

  test('do not undo an offence by a score that was read before it', async () => {
    const { b } = await two();
    const answer = Promise.withResolvers<void>();
    b.store.after = ({ method }) => (method.startsWith('loadScores') ? answer.promise : undefined);
    b.store.tell({ type: 'score', subject: bad });
    await waitFor(() => b.store.argsOf('loadScoresOf').length === 1, { what: 'the reading' });
    b.manager.addScore(bad, 'spam', FACTS);
    await b.settled();
    answer.resolve();
    await waitFor(() => b.store.argsOf('loadScoresOf').length === 2, { what: 'the second reading' });
    await b.settled();
    expect(b.manager.getBanScore(bad)).toBe(50);
  });

  test('let the store decide when one resets while an offence of the other is pending', async () => {
    const { a, b, inner } = await two();
    b.store.isDown = true;
    b.manager.addScore(bad, 'spam', FACTS);
    await a.manager.reset(bad);
    b.store.tell({ type: 'score', subject: bad });
    b.store.isDown = false;
    await b.settled();
    expect(b.manager.getBanScore(bad)).toBe((await inner.loadScoresOf(bad)).scores[0]?.score);
  });
});

describe('shadow mode', () => {
  test('of a rule records the bans that would have followed; other rules are enforced', async () => {
    const isShadow = (rule: string) => rule === 'shadowed';
    const { manager, store, bans, settled, metrics, clock } = await managed({ isShadow });
    expect(manager.addScore(bad, 'spam', byRule('shadowed'))).toMatchObject({
      score: 50,
      reachedThreshold: false,
      isShadow: true,
    });
    expect(manager.addScore(bad, 'spam', byRule('shadowed'))).toMatchObject({ score: 100, reachedThreshold: true });
    expect(manager.addScore(bad, 'spam', byRule('shadowed'))).toMatchObject({ score: 150, reachedThreshold: false });
    clock.advance(1);
    expect(manager.addScore(bad, 'invalid_block', byRule('real')).score).toBe(10);
    await settled();
    expect(manager.getBanScore(bad)).toBe(10);
    expect(manager.list()).toEqual([{ subject: bad, role: 'author', score: 10 }]);
    expect(manager.reasons(bad)).toHaveLength(1);
    expect(bans).toEqual([]);
    expect((await store.inner.loadScores()).offences).toHaveLength(1);
    expect(metrics.count('teranode_p2p_offences_total', { mode: 'shadow' })).toBe(3);
    const account = manager.accountOf(bad);
    expect(account.withheld).toHaveLength(1);
    expect(account.withheld[0]).toMatch(/^2023-11-14T.* ban for spam, score 100 as author/);
    expect(account.shadowScores).toEqual([{ role: 'author', score: 150 }]);
    expect(account.offences.map((each) => each.isShadow)).toEqual([true, true, true, false]);
  });

  test('adds real and shadow points: 90 real points and one shadow offence would be a ban', async () => {
    const { manager } = await managed({ isShadow: (rule) => rule === 'shadowed' });
    for (let i = 0; i < 9; i += 1) manager.addScore(bad, 'invalid_block', byRule('real'));
    expect(manager.addScore(bad, 'invalid_block', byRule('shadowed')).reachedThreshold).toBe(true);
    manager.addScore(other, 'spam', byRule('shadowed'));
    expect(manager.accountOf(other).withheld).toEqual([]);
    expect(manager.addScore(other, 'spam', byRule('real')).reachedThreshold).toBe(false);
    for (const id of [bad, other]) expect(manager.accountOf(id).withheld).toHaveLength(1);
  });

  test('of all rules bans nobody, and records each ban that would have followed', async () => {
    const { manager, bans, settled } = await managed({ isShadow: () => true });
    for (const id of [bad, other]) for (let i = 0; i < 4; i += 1) manager.addScore(id, 'spam', FACTS);
    await settled();
    expect(bans).toEqual([]);
    expect(manager.list()).toEqual([]);
    for (const id of [bad, other]) expect(manager.accountOf(id).withheld).toHaveLength(1);
  });

  test('records nothing for whitelisted peers, DataHub hosts and banned peers, which enforcement would not have banned', async () => {
    const { manager } = await managed({
      isShadow: (rule) => rule === 'shadowed',
      isWhitelisted: (peerId) => peerId === bad,
    });
    for (let i = 0; i < 4; i += 1) {
      manager.addScore(bad, 'spam', byRule('shadowed'));
      manager.addScore('hub.example', 'spam', { ...byRule('shadowed'), role: 'datahub' });
      manager.addScore(other, 'spam', byRule('real'));
    }
    for (let i = 0; i < 4; i += 1) manager.addScore(other, 'spam', byRule('shadowed'));
    for (const subject of [bad, other, 'hub.example']) expect(manager.accountOf(subject).withheld).toEqual([]);
  });

  test('applies to what is recorded at a DataHub’s host, in every mode', async () => {
    const { manager, store, settled, bans } = await managed();
    for (let i = 0; i < 5; i += 1)
      manager.addScore('hub.example', 'spam', { ...byRule('datahub_report'), role: 'datahub' });
    await settled();
    expect(manager.accountOf('hub.example')).toMatchObject({
      scores: [],
      shadowScores: [{ role: 'datahub', score: 250 }],
      withheld: [],
    });
    expect([manager.list(), bans, (await store.inner.loadScores()).scores]).toEqual([[], [], []]);
  });

  test('keeps a limited number of the latest notes, and a reset removes them', async () => {
    const { manager } = await managed();
    for (let i = 0; i < 50; i += 1) manager.note([bad], `note ${i}`);
    expect(manager.accountOf(bad).withheld).toHaveLength(20);
    expect(manager.accountOf(bad).withheld.at(-1)).toContain('note 49');
    for (let i = 0; i < 1000; i += 1) manager.note([`subject ${i}`], 'note');
    expect(manager.accountOf(bad).withheld).toEqual([]);
    expect(manager.accountOf('subject 999').withheld).toHaveLength(1);
    await manager.reset('subject 999');
    expect(manager.accountOf('subject 999').withheld).toEqual([]);
  });
});

describe('limits', () => {
  test('the subject whose last offence is oldest is forgotten first, and counted', async () => {
    const { manager, metrics } = await managed();
    manager.addScore(peer(0), 'spam', FACTS);
    for (let i = 1; i < MAX_SUBJECTS; i += 1) manager.addScore(peer(i), 'unknown', FACTS);
    manager.addScore(peer(0), 'spam', FACTS);
    for (let i = 0; i < 10; i += 1) manager.addScore(peer(MAX_SUBJECTS + i), 'unknown', FACTS);
    expect(metrics.gaugeValue('teranode_p2p_scores')).toBe(MAX_SUBJECTS);
    expect(metrics.count('teranode_p2p_scores_evicted_total')).toBe(10);
    expect(manager.getBanScore(peer(0))).toBe(100);
    expect(manager.getBanScore(peer(1))).toBe(0);
    expect(manager.getBanScore(peer(11))).toBe(1);
  });

  test('of a store with more subjects, those with the latest offences are loaded', async () => {
    const parts = banParts();
    const rows: ScoreRow[] = Array.from({ length: MAX_SUBJECTS + 100 }, (_each, i) => ({
      subject: peer(i),
      role: 'author',
      score: 90,
      atMs: parts.clock.now() - i,
    }));
    const offences = rows.map(({ subject, atMs }) => ({
      ...FACTS,
      subject,
      atMs,
      reason: 'spam' as const,
      points: 50,
    }));
    // As both stores give them: scores the newest first, offences the oldest first.
    parts.store.loadScores = async () => ({ scores: rows, offences: offences.toReversed() });
    const { manager } = await managed({}, parts);
    expect(manager.list()).toHaveLength(MAX_SUBJECTS);
    expect(manager.getBanScore(peer(0))).toBe(90);
    expect(manager.reasons(peer(0))).toHaveLength(1);
    expect(manager.getBanScore(peer(MAX_SUBJECTS + 99))).toBe(0);
    manager.addScore(peer(1_000_000), 'spam', FACTS);
    expect(manager.getBanScore(peer(0))).toBe(90);
  });

  test('the latest fifty offences of a subject are kept, in memory and after a restart', async () => {
    const { manager, clock, store, settled } = await managed({ threshold: 1e9 });
    for (let i = 0; i < 80; i += 1) {
      manager.addScore(bad, 'spam', byRule(`r${i}`));
      clock.advance(1);
    }
    await settled();
    for (const each of [manager, (await managed({}, banParts(store, clock))).manager]) {
      expect(each.reasons(bad)).toHaveLength(50);
      expect(each.reasons(bad).at(-1)?.rule).toBe('r79');
    }
  });

  test('purge forgets the subjects whose scores have decayed to zero, and no others', async () => {
    const { manager, clock, metrics } = await managed({ isShadow: (rule) => rule === 'shadowed' });
    manager.addScore(bad, 'unknown', FACTS);
    manager.addScore(other, 'invalid_block', FACTS);
    manager.addScore(bad, 'invalid_block', byRule('shadowed'));
    clock.advance(DECAY_INTERVAL_MS);
    manager.purge();
    expect(metrics.gaugeValue('teranode_p2p_scores')).toBe(1);
    expect(manager.reasons(bad)).toEqual([]);
    expect(manager.getBanScore(other)).toBe(9);
    expect(manager.accountOf(bad).shadowScores).toEqual([{ role: 'author', score: 9 }]);
  });
});
