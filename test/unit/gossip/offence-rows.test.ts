// The table of offences: what the validators return is in it and nothing else, and what may be an accident bans nobody.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { scoringDocument } from '../../../scripts/docs-scoring.ts';
import { shadowRules } from '../../../src/app/create-bans.ts';
import { chargeOf } from '../../../src/bans/scores/reasons.ts';
import { GOSSIP_RULES, type OffenceRow, OTHER_RULES } from '../../../src/domain/offences.ts';
import type { Settings } from '../../../src/settings/load.ts';
import { P2P_SETTINGS } from '../../../src/settings/schema-p2p.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { startedBans } from '../../fakes/started-bans.ts';
import { eventually } from '../../support/eventually.ts';
import { REPO } from '../../support/repo.ts';

const rows: [string, OffenceRow][] = Object.entries({ ...GOSSIP_RULES, ...OTHER_RULES });
const sources = (folder: string) =>
  readdirSync(join(REPO, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(REPO, folder, name), 'utf8'))
    .join('\n');

test('docs/scoring.md is the table', () => {
  expect(readFileSync(join(REPO, 'docs/scoring.md'), 'utf8')).toBe(scoringDocument());
});

test('every rule that validators return is in the table, and every gossip rule of the table is returned', () => {
  const calls = sources('src/gossip').matchAll(/\b(?:rejected|ignored|forwardedOnly)\((.*)/g);
  const named = [...calls].flatMap(([, text = '']) => [...text.matchAll(/'(\w+)'/g)].map(([, rule]) => rule));
  const ofFaults = ['not_json', 'hash_form', 'decode'];
  const returned = new Set([...named, ...ofFaults].filter((rule) => rule !== 'flood'));
  expect([...returned].sort()).toEqual(Object.keys(GOSSIP_RULES).sort());
});

test('every rule with which an offence is recorded is in the table', () => {
  const recorded = [...sources('src').matchAll(/rule: '(\w+)'/g)].map(([, rule]) => rule);
  expect(recorded.length).toBeGreaterThan(2);
  for (const rule of [...recorded, 'invalid_block_report', 'invalid_subtree_report', 'datahub_report'])
    expect(rows.map(([name]) => name)).toContain(rule);
});

test('every rule that costs points has a name in p2p_policy_shadow_rules', () => {
  const names = P2P_SETTINGS.p2p_policy_shadow_rules.type;
  for (const [rule, row] of rows) {
    if (row.reason === undefined) continue;
    expect(names.parse(row.shadowedAs ?? rule), rule).toEqual([row.shadowedAs ?? rule]);
  }
});

test('a rule is in shadow mode with the one under whose name it is', () => {
  const settings = { p2p_policy_mode: 'enforce', p2p_policy_shadow_rules: ['author_rate', 'author_mismatch'] };
  const isShadow = shadowRules(settings as unknown as Settings);
  const names = ['author_rate', 'author_flood', 'author_mismatch', 'peer_id_form', 'hash_form'];
  expect(names.map(isShadow)).toEqual([true, true, true, true, false]);
});

test('every row says when, who pays, and why', () => {
  for (const [rule, row] of rows) {
    expect(row.when, rule).toMatch(/^[A-Z`].*\.$/);
    expect(row.why, rule).toMatch(/^[A-Z`].*\.$/);
    if (row.payer === 'nobody') expect([row.points, row.reason]).toEqual([0, undefined]);
  }
});

describe.each([100, 30, 1])('with a threshold of %i', (threshold) => {
  const accidents = rows.filter(([, row]) => row.canBeAccident === true);

  test('no number of offences that may be accidents bans a peer, in any role, alone or all together', async () => {
    const { bans, clock, store } = await startedBans({ threshold });
    expect(accidents.length).toBeGreaterThan(5);
    for (let round = 0; round < 300; round += 1) {
      for (const [rule, { reason = 'unknown', payer }] of accidents) {
        const role = payer === 'neighbour' ? 'relay' : 'author';
        bans.addScore(peer(1), reason, { role, rule, topic: '', hash: undefined });
      }
      clock.advance(10_000);
    }
    await bans.stop();
    expect(bans.bans()).toEqual([]);
    for (const { score } of bans.explain(peer(1)).scores) expect(score).toBeLessThanOrEqual(threshold / 2);
    // What adds nothing is not written either: 3,000 s of decay, and half of the threshold for each role.
    expect(store.argsOf('addOffence').length).toBeLessThanOrEqual(2 * (50 + threshold / 2) + 2);
  });

  test('each other rule that costs a peer points bans it', async () => {
    for (const [rule, { reason, canBeAccident, payer }] of rows) {
      if (reason === undefined || canBeAccident || payer === 'host') continue;
      const { bans } = await startedBans({ threshold });
      const { points } = chargeOf(reason, rule, threshold);
      for (let times = 0; times < threshold / points; times += 1)
        bans.addScore(peer(1), reason, { role: 'author', rule, topic: '', hash: undefined });
      expect(bans.isBanned(peer(1)), rule).toBe(true);
      await bans.stop();
    }
  });
});

test('accidents add to a score up to half of the threshold, and other offences beyond', async () => {
  const { bans } = await startedBans();
  const offend = (rule: string, times: number) => {
    for (let i = 0; i < times; i += 1)
      bans.addScore(peer(1), 'protocol_violation', { role: 'author', rule, topic: '', hash: undefined });
    return bans.scoreOf(peer(1));
  };
  expect([offend('hash_form', 48), offend('author_mismatch', 1), offend('hash_form', 9)]).toEqual([48, 68, 68]);
  expect(offend('author_mismatch', 1)).toBe(88);
  expect(bans.explain(peer(1)).rules).toMatchObject([{ rule: 'hash_form' }, { rule: 'author_mismatch' }]);
});

test('servers with one store raise a score by accidents to half of the threshold together', async () => {
  const one = await startedBans();
  const other = await startedBans({}, one.store, one.clock);
  for (let i = 0; i < 80; i += 1)
    for (const { bans } of [one, other])
      bans.addScore(peer(1), 'protocol_violation', { role: 'author', rule: 'hash_form', topic: '', hash: undefined });
  await eventually(() => {
    for (const { metrics } of [one, other])
      expect(metrics.gaugeValue('teranode_p2p_ban_store_queue_length', { kind: 'others' })).toBe(0);
  });
  expect((await one.store.inner.loadScoresOf(peer(1))).scores).toMatchObject([{ score: 50 }]);
});
