// What a store of bans promises when there is very much in it: part of the conformance suite.
import { expect, test } from 'vitest';
import { MAX_STORED } from '../../src/adapters/sql/ban-rows.ts';
import type { BanStore } from '../../src/ports/ban-store.ts';
import type { Tools } from './ban-store-conformance.ts';
import { offence, PEER, T0 } from './ban-store-samples.ts';

const DAY_MS = 24 * 60 * 60_000;

/** Purges to the end. */
export async function purged(store: BanStore, nowMs: number): Promise<void> {
  while ((await store.purge(nowMs)) === 'more');
}

/** More rows than are kept, through statements of one's own. */
export function boundTests({ setUp, openOn }: Pick<Tools, 'setUp' | 'openOn'>): void {
  const numbers = (count: number) =>
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;

  test('a purge of very many rows is done in steps, between which others write; the longest step is short', async () => {
    const target = await setUp();
    const store = await openOn(target);
    const count = 20_000;
    await target.sql(`
      INSERT INTO teranode_p2p_scores (subject, role, score, at_ms)
      ${numbers(count)} SELECT 'faded' || CAST(i AS TEXT), 'author', 1, ${T0} FROM n;
      INSERT INTO teranode_p2p_offences (subject, role, reason, points, rule, topic, at_ms)
      ${numbers(count)} SELECT 'faded' || CAST(i AS TEXT), 'author', 'spam', 1, 'r', 't', ${T0} FROM n`);
    const nowMs = T0 + DAY_MS;
    let steps = 0;
    for (let next = 'more'; next === 'more'; steps += 1) {
      next = await store.purge(nowMs);
      await store.addOffence(offence({ subject: 'new', points: 1, atMs: nowMs }));
    }
    expect(steps).toBeGreaterThan(20);
    expect((await store.loadScores()).scores).toEqual([{ subject: 'new', role: 'author', score: steps, atMs: nowMs }]);
    expect((await store.loadScores()).offences.every(({ subject }) => subject === 'new')).toBe(true);
  });

  test('of too many scores those that fade soonest go, of too many addresses those seen longest ago', async () => {
    const target = await setUp();
    const store = await openOn(target);
    const beyond = 700;
    // Each a minute longer than the one before; the last of them are as old as the first ones.
    await target.sql(`
      INSERT INTO teranode_p2p_scores (subject, role, score, at_ms)
      ${numbers(MAX_STORED.scores + beyond)} SELECT 'subject' || CAST(i AS TEXT), 'author', 2 + i, ${T0} FROM n;
      INSERT INTO teranode_p2p_addresses (address, peer_id, last_seen_ms)
      ${numbers(MAX_STORED.addresses + beyond)} SELECT 'address' || CAST(i AS TEXT), '${PEER}', ${T0} + i FROM n`);
    await store.addOffence(offence({ subject: 'subject1' }));
    await purged(store, T0);
    const kept = async (subject: string) => (await store.loadScoresOf(subject)).scores.length;
    expect(await kept('subject1')).toBe(0);
    expect((await store.loadScoresOf('subject1')).offences).toEqual([]);
    expect([await kept(`subject${beyond}`), await kept(`subject${beyond + 1}`)]).toEqual([0, 1]);
    expect(await store.loadAddressesAt(`address${beyond}`)).toEqual([]);
    expect(await store.loadAddressesAt(`address${beyond + 1}`)).toHaveLength(1);
    expect(await store.purge(T0)).toBe('done');
  });
}
